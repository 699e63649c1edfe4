"""Which cells an ablation grid is made of: a product of axes, a table of models, or both.

An axis is a dotted option of a run with the values it takes. Two rules make a product smaller, and
both are reported:

1. A combination that the model's own config refuses is left out (an adversary without a masker).
2. Combinations that differ only in options that have no effect given the others (lambda without an
   adversary) are one cell.

A table of models names each cell and gives what it changes of the base; its models may be of
different architectures, each with the options of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from causalseg.data.manifest import Split
from causalseg.errors import InputError
from causalseg.experiments.grid import Cell, parse_seeds
from causalseg.models.registry import model_class, model_config
from causalseg.training.config import RunConfig

Axes = dict[str, list[Any]]
"""Dotted option of a run -> its values."""
Changes = dict[str, Any]
"""What a cell changes of the base: `architecture`, `model`, and dotted options of a run."""
SECTIONS = ("data", "optimizer", "trainer")
_NOT_AXES = ("data.root", "data.seed", "seed", "out", "ckpt_path", "model")


@dataclass(kw_only=True)
class AblationConfig(RunConfig):
    """A grid over a base run, one run for each cell and seed.

    Raises:
        InputError: seeds, axes or devices cannot be used.

    """

    axes: Axes | list[Axes] = field(default_factory=dict)
    """Option (`model.masker`, `data.size`, ...) -> its values; or several such grids, whose union
    is run: options that a grid does not name keep the base's values."""
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name of a cell -> what it changes of the base: `architecture`, `model` (its options; the
    base's are kept where the architecture is the same), and dotted options of a run."""
    seeds: str | list[int] = field(default_factory=lambda: [0])
    """One run for each, e.g. 0,1,2. A seed decides weights, order, augmentation and any limits."""
    reference: str | dict[str, Any] = field(default_factory=dict)
    """The cell that all others are compared with: its name, or option -> value, the rest as in
    the base. Without axes the first of `models`, unless named."""
    split: Split = "test"
    """What is scored. Develop on `val`; `test` is for the final table."""
    test_limit: int | None = None
    """Score on this many of its images only, chosen by a shuffle, the same for all cells."""
    resamples: int = 10_000
    """How many, for the bootstrap and the sign-flip test."""
    device: str = "cpu"
    """Where scoring runs; training follows `trainer.accelerator`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seeds = parse_seeds(self.seeds)
        if self.trainer.devices * self.trainer.num_nodes > 1:
            raise InputError("a cell trains on one device: set trainer.devices and num_nodes to 1.")
        for name in ("test_limit", "resamples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}.")

    @property
    def grids(self) -> list[Axes]:
        """`axes` as a list."""
        given = self.axes if isinstance(self.axes, list) else [self.axes]
        return [axes for axes in given if axes]

    @property
    def base(self) -> RunConfig:
        """The run that the cells change."""
        return RunConfig(**{f.name: getattr(self, f.name) for f in fields(RunConfig)})


@dataclass(frozen=True)
class GridPlan:
    """The cells in the order of the axes, and what was left out."""

    cells: tuple[Cell, ...]
    reference: Cell
    left_out: Mapping[str, str]
    """Name of an impossible combination -> why."""


def plan_grid(config: AblationConfig) -> GridPlan:
    """Lay out the grid.

    Raises:
        InputError: an axis is not an option of a run, no possible cell has a value, a model's
            options cannot be used, two cells have one name, or the reference is none of the cells.

    """
    if not (config.grids or config.models):
        raise InputError("axes must name at least one option, or models at least one model.")
    cells, left_out = _product(config)
    for name, changes in config.models.items():
        if name in cells:
            raise InputError(f"models: an axis makes a cell called {name!r} too; rename it.")
        cells[name] = _listed(config.base, name, changes)
    return GridPlan(tuple(cells.values()), _reference(config, cells), left_out)


def _product(config: AblationConfig) -> tuple[dict[str, Cell], dict[str, str]]:
    """Cells of the axes by name, and impossible combinations with the reason."""
    if not all(values for grid in config.grids for values in grid.values()):
        raise InputError("axes: every option needs at least one value.")
    base = _axes_of_base(config)
    cells: dict[str, Cell] = {}
    left_out: dict[str, str] = {}
    for grid in config.grids:
        for values in product(*grid.values()):
            chosen = base | dict(zip(grid, values, strict=True))
            run = _with(config.base, chosen)
            try:
                idle = _idle(run)
            except InputError as error:
                left_out[_name(chosen, ())] = str(error)
                continue
            cell = Cell(_name(chosen, idle), run, chosen)
            known = cells.setdefault(cell.name, cell)
            if any(known.values[p] != v for p, v in chosen.items() if p not in idle):
                raise InputError(f"axes: two cells are called {cell.name!r}; rename a file.")
    _check_values(config, list(cells.values()), left_out)
    return cells, left_out


def _axes_of_base(config: AblationConfig) -> Changes:
    """Every axis with the base's value."""
    return {path: _get(config.base, path) for grid in config.grids for path in grid}


def _listed(base: RunConfig, name: str, changes: Mapping[str, Any]) -> Cell:
    """A cell of the table of models."""
    options = dict(changes)
    try:
        architecture = options.pop("architecture", base.architecture)
        own = options.pop("model", {})
        kept = base.model if architecture == base.architecture else {}
        run = replace(base, architecture=architecture, model={**kept, **own})
        for path in options:
            _get(run, path)
        run = _with(run, options)
        model_config(run.architecture, run.model)
    except InputError as error:
        raise InputError(f"models: {name}: {error}") from None
    return Cell(name, run, dict(changes))


def _reference(config: AblationConfig, cells: Mapping[str, Cell]) -> Cell:
    if isinstance(config.reference, str):
        name = config.reference
    elif not config.grids and not config.reference:
        name = next(iter(cells))
    else:
        base = _axes_of_base(config)
        if set(config.reference) - set(base):
            unknown = ", ".join(sorted(set(config.reference) - set(base)))
            raise InputError(f"the reference is none of the cells: {unknown} is not an axis.")
        wanted = base | config.reference
        name = _name(wanted, _idle(_with(config.base, wanted)))
    if name not in cells:
        raise InputError(f"the reference ({name}) is none of the cells: {'; '.join(cells)}.")
    return cells[name]


def _get(config: RunConfig, path: str) -> Any:
    """The base's value of a dotted option."""
    section, _, option = path.partition(".")
    if path in _NOT_AXES or (section not in (*SECTIONS, "model") and option):
        raise InputError(f"axes: {path!r} cannot be an axis; write e.g. model.masker.")
    if section == "model":
        known = {f.name: f for f in fields(model_class(config.architecture).config_class)}
        if option not in known:
            raise InputError(
                f"axes: {config.architecture} has no option {option!r}; it has {', '.join(known)}."
            )
        return config.model.get(option, known[option].default)
    value: Any = config
    for name in path.split("."):
        if not is_dataclass(value) or name not in (f.name for f in fields(value)):
            raise InputError(f"axes: there is no option {path!r}.")
        value = getattr(value, name)
    if is_dataclass(value):
        options = ", ".join(f"{path}.{f.name}" for f in fields(value))
        raise InputError(f"axes: {path!r} is a group of options; name one of {options}.")
    return value


def _with(base: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The run with some dotted options replaced."""
    for path, value in values.items():
        section, _, option = path.partition(".")
        if section == "model":
            base = replace(base, model={**base.model, option: value})
        else:
            base = _replaced(base, path, value)
    return base


def _replaced(owner: Any, path: str, value: Any) -> Any:
    """The dataclass with one dotted field, at any depth, replaced."""
    name, _, rest = path.partition(".")
    return replace(owner, **{name: _replaced(getattr(owner, name), rest, value) if rest else value})


def _idle(run: RunConfig) -> tuple[str, ...]:
    """Options that change nothing in this combination; InputError where it is impossible."""
    return tuple(f"model.{option}" for option in model_config(run.architecture, run.model).idle)


def _name(values: Mapping[str, Any], idle: tuple[str, ...]) -> str:
    return ", ".join(
        f"{path.rpartition('.')[2]}={_label(value)}"
        for path, value in values.items()
        if path not in idle
    )


def _label(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    text = str(value)
    # imagenet:FILE and other paths: the kind alone, which is the same on every machine.
    kind, colon, rest = text.partition(":")
    return kind if colon and ("/" in rest or "." in rest) else Path(text).name


def _check_values(config: AblationConfig, cells: list[Cell], left_out: Mapping[str, str]) -> None:
    """Refuse a value that occurs in no possible cell: it is a mistake, not a combination."""
    for path, value in ((p, v) for grid in config.grids for p, vs in grid.items() for v in vs):
        if not any(cell.values[path] == value for cell in cells):
            reason = next(iter(left_out.values()), "")
            raise InputError(f"axes: {path} = {value} occurs in no possible cell: {reason}")
