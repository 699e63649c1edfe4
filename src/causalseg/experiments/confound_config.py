"""The rows of a planted-confounder grid: what is tried against the plant, and its controls."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from causalseg.data.planted import PlantSpec, Property, check_strength
from causalseg.data.plants import PlantKind
from causalseg.errors import InputError
from causalseg.experiments.grid import Cell, parse_seeds
from causalseg.models.registry import ModelOptions, model_config
from causalseg.training.config import RunConfig


@dataclass(frozen=True)
class ConfoundRow:
    """One row, as a change of the run."""

    model: Mapping[str, Any] = field(default_factory=dict)
    """Options of the model."""
    mirror_swap: float = 0.0
    """`data.mirror_swap`."""
    rebalanced: bool = False
    """Draw training images so that plant and answer are independent; needs to know the plants."""
    random_plant: bool = False
    """Move the plant at random in every step; needs to know how to draw it, so it is a ceiling."""


_PLAIN: ModelOptions = {"masker": False, "adversary": "none"}


def _game(adversary: str, weight: float = 0.05) -> ConfoundRow:
    return ConfoundRow({"masker": True, "adversary": adversary, "adversary_weight": weight})


ROWS: dict[str, ConfoundRow] = {
    "plain": ConfoundRow(_PLAIN),
    "additive": ConfoundRow({"masker": "additive", "adversary": "none"}),
    "random-mask": ConfoundRow({"masker": "random", "adversary": "none"}),
    "masker": _game("none"),
    "reversal": _game("reversal"),
    "reversal-0.5": _game("reversal", 0.5),
    "reversal-5": _game("reversal", 5.0),
    "reversal-all": _game("reversal-all"),
    "alternating": _game("alternating"),
    "literal": _game("literal"),
    "rebalanced": ConfoundRow(_PLAIN, rebalanced=True),
    "rebalanced-reversal": replace(_game("reversal"), rebalanced=True),
    "mirror-swap": ConfoundRow(_PLAIN, mirror_swap=0.5),
    "mirror-swap-reversal": replace(_game("reversal"), mirror_swap=0.5),
    "random-plant": ConfoundRow(_PLAIN, random_plant=True),
}
"""By name. `plain` has no masker; `additive` and `random-mask` are controls with a masker's place
in the network that hide nothing, or places that say nothing; the number is lambda."""
REFERENCE = "plain"


@dataclass(kw_only=True)
class ConfoundConfig(RunConfig):
    """A grid over plants of given strengths and rows, one run for each cell and seed.

    Raises:
        InputError: a row, seed, strength or plant cannot be used.

    """

    plant: PlantKind = "tag"
    """What is planted: `tag`, `clip`, `border`, `patch`, `tone` or `text`."""
    predicts: Property = "side"
    """What it tells of the answer: `side`, `height`, `size` or `presence`."""
    strengths: list[float] = field(default_factory=lambda: [0.95])
    """Shares of training images in which it agrees with the answer; 0.5 is no confounder."""
    rows: list[str] = field(default_factory=lambda: list(ROWS))
    """Some of the rows, with the reference `plain` among them."""
    twins: int = 0
    """Draw this many twin phantoms for each data seed, in place of reading `data.root`."""
    data_seeds: str | list[int] = field(default_factory=lambda: [0])
    """Of the phantoms and of the planting; training seed i takes the i-th of them, in turn."""
    seeds: str | list[int] = field(default_factory=lambda: [0])
    """Of the weights, the order and the augmentation: one run for each."""
    hide_words: bool = False
    """Give all images one caption that names no place, where captions would tell what the plant
    tells."""
    test_limit: int | None = None
    """Score on this many test images only, the same for all cells."""
    resamples: int = 10_000
    """Of the bootstrap and the sign-flip test."""
    device: str = "cpu"
    """For scoring; training follows `trainer.accelerator`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seeds, self.data_seeds = parse_seeds(self.seeds), parse_seeds(self.data_seeds)
        PlantSpec(self.plant, self.predicts, min(self.data_seeds))
        unknown = [row for row in self.rows if row not in ROWS]
        if unknown:
            raise InputError(f"there is no row {unknown[0]!r}; choose from {', '.join(ROWS)}.")
        if REFERENCE not in self.rows or len(set(self.rows)) < len(self.rows):
            raise InputError(f"rows must name {REFERENCE!r}, and each row once.")
        if not self.strengths or [check_strength(p) for p in self.strengths] != sorted(
            set(self.strengths)
        ):
            raise InputError("strengths must rise, e.g. [0.5, 0.95].")
        if self.architecture != "causalclipseg":
            raise InputError("the rows are options of causalclipseg: leave architecture out.")
        if 0 < self.twins < 3:
            raise InputError(f"twins must be at least 3, one a split, not {self.twins}.")

    def data_seed(self, seed: int) -> int:
        """Which data a training seed takes."""
        assert isinstance(self.seeds, list)
        assert isinstance(self.data_seeds, list)
        return self.data_seeds[self.seeds.index(seed) % len(self.data_seeds)]


def confound_cells(config: ConfoundConfig) -> list[Cell]:
    """Every strength with every row.

    Raises:
        InputError: the model's options cannot be used.

    """
    base = RunConfig(**{f.name: getattr(config, f.name) for f in fields(RunConfig)})
    cells = []
    for strength in config.strengths:
        for name in config.rows:
            row = ROWS[name]
            data = replace(base.data, mirror_swap=row.mirror_swap)
            run = replace(base, model={**base.model, **row.model}, data=data)
            model_config(run.architecture, run.model)
            values = {"strength": strength, "row": name}
            cells.append(Cell(f"p={strength:g} {name}", run, values))
    return cells
