"""Which runs a leave-one-domain-out grid is made of."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from causalseg.data.domains import Sharing
from causalseg.errors import InputError
from causalseg.training.config import OptimizerConfig, TrainerConfig


@dataclass(frozen=True)
class Row:
    """One configuration of the table, as a change of the full model."""

    model: Mapping[str, Any] = field(default_factory=dict)
    """Options that replace those of the config."""
    photometric: bool = False
    """Colour and blur augmentation in addition."""
    architecture: str = "mcdrl"
    captions: bool = False
    """Each image's own caption, instead of one generic prompt for all."""


_NO_INTERVENTION = {"intervention": False, "alpha": 1.0}

ROWS: dict[str, Row] = {
    "baseline": Row(_NO_INTERVENTION),
    # With `keep` the selection alone would change nothing: what is not selected is kept.
    "regions": Row({"intervention": False, "elsewhere": "zero"}),
    "intervention": Row({"alpha": 1.0}),
    "full": Row(),
    "full-zero": Row({"elsewhere": "zero"}),
    "random": Row({"dictionary": "random"}),
    "learned": Row({"dictionary": "learned"}),
    "shuffled": Row({"dictionary": "shuffled"}),
    "irrelevant": Row({"dictionary": "irrelevant"}),
    "self-attention": Row({"attend": "self"}),
    "no-residual": Row({"residual": False}),
    "no-causal-loss": Row({"causal_weight": 0.0}),
    "augmentation": Row(_NO_INTERVENTION, photometric=True),
    "causalclipseg": Row(architecture="causalclipseg"),
    "causalclipseg-captions": Row(architecture="causalclipseg", captions=True),
}
"""By name: modules alone, controls, and CausalCLIPSeg with a generic prompt or with captions
(which name the position, so that row knows more than the others)."""

PAPER_ROWS = ("baseline", "regions", "intervention", "full", "random")


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
    """Images a batch."""
    augment: bool = True
    """Flips, affine and tone changes, in every row alike."""
    allow_problems: bool = False
    """Leave out and record what has errors, instead of refusing the data set."""
    train_limit: int | None = None
    """At most this many training records of each domain."""
    val_limit: int | None = None
    """At most this many hold-out records of each domain."""
    seed: int = 0
    """Of the limits' choice; the same in every run."""

    @property
    def roots(self) -> list[str]:
        """`domains` as a list."""
        given = self.domains.split(",") if isinstance(self.domains, str) else self.domains
        return [root.strip() for root in given if root.strip()]


@dataclass(kw_only=True)
class LodoConfig:
    """A grid: every fold x row x seed under one budget and one rule of selection."""

    data: DomainsConfig = field(default_factory=DomainsConfig)
    model: dict[str, Any] = field(default_factory=dict)
    """Options of MCDRL in the row `full`; the other rows change some of them."""
    causalclipseg: dict[str, Any] = field(default_factory=dict)
    """Options of CausalCLIPSeg; encoder and weights are those of `model` unless given here."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(lr=1e-3))
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    select: Literal["holdout", "last"] = "holdout"
    """`holdout`: the epoch with the best Dice on the sources' hold-out; `last`: the last epoch."""
    rows: list[str] = field(default_factory=lambda: list(PAPER_ROWS))
    """Names from the table of rows."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """One run for each."""
    folds: list[str] | None = None
    """Names of the domains to leave out in turn; null: each."""
    prompt: str = "polyp"
    """What CausalCLIPSeg is told for every image."""
    device: str = "cpu"
    """For scoring; training follows `trainer.accelerator`."""
    out: str = "runs/lodo"
    """The grid's folder. Starting again with the same one goes on where it stopped."""

    def __post_init__(self) -> None:
        unknown = [row for row in self.rows if row not in ROWS]
        if unknown:
            raise InputError(f"there is no row {unknown[0]!r}; choose from {', '.join(ROWS)}.")
        if self.select not in ("holdout", "last"):
            raise InputError(f"select must be 'holdout' or 'last', not {self.select!r}.")
        for name in ("rows", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError(f"{name} must name at least one, each once.")


@dataclass(frozen=True)
class Cell:
    """One run."""

    fold: str
    """The domain left out."""
    row: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Where it is kept."""
        return out / "cells" / self.fold / self.row / f"seed{self.seed}"


def plan(config: LodoConfig, domains: Mapping[str, Path]) -> dict[str, list[Cell]]:
    """Domain left out -> its runs, seed by seed.

    Raises:
        InputError: a fold is no domain.

    """
    folds = list(domains) if config.folds is None else config.folds
    unknown = [fold for fold in folds if fold not in domains]
    if unknown:
        raise InputError(f"fold {unknown[0]!r} is none of the domains {', '.join(domains)}.")
    return {
        fold: [Cell(fold, row, seed) for seed in config.seeds for row in config.rows]
        for fold in folds
    }


def model_options(config: LodoConfig, row: Row) -> dict[str, Any]:
    """Options of a row's model."""
    if row.architecture == "mcdrl":
        return {**config.model, **row.model}
    shared: dict[str, Any] = {
        k: config.model[k] for k in ("encoder", "weights") if k in config.model
    }
    return {**shared, **config.causalclipseg}


def settings(config: LodoConfig, cell: Cell, domains: Mapping[str, Path]) -> dict[str, Any]:
    """Everything that decides a cell's numbers, as plain data."""
    row = ROWS[cell.row]
    data = asdict(config.data)
    return {
        **asdict(cell),
        "sources": {name: str(root) for name, root in domains.items() if name != cell.fold},
        "target": str(domains[cell.fold]),
        "data": {key: value for key, value in data.items() if key != "domains"},
        "architecture": row.architecture,
        "model": model_options(config, row),
        "photometric": row.photometric,
        "prompt": None if row.captions else config.prompt,
        "optimizer": asdict(config.optimizer),
        "trainer": asdict(config.trainer),
        "select": config.select,
    }
