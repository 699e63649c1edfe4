"""The table of an ablation grid: every cell against one reference, and what its masks do.

Dice is macro, of the native masks, so that cells of different image sizes can be compared. Seeds
are averaged image by image; subjects are resampled; Holm's correction runs over all cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.errors import InputError
from causalseg.evaluation.comparison import (
    Comparison,
    Method,
    ScoredRun,
    align,
    compare_pairs,
    method_interval,
    on_shared_seeds,
    read_run,
    seed_spread,
)
from causalseg.evaluation.files import read_result
from causalseg.evaluation.set_metrics import CONTROLS, DataSummary
from causalseg.evaluation.statistics import Interval
from causalseg.evaluation.summary import control_rows

MEASURE, ALSO = "native_dice", "native_iou"


@dataclass(frozen=True)
class CellRuns:
    """One configuration and its finished runs."""

    name: str
    values: Mapping[str, Any]
    folders: Mapping[int, Path]
    """Seed -> score folder, with masks.json where the model has causal masks."""


@dataclass(frozen=True)
class StageMasks:
    """One stage's causal masks, a value for each seed."""

    level: list[float]
    """Mean of M."""
    spread: list[float]
    """Standard deviation of M within an image."""
    lift: list[Interval | None]


@dataclass(frozen=True)
class CellMasks:
    """What a cell's causal masks do, a value for each seed; see `causal_masks.measure_masks`."""

    lesion_area: float | None
    inside: list[float | None]
    lift: list[float | None]
    do_text: float
    """Largest change of M under another text."""
    dice_open: list[float]
    open_change: list[dict[str, float]]
    stages: dict[str, StageMasks]


@dataclass(frozen=True)
class CellRow:
    """One cell of the table; all but name, values and seeds only where a run is finished."""

    name: str
    values: dict[str, Any]
    seeds: list[int]
    parameters: int | None = None
    parameters_at_inference: int | None = None
    dice: Interval | None = None
    iou: Interval | None = None
    micro_dice: float | None = None
    dice_by_seed: dict[str, float] = field(default_factory=dict)
    seed_standard_deviation: float | None = None
    dice_with_other_text: float | None = None
    masks: CellMasks | None = None
    comparison: Comparison | None = None
    """This cell minus the reference, on the seeds that both have."""


@dataclass(frozen=True)
class AblationTable:
    """The whole table."""

    reference: str
    measure: str
    data: DataSummary
    resamples: int
    runs: int
    runs_planned: int
    cells: list[CellRow]
    left_out: dict[str, str] = field(default_factory=dict)
    """Name of an impossible combination -> why."""

    @property
    def compared(self) -> list[tuple[CellRow, Comparison]]:
        """The cells that were compared with the reference."""
        return [(cell, cell.comparison) for cell in self.cells if cell.comparison]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "AblationTable":
        """The table of a table.json, of this version or one before."""
        return cls(
            **{"left_out": {}, "runs_planned": content["runs"]}
            | {key: content[key] for key in cls.__dataclass_fields__ if key in content}
            | {"cells": [_cell_from_dict(cell) for cell in content["cells"]]}
            | {"data": summary_from_dict(content["data"])}
        )


def _cell_from_dict(content: Mapping[str, Any]) -> CellRow:
    found = dict(content)
    for key in ("dice", "iou"):
        found[key] = interval_from_dict(found.get(key))
    if masks := found.get("masks"):
        stages = {
            name: StageMasks(
                **stage | {"lift": [interval_from_dict(lift) for lift in stage["lift"]]}
            )
            for name, stage in masks["stages"].items()
        }
        found["masks"] = CellMasks(**(masks | {"stages": stages}))
    if compared := found.get("comparison"):
        found["comparison"] = comparison_from_dict(compared)
    return CellRow(**found)


def summary_from_dict(content: Mapping[str, Any]) -> DataSummary:
    """What was scored; older files hold more."""
    return DataSummary(**{key: content[key] for key in DataSummary.__dataclass_fields__})


def comparison_from_dict(content: Mapping[str, Any]) -> Comparison:
    """A comparison that was written as plain data."""
    intervals = {key: interval_from_dict(content[key]) for key in ("difference", "over_seeds")}
    by_seed = {"difference_by_seed": tuple(content["difference_by_seed"])}
    return Comparison(**({**content} | intervals | by_seed))


