"""Which cells a leave-one-domain-out grid is made of: every domain left out x every row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from causalseg.data.datamodule import DataConfig
from causalseg.data.domains import Sharing
from causalseg.errors import InputError
from causalseg.experiments.grid import Cell, parse_seeds
from causalseg.experiments.mcdrl_rows import MCDRL_ROWS, PAPER_ROWS, LodoRow
from causalseg.models.registry import ModelOptions, model_config
from causalseg.training.config import OptimizerConfig, RunConfig, TrainerConfig


@dataclass(kw_only=True)
class DomainsConfig:
    """Which domains, at what size, in what batches."""

    domains: str | list[str] = ""
    """Roots in the LViT layout, with commas between; each one's folder name is its name."""
    sharing: Sharing = "none"
    """`images`: the domains are altered copies of the same images (see 'causalseg data corrupt'),
    so training, selection and scoring use the three splits; `none`: they are apart."""
    size: int = 224
    """Side of the square that images and masks are resized to, in pixels."""
    batch_size: int = 16
    """Images per batch."""
    augment: bool = True
    """Flips, affine and tone changes, the same in every row."""
    allow_problems: bool = False
    """Leave out and record what has errors, instead of refusing the data set."""
    train_limit: int | None = None
    """At most this many training records of each domain."""
    val_limit: int | None = None
    """At most this many hold-out records of each domain."""
    seed: int = 0
    """Decides which records the limits keep; the same in every run."""

    @property
    def roots(self) -> list[str]:
        """`domains` as a list."""
        given = self.domains.split(",") if isinstance(self.domains, str) else self.domains
        return [root.strip() for root in given if root.strip()]


@dataclass(kw_only=True)
class LodoConfig:
    """A grid: every fold x row x seed under one budget and one rule of selection."""

    data: DomainsConfig = field(default_factory=DomainsConfig)
    model: ModelOptions = field(default_factory=dict)
    """Options of MCDRL in the row `full`; the other rows change some of them."""
    causalclipseg: ModelOptions = field(default_factory=dict)
    """Options of CausalCLIPSeg; encoder and weights are those of `model` unless given here."""
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further rows: name -> `architecture` (any registered model), `model` (its options),
    `captions` (each image's own text, not the prompt) and `photometric` (colour and blur)."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(lr=1e-3))
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    select: Literal["holdout", "last"] = "holdout"
    """`holdout`: the epoch with the best Dice on the sources' hold-out; `last`: the last epoch."""
    rows: list[str] = field(default_factory=lambda: list(PAPER_ROWS))
    """Names from the table of rows."""
    reference: str | None = None
    """The row that all others are compared with; null: `baseline`, or the first row."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """One run for each."""
    folds: list[str] | None = None
    """Names of the domains to leave out in turn; null: each."""
    prompt: str = "polyp"
    """The sentence that CausalCLIPSeg gets with every image."""
    device: str = "cpu"
    """Where scoring runs; training follows `trainer.accelerator`."""
    out: str = "runs/lodo"
    """The grid's folder. Running again with the same folder continues a stopped grid."""

    def __post_init__(self) -> None:
        unknown = [row for row in self.rows if row not in MCDRL_ROWS]
        if unknown:
            raise InputError(
                f"there is no row {unknown[0]!r}; choose from {', '.join(MCDRL_ROWS)}."
            )
        twice = [name for name in self.models if name in self.rows]
        if twice:
            raise InputError(f"models: {twice[0]!r} is a row already; give it another name.")
        if self.select not in ("holdout", "last"):
            raise InputError(f"select must be 'holdout' or 'last', not {self.select!r}.")
        self.seeds = parse_seeds(self.seeds)
        if len(set(self.rows)) < len(self.rows) or not (self.rows or self.models):
            raise InputError("rows must name at least one, each once.")
        if self.reference is not None and self.reference not in (*self.rows, *self.models):
            raise InputError(f"the reference ({self.reference}) is none of the rows.")


def rows_of(config: LodoConfig) -> dict[str, LodoRow]:
    """Name -> row, those of `models` last.

    Raises:
        InputError: an entry of `models` has an unknown key, or no architecture.

    """
    rows = {
        name: replace(MCDRL_ROWS[name], model=model_options(config, MCDRL_ROWS[name]))
        for name in config.rows
    }
    known = [f.name for f in fields(LodoRow)]
    for name, given in config.models.items():
        unknown = [key for key in given if key not in known]
        if unknown or "architecture" not in given:
            problem = f"no key {unknown[0]!r}" if unknown else "no architecture"
            raise InputError(f"models: {name} has {problem}; it takes {', '.join(known)}.")
        rows[name] = LodoRow(**given)
    return rows


def lodo_cells(config: LodoConfig, domains: Mapping[str, Path]) -> list[Cell]:
    """A cell for each domain left out and each row, all checked before any work.

    Raises:
        InputError: a fold is not a domain, or a row's model or its options cannot be used.

    """
    folds = list(domains) if config.folds is None else config.folds
    unknown = [fold for fold in folds if fold not in domains]
    if unknown:
        raise InputError(f"fold {unknown[0]!r} is none of the domains {', '.join(domains)}.")
    epoch: Literal["best", "last"] = "best" if config.select == "holdout" else "last"
    cells = []
    for fold in folds:
        sources = ", ".join(name for name in domains if name != fold)
        for name, row in rows_of(config).items():
            try:
                model_config(row.architecture, dict(row.model))
            except InputError as error:
                raise InputError(f"row {name}: {error}") from None
            run = RunConfig(
                data=_data(config.data, sources),
                architecture=row.architecture,
                model=dict(row.model),
                optimizer=config.optimizer,
                trainer=config.trainer,
            )
            cells.append(Cell(name, run, fold=fold, epoch=epoch))
    return cells


def _data(data: DomainsConfig, sources: str) -> DataConfig:
    return DataConfig(
        root=sources,
        size=data.size,
        batch_size=data.batch_size,
        augment=data.augment,
        train_limit=data.train_limit,
        val_limit=data.val_limit,
    )


def model_options(config: LodoConfig, row: LodoRow) -> ModelOptions:
    """Options of a row's model."""
    if row.architecture == "mcdrl":
        return {**config.model, **row.model}
    shared = ("encoder", "weights")
    return {k: v for k, v in config.model.items() if k in shared} | config.causalclipseg
