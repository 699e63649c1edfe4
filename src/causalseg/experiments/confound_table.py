"""The table of a planted-confounder grid: what each row loses when the plant's meaning is turned.

A test image is scored with its plant in agreement (a), removed (r) and in conflict (c). The mean
over a test set in which the plant agrees with probability q is q a + (1 - q) c: `same` has the
training's strength p, `independent` a half, `reversed` 1 - p.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.data.planted import TestSet
from causalseg.errors import InputError
from causalseg.evaluation.comparison import what_may_be_claimed
from causalseg.evaluation.files import read_result, read_result_rows
from causalseg.evaluation.metrics import FloatArray
from causalseg.evaluation.statistics import (
    Interval,
    PairedTest,
    cluster_codes,
    holm,
    paired_test,
    seed_interval,
)
from causalseg.experiments.confound_config import REFERENCE

RESULT, PER_IMAGE = "result.json", "per_image.csv"
_COLUMNS = ("name", "subject", "aligned", "conflict")


@dataclass(frozen=True)
class Repair:
    """A row minus plain on the reversed test set, at one strength, over the seeds both have."""

    difference: Interval
    """Over subjects, seeds averaged per image."""
    p: float
    p_holm: float
    by_seed: tuple[float, ...]
    over_seeds: Interval | None
    """None for one seed."""
    same_by_seed: tuple[float, ...]
    """The same difference on the test set `same`: what the repair costs."""
    holds: bool
    claim: str


@dataclass(frozen=True)
class ConfoundCell:
    """One row at one strength; lists are by seed."""

    name: str
    strength: float
    row: str
    seeds: list[int]
    data_seeds: list[int]
    tests: dict[TestSet, list[float]]
    """Macro Dice of each test set."""
    drop: list[float]
    """`same` minus `reversed`."""
    measures: dict[str, list[float]]
    """See `measure_plants`; the share of the mass of 1 - M on the plant is given as `lift_N`, over
    the plant's share of the places of stage N: 1 is a map that does not know the plant."""
    repair: Repair | None = None
    """None for the reference."""

    @property
    def over_seeds(self) -> Interval | None:
        """The drop with its t interval over seeds; None for one seed."""
        return seed_interval(self.drop)


@dataclass(frozen=True)
class ConfoundTable:
    """Everything that table.md and the report say."""

    plant: str
    predicts: str
    images: int
    """Test images of each data seed."""
    runs: int
    runs_planned: int
    resamples: int
    cells: list[ConfoundCell]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ConfoundTable":
        """The table of a table.json."""
        return cls(**(dict(content) | {"cells": [_cell_of(cell) for cell in content["cells"]]}))


def _cell_of(content: Mapping[str, Any]) -> ConfoundCell:
    repair = content["repair"]
    if repair is not None:
        intervals = {
            key: repair[key] and Interval(**repair[key]) for key in ("difference", "over_seeds")
        }
        seeds = {key: tuple(repair[key]) for key in ("by_seed", "same_by_seed")}
        repair = Repair(**(repair | intervals | seeds))
    return ConfoundCell(**(dict(content) | {"repair": repair}))


@dataclass(frozen=True)
class _Run:
    """A finished run."""

    strength: float
    row: str
    seed: int
    data_seed: int
    images: int
    means: Mapping[str, float]
    subjects: tuple[str, ...]
    aligned: FloatArray
    conflict: FloatArray

    def test(self, agreeing: float) -> FloatArray:
        """Per-image Dice expected where the plant agrees with this probability."""
        return np.asarray(agreeing * self.aligned + (1 - agreeing) * self.conflict)


def _read(folder: Path) -> _Run:
    found, rows = read_result(folder / RESULT), read_result_rows(folder / PER_IMAGE, _COLUMNS)
    return _Run(
        strength=found["strength"],
        row=found["row"],
        seed=found["seed"],
        data_seed=found["data_seed"],
        images=found["images"],
        means=found["means"],
        # Other data seeds draw other subjects, whatever they are called.
        subjects=tuple(f"{found['data_seed']} {row['subject'] or row['name']}" for row in rows),
        aligned=np.array([float(row["aligned"]) for row in rows]),
        conflict=np.array([float(row["conflict"]) for row in rows]),
    )