def interval_from_dict(content: Mapping[str, Any] | None) -> Interval | None:
    """An interval that was written as plain data."""
    return None if content is None else Interval(**content)


def tabulate_ablation(
    cells: Sequence[CellRuns],
    reference: str,
    *,
    resamples: int = 10_000,
    left_out: Mapping[str, str] | None = None,
    runs_planned: int | None = None,
) -> AblationTable:
    """Compare finished runs.

    Args:
        cells: in the table's order; those without a finished run are listed as such.
        reference: name of the cell that the others are compared with, on the seeds both have.
        resamples: how many, for the bootstrap and the test.
        left_out: name of an impossible combination -> why.
        runs_planned: how many runs the grid has; by default as many as are finished.

    Raises:
        InputError: the runs were scored on other images or data, or none is finished.

    """
    keys = [(cell.name, seed) for cell in cells for seed in cell.folders]
    if not keys:
        raise InputError("no run of the grid is finished, so there is nothing to tabulate.")
    folders = [cell.folders[seed] for cell in cells for seed in cell.folders]
    runs = dict(zip(keys, align([read_run(f, (MEASURE, ALSO)) for f in folders]), strict=True))
    pairs = [on_shared_seeds(runs, c.name, reference) for c in cells if c.name != reference]
    known = [pair for pair in pairs if pair is not None]
    found = compare_pairs(known, (MEASURE,), same_seeds=True, resamples=resamples)
    compared = {comparison.a: comparison for comparison in found}
    first = read_result(folders[0] / "metrics.json")
    return AblationTable(
        reference=reference,
        measure=MEASURE,
        data=summary_from_dict(
            first["data"] | {"images": first["images"], "subjects": first["subjects"]}
        ),
        resamples=resamples,
        runs=len(keys),
        runs_planned=len(keys) if runs_planned is None else runs_planned,
        cells=[_cell(cell, runs, compared.get(cell.name), resamples) for cell in cells],
        left_out=dict(left_out or {}),
    )


def _cell(
    cell: CellRuns,
    runs: Mapping[tuple[str, int], ScoredRun],
    compared: Comparison | None,
    resamples: int,
) -> CellRow:
    if not cell.folders:
        return CellRow(cell.name, dict(cell.values), [])
    method = Method(cell.name, tuple(runs[cell.name, seed] for seed in cell.folders))
    metrics = [read_result(folder / "metrics.json") for folder in cell.folders.values()]
    return CellRow(
        name=cell.name,
        values=dict(cell.values),
        seeds=list(cell.folders),
        parameters=metrics[0]["run"]["parameters"],
        parameters_at_inference=metrics[0]["run"]["parameters_at_inference"],
        dice=method_interval(method, MEASURE, resamples=resamples),
        iou=method_interval(method, ALSO, resamples=resamples),
        micro_dice=_mean([m["native_size"]["micro"]["dice"]["estimate"] for m in metrics]),
        dice_by_seed=dict(zip(map(str, cell.folders), method.means(MEASURE), strict=True)),
        seed_standard_deviation=seed_spread(method, MEASURE),
        dice_with_other_text=_mean([other_text(m) for m in metrics]),
        masks=_masks([f / "masks.json" for f in cell.folders.values()]),
        comparison=compared,
    )


def other_text(metrics: Mapping[str, Any]) -> float | None:
    """Macro Dice under another image's text, where that reads differently."""
    controls = dict(control_rows(metrics))
    for key in ("other_text_where_different", "other_text"):
        if CONTROLS[key] in controls:
            return float(controls[CONTROLS[key]]["estimate"])
    return None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _masks(paths: Sequence[Path]) -> CellMasks | None:
    """Of all seeds: value of each, in order."""
    found = [read_result(path) for path in paths if path.exists()]
    if not found:
        return None
    return CellMasks(
        lesion_area=found[0]["lesion_area"],
        inside=[m["inside"] and m["inside"]["estimate"] for m in found],
        lift=[m["lift"] and m["lift"]["estimate"] for m in found],
        do_text=max(m["do_text"]["largest"] for m in found),
        dice_open=[m["dice_open"]["estimate"] for m in found],
        open_change=[m["open_change"] for m in found],
        stages={
            stage: StageMasks(
                level=[m["stages"][stage]["level"] for m in found],
                spread=[m["stages"][stage]["spread"] for m in found],
                lift=[interval_from_dict(m["stages"][stage]["lift"]) for m in found],
            )
            for stage in found[0]["stages"]
        },
    )
