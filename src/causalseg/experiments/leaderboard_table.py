"""The table of a leaderboard: every row with its intervals, and against the references in pairs.

Everything is computed at the masks' native size, from the per-image scores, in one way for systems
that were trained here and for entries that were only scored. Seeds are averaged image by image,
subjects are resampled, and Holm's correction runs over all comparisons of the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from causalseg.evaluation.comparison import Comparison, ScoredRun
from causalseg.evaluation.set_metrics import DataSummary
from causalseg.evaluation.statistics import Interval
from causalseg.experiments.ablation_table import (
    comparison_from_dict,
    interval_from_dict,
    summary_from_dict,
)
from causalseg.training.environment import Environment

COST, PROBED = "cost.json", "probes.csv"
DICE, IOU = "native_dice", "native_iou"
NATIVE_COUNTS = ("native_tp", "native_fp", "native_fn")
MEASURES = {"side swap": "gone", "absent finding": "empty"}
"""Test of the faithfulness suite -> the measure that the table shows."""
PROBES = tuple(MEASURES)


@dataclass(frozen=True)
class Cost:
    """What a row costs, of its first seed; times are this machine's."""

    parameters: int
    """That a prediction uses."""
    gflop: float
    """Of one image and sentence at the run's size; two for each multiply-add."""
    images_per_second: float
    """Forward pass alone, batches of eight."""
    training_seconds: float
    """By the clock, validation included."""
    training_cpu_seconds: float
    """That the process computed."""
    steps: int
    """Of the optimiser."""
    weights: str
    """Initial weights."""


@dataclass(frozen=True)
class Budget:
    """What all rows share."""

    size: int
    batch_size: int
    epochs: int
    train_limit: int | None
    val_limit: int | None
    augment: bool
    learning_rate: float
    model_size: str


@dataclass(frozen=True)
class RowRuns:
    """One row and its finished runs."""

    name: str
    folders: Mapping[int, Path]
    """Seed -> score folder; an entry has one under 0."""
    reads_text: bool | None
    """None where nobody here knows."""
    entry: ScoredRun | None = None
    """The scores of an entry, which was trained elsewhere."""


@dataclass(frozen=True)
class LeaderboardRow:
    """One row of the table; all but the name only where a run is finished."""

    name: str
    reads_text: bool | None
    seeds: list[int] = field(default_factory=list)
    entry: bool = False
    cost: Cost | None = None
    dice: Interval | None = None
    iou: Interval | None = None
    micro_dice: Interval | None = None
    micro_iou: Interval | None = None
    seed_standard_deviation: float | None = None
    dice_at_model_size: float | None = None
    dice_with_other_text: float | None = None
    """At the model's size, on all images: equal to the one above where no text is read."""
    probes: dict[str, Interval] = field(default_factory=dict)
    """Test -> mean of its measure."""
    against: dict[str, Comparison] = field(default_factory=dict)
    """Reference -> this row minus it, on the seeds that both have."""


@dataclass(frozen=True)
class LeaderboardTable:
    """The whole table."""

    data: DataSummary
    budget: Budget
    machine: Environment
    """What times were measured on."""
    references: list[str]
    resamples: int
    runs: int
    runs_planned: int
    rows: list[LeaderboardRow]

    @property
    def finished(self) -> list[LeaderboardRow]:
        """Rows with scores, best macro Dice first."""
        shown = [row for row in self.rows if row.dice is not None]
        return sorted(shown, key=lambda row: -(row.dice.estimate if row.dice else 0))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "LeaderboardTable":
        """The table of a table.json."""
        rows = [_row_from_dict(row) for row in content["rows"]]
        typed = {
            "data": summary_from_dict(content["data"]),
            "budget": Budget(**content["budget"]),
            "machine": Environment(**content["machine"]),
        }
        return cls(**{**content, **typed, "rows": rows})


def _row_from_dict(content: Mapping[str, Any]) -> LeaderboardRow:
    found = dict(content)
    for key in ("dice", "iou", "micro_dice", "micro_iou"):
        found[key] = interval_from_dict(found[key])
    found["cost"] = None if found["cost"] is None else Cost(**found["cost"])
    found["probes"] = {name: Interval(**value) for name, value in found["probes"].items()}
    found["against"] = {k: comparison_from_dict(v) for k, v in found["against"].items()}
    return LeaderboardRow(**found)
