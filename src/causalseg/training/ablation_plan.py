"""Which cells an ablation grid is made of.

A grid is the product of its axes, each a dotted option of a run and the values it takes. Two rules
make it smaller, and both are reported:

1. A combination that the model's own config refuses is left out (an adversary without a masker).
2. Combinations that differ only in options that change nothing beside the others (lambda without
   an adversary) are one cell.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from causalseg.errors import InputError
from causalseg.models.registry import model_class, model_config
from causalseg.training.config import RunConfig

Axes = dict[str, list[Any]]
SECTIONS = ("data", "optimizer", "trainer")
_NOT_AXES = ("data.root", "data.seed", "seed", "out", "ckpt_path", "model")


@dataclass(kw_only=True)
class AblationConfig(RunConfig):
    """A grid over a base run, one run for each cell and seed.

    Raises:
        InputError: seeds, axes or devices cannot be used.

    """

    axes: Axes | list[Axes]
    """Option (`model.masker`, `data.size`, ...) -> its values; or several such grids, whose union
    is run: in each, what it does not name keeps the base's value."""
    seeds: str | list[int] = field(default_factory=lambda: [0])
    """One run for each, e.g. 0,1,2: of the weights, the order, augmentation and any limits."""
    reference: dict[str, Any] = field(default_factory=dict)
    """Option -> value of the cell that all others are compared with; the rest as in the base."""
    test_limit: int | None = None
    """Score on this many test images only, chosen by a shuffle, the same for all cells."""
    resamples: int = 10_000
    """Of the bootstrap and the sign-flip test."""
    device: str = "cpu"
    """For scoring; training follows `trainer.accelerator`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        words = self.seeds.split(",") if isinstance(self.seeds, str) else self.seeds
        try:
            self.seeds = [int(word) for word in words]
        except ValueError:
            raise InputError(f"seeds must be numbers with commas between, not {words}.") from None
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError("seeds must name at least one, each once.")
        if self.trainer.devices * self.trainer.num_nodes > 1:
            raise InputError("a cell trains on one device: set trainer.devices and num_nodes to 1.")
        for name in ("test_limit", "resamples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}.")

    @property
    def grids(self) -> list[Axes]:
        """`axes` as a list."""
        return self.axes if isinstance(self.axes, list) else [self.axes]


@dataclass(frozen=True)
class Cell:
    """One configuration; a run for each seed."""

    name: str
    """Its value on every axis, e.g. "masker=on, adversary=none"."""
    values: Mapping[str, Any]
    """Option -> value, for every axis of the grid."""

    def folder(self, out: Path, seed: int) -> Path:
        """Where a run is kept."""
        name = re.sub(r"[^A-Za-z0-9.=+-]+", "_", self.name)
        return out / "cells" / name / f"seed{seed}"


@dataclass(frozen=True)
class Plan:
    """The cells in the order of the axes, and what was left out."""

    cells: tuple[Cell, ...]
    reference: Cell
    left_out: Mapping[str, str]
    """Name of an impossible combination -> why."""


def plan(config: AblationConfig) -> Plan:
    """Lay out the grid.

    Raises:
        InputError: an axis is no option of a run, a value is in no possible cell, two cells have
            one name, or the reference is none of the cells.

    """
    base = {path: _get(config, path) for grid in config.grids for path in grid}
    if not base or not all(values for grid in config.grids for values in grid.values()):
        raise InputError("axes must name at least one option, each with at least one value.")
    cells: dict[str, Cell] = {}
    left_out: dict[str, str] = {}
    for grid in config.grids:
        for values in product(*grid.values()):
            chosen = base | dict(zip(grid, values, strict=True))
            try:
                idle = _idle(config, chosen)
            except InputError as error:
                left_out[_name(chosen, ())] = str(error)
                continue
            cell = Cell(_name(chosen, idle), chosen)
            known = cells.setdefault(cell.name, cell)
            if any(known.values[p] != v for p, v in chosen.items() if p not in idle):
                raise InputError(f"axes: two cells are called {cell.name!r}; rename a file.")
    _check_values(config, list(cells.values()), left_out)
    wanted = base | {path: _checked(config, path, v) for path, v in config.reference.items()}
    name = _name({path: wanted[path] for path in base}, _idle(config, wanted))
    if name not in cells or set(config.reference) - set(base):
        raise InputError(f"the reference ({name}) is none of the cells: {'; '.join(cells)}.")
    return Plan(tuple(cells.values()), cells[name], left_out)


def run_config(config: AblationConfig, cell: Cell, seed: int, out: Path) -> RunConfig:
    """The run of a cell and a seed, going on from its last epoch where it was stopped."""
    base = RunConfig(**{f.name: getattr(config, f.name) for f in fields(RunConfig)})
    run = _with(base, cell.values)
    data = replace(run.data, seed=seed)
    return replace(run, data=data, seed=seed, out=str(out), ckpt_path="last")


def settings(config: AblationConfig, cell: Cell, seed: int) -> dict[str, Any]:
    """Everything that decides a cell's numbers, as plain data."""
    found = asdict(run_config(config, cell, seed, Path()))
    del found["out"], found["ckpt_path"], found["data"]["cache"]
    return found | {"test_limit": config.test_limit, "resamples": config.resamples}


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
            raise InputError(f"axes: a run has no option {path!r}.")
        value = getattr(value, name)
    if is_dataclass(value):
        options = ", ".join(f"{path}.{f.name}" for f in fields(value))
        raise InputError(f"axes: {path!r} is no single option; name one of {options}.")
    return value


def _checked(config: RunConfig, path: str, value: Any) -> Any:
    _get(config, path)
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


def _idle(config: AblationConfig, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Options that change nothing in this combination; InputError where it is impossible."""
    base = RunConfig(**{f.name: getattr(config, f.name) for f in fields(RunConfig)})
    run = _with(base, values)
    model = model_config(run.architecture, run.model)
    return tuple(f"model.{option}" for option in model.idle)


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
    """A value that no possible cell has is a mistake, not a combination."""
    for path, value in ((p, v) for grid in config.grids for p, vs in grid.items() for v in vs):
        if not any(cell.values[path] == value for cell in cells):
            reason = next(iter(left_out.values()), "")
            raise InputError(f"axes: {path} = {value} is in no possible cell: {reason}")