def tabulate_confound(
    folders: Sequence[Path],
    *,
    plant: str,
    predicts: str,
    runs_planned: int | None = None,
    resamples: int = 10_000,
) -> ConfoundTable:
    """Compare finished runs.

    Args:
        folders: of the runs, in the table's order.
        plant: what was planted.
        predicts: and what it tells.
        runs_planned: how many runs the grid has; by default as many as there are.
        resamples: of bootstrap and test.

    Raises:
        InputError: no run is finished, or a file is damaged.

    """
    if not folders:
        raise InputError("no run of the grid is finished, so there is nothing to tabulate.")
    groups: dict[tuple[float, str], list[_Run]] = {}
    for run in map(_read, folders):
        groups.setdefault((run.strength, run.row), []).append(run)
    tests = {}
    for (strength, row), runs in groups.items():
        plain = groups.get((strength, REFERENCE), [])
        pairs = [(a, b) for a in runs for b in plain if a.seed == b.seed]
        if row != REFERENCE and pairs:
            tests[strength, row] = pairs, _paired(pairs, strength, resamples)
    adjusted = holm([test.p for _, test in tests.values()])
    repairs = {
        key: _repair(key, pairs, test.difference, test.p, p_holm)
        for (key, (pairs, test)), p_holm in zip(tests.items(), adjusted, strict=True)
    }
    return ConfoundTable(
        plant=plant,
        predicts=predicts,
        images=next(iter(groups.values()))[0].images,
        runs=len(folders),
        runs_planned=len(folders) if runs_planned is None else runs_planned,
        resamples=resamples,
        cells=[_cell(key, runs, repairs.get(key)) for key, runs in _by_strength(groups)],
    )


def _by_strength(
    groups: Mapping[tuple[float, str], list[_Run]],
) -> list[tuple[tuple[float, str], list[_Run]]]:
    """Strength by strength, rows in the order in which they came."""
    return sorted(groups.items(), key=lambda item: item[0][0])


def _paired(pairs: Sequence[tuple[_Run, _Run]], strength: float, resamples: int) -> PairedTest:
    """Both sides' `reversed`, seeds of the same data averaged per image."""
    ours, theirs, subjects = [], [], list[str]()
    for data_seed in dict.fromkeys(a.data_seed for a, _ in pairs):
        same = [(a, b) for a, b in pairs if a.data_seed == data_seed]
        ours.append(np.mean([a.test(1 - strength) for a, _ in same], axis=0))
        theirs.append(np.mean([b.test(1 - strength) for _, b in same], axis=0))
        subjects += same[0][0].subjects
    clusters = cluster_codes(subjects)
    return paired_test(np.concatenate(ours), np.concatenate(theirs), clusters, resamples=resamples)


def _repair(
    key: tuple[float, str],
    pairs: Sequence[tuple[_Run, _Run]],
    difference: Interval,
    p: float,
    p_holm: float,
) -> Repair:
    strength, row = key
    by_seed, same = (
        tuple(float(a.test(q).mean() - b.test(q).mean()) for a, b in pairs)
        for q in (1 - strength, strength)
    )
    over_seeds = seed_interval(by_seed)
    holds, claim = what_may_be_claimed(row, REFERENCE, difference, p_holm, over_seeds)
    return Repair(difference, p, p_holm, by_seed, over_seeds, same, holds, claim)


def _cell(key: tuple[float, str], runs: Sequence[_Run], repair: Repair | None) -> ConfoundCell:
    strength, row = key
    agreeing: dict[TestSet, float] = {
        "same": strength,
        "independent": 0.5,
        "reversed": 1 - strength,
    }
    tests = {name: [float(run.test(q).mean()) for run in runs] for name, q in agreeing.items()}
    tests["removed"] = [run.means["removed"] for run in runs]
    names = [n for n in ("aligned", "conflict", "moved", "on_plant", "named") if n in runs[0].means]
    measures = {name: [run.means[name] for run in runs] for name in names}
    for name in runs[0].means:
        if name.startswith("plant_area_"):
            stage = name.removeprefix("plant_area_")
            measures[f"lift_{stage}"] = [
                run.means[f"confounder_on_plant_{stage}"] / max(run.means[name], 1e-9)
                for run in runs
            ]
    return ConfoundCell(
        name=f"p={strength:g} {row}",
        strength=strength,
        row=row,
        seeds=[run.seed for run in runs],
        data_seeds=[run.data_seed for run in runs],
        tests=tests,
        drop=[a - b for a, b in zip(tests["same"], tests["reversed"], strict=True)],
        measures=measures,
        repair=repair,
    )
