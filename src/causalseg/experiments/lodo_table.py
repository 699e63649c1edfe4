"""Leave-one-domain-out results: fold x metric, mean, worst domain, paired comparisons.

Intervals resample subjects (or video sequences) within each domain and hold the domains fixed:
they say how certain a number is for these domains, not for domains in general. Runs with different
seeds are averaged image by image first; a difference between rows is claimed only where an
interval over the seeds leaves out 0 too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from causalseg.errors import InputError
from causalseg.evaluation.comparison import few_subjects, what_may_be_claimed
from causalseg.evaluation.metrics import FloatArray
from causalseg.evaluation.statistics import (
    Interval,
    cluster_bootstrap,
    cluster_codes,
    cluster_sums,
    holm,
    macro,
    seed_interval,
    sign_flip_p,
)
from causalseg.experiments.lodo_scores import CellScores, FrameScore
from causalseg.markdown import markdown_table

EMPTY_FRAMES = (
    "Frames whose true mask is empty are not in Dice, IoU and accuracy; null accuracy is the "
    "share of them for which nothing is predicted."
)
METRICS = ("dice", "iou", "accuracy")
_RESAMPLES = 2_000

Fold = tuple[FloatArray, Any]
"""Values (n,) and clusters (n,) of one domain."""


@dataclass(frozen=True)
class RowComparison:
    """Mean over domains of the paired difference in Dice."""

    row: str
    against: str
    difference: Interval
    p: float
    p_holm: float
    over_seeds: Interval | None
    """Interval of the difference over training runs; None for one seed."""
    holds: bool
    """Whether it may be claimed of the methods, not only of these runs."""
    claim: str


@dataclass(frozen=True)
class FoldResult:
    """A row on one domain that it never saw."""

    dice: Interval
    iou: Interval
    accuracy: Interval
    null_accuracy: float | None
    seed_dice: dict[int, float]


@dataclass(frozen=True)
class RowResult:
    """A row over its domains; mean and worst only where it has a run in every one."""

    folds: dict[str, FoldResult]
    complete: bool
    mean: dict[str, Interval] | None = None
    worst_fold: str | None = None


@dataclass(frozen=True)
class LodoTable:
    """The whole table."""

    rows: dict[str, RowResult]
    comparisons: list[RowComparison]
    initial_weights: str
    rule: str = EMPTY_FRAMES


def stratified(folds: Sequence[Fold], *, resamples: int = _RESAMPLES, seed: int = 0) -> Interval:
    """Mean over domains of each domain's mean; clusters are resampled within each domain."""
    generator = np.random.default_rng(seed)
    draws, estimate, count = np.zeros(resamples), 0.0, 0
    for values, clusters in folds:
        sums = cluster_sums(values, clusters)
        share = np.full(len(sums), 1 / len(sums))
        times = generator.multinomial(len(sums), share, size=resamples)
        draws += macro(times.astype(np.float64) @ sums) / len(folds)
        estimate += float(macro(sums.sum(0))) / len(folds)
        count += len(sums)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(estimate, float(low), float(high), 0.95, count)


def stratified_p(folds: Sequence[Fold], *, seed: int = 0) -> float:
    """Sign-flip p value of the mean over domains of paired differences."""
    values = np.concatenate([v / len(v) for v, _ in folds])
    offset, codes = 0, []
    for _, clusters in folds:
        codes.append(clusters + offset)
        offset += int(clusters.max()) + 1
    return sign_flip_p(values, np.concatenate(codes), seed=seed)


class Grid:
    """Cells arranged by row and domain, averaged over seeds.

    Raises:
        InputError: the seeds or rows of a domain were scored on different images.

    """

    def __init__(self, cells: Sequence[CellScores]) -> None:
        self.rows = list(dict.fromkeys(cell.row for cell in cells))
        self.folds = list(dict.fromkeys(cell.fold for cell in cells))
        self.cells = {(c.row, c.fold, c.seed): c for c in cells}
        self.images: dict[str, Sequence[FrameScore]] = {}
        for cell in cells:
            first = self.images.setdefault(cell.fold, cell.images)
            if [i.name for i in cell.images] != [i.name for i in first]:
                raise InputError(f"runs on domain {cell.fold} were scored on different images.")

    def complete(self, row: str) -> bool:
        """Whether a row has a run in every domain."""
        return all(self.seeds(row, fold) for fold in self.folds)

    def seeds(self, row: str, fold: str) -> list[int]:
        """Seeds that a row was run with."""
        return sorted(seed for r, f, seed in self.cells if (r, f) == (row, fold))

    def _empty(self, fold: str) -> Any:
        return np.array([image.empty for image in self.images[fold]])

    def values(self, row: str, fold: str, metric: str) -> Fold:
        """(n,) values of frames with a mask, averaged over seeds, and their clusters."""
        shown = ~self._empty(fold)
        if not shown.any():
            raise InputError(f"domain {fold} has no frame with a mask.")
        table = [
            [getattr(image, metric) for image in self.cells[row, fold, seed].images]
            for seed in self.seeds(row, fold)
        ]
        subjects = [image.subject or None for image in self.images[fold]]
        clusters = cluster_codes([s for s, keep in zip(subjects, shown, strict=True) if keep])
        return np.mean(table, axis=0)[shown], clusters

    def null_accuracy(self, row: str, fold: str) -> float | None:
        """Share of empty frames (over all seeds) with an empty prediction; None without any."""
        empty = self._empty(fold)
        if not empty.any():
            return None
        hits = [
            np.array([image.dice for image in self.cells[row, fold, seed].images])[empty]
            for seed in self.seeds(row, fold)
        ]
        return float(np.mean(hits))

    def mean_dice(self, row: str, fold: str, seed: int) -> float:
        """Macro Dice of one run, over frames with a mask."""
        images = self.cells[row, fold, seed].images
        return float(np.mean([i.dice for i in images if not i.empty]))

    def by_seed(self, row: str, against: str) -> list[float]:
        """Mean over domains of the difference in Dice, for each seed that both have everywhere."""
        common = [{*self.seeds(r, f)} for r in (row, against) for f in self.folds]
        return [
            float(
                np.mean(
                    [
                        self.mean_dice(row, fold, seed) - self.mean_dice(against, fold, seed)
                        for fold in self.folds
                    ]
                )
            )
            for seed in sorted(set.intersection(*common))
        ]

    def compare(self, row: str, against: str) -> tuple[Interval, float]:
        """Paired difference in Dice, row - against."""
        folds = []
        for fold in self.folds:
            ours, clusters = self.values(row, fold, "dice")
            folds.append((ours - self.values(against, fold, "dice")[0], clusters))
        return stratified(folds), stratified_p(folds)


def tabulate_lodo(
    cells: Sequence[CellScores], pairs: Sequence[tuple[str, str]], *, initial_weights: str = ""
) -> LodoTable:
    """Put finished runs into one table.

    Args:
        cells: finished runs.
        pairs: (row, against) to compare, where both have a run in every domain; p values are
            adjusted by Holm over all of them.
        initial_weights: where those of the models came from.

    """
    grid = Grid(cells)
    rows = {row: _row(grid, row) for row in grid.rows}
    wanted = [p for p in pairs if all(r in grid.rows and grid.complete(r) for r in p)]
    found = [(*pair, *grid.compare(*pair)) for pair in wanted]
    adjusted = holm([p for *_, p in found]) if found else []
    comparisons = []
    for (row, against, difference, p), p_holm in zip(found, adjusted, strict=True):
        over_seeds = seed_interval(grid.by_seed(row, against))
        holds, claim = what_may_be_claimed(row, against, difference, p_holm, over_seeds)
        comparisons.append(
            RowComparison(row, against, difference, p, p_holm, over_seeds, holds, claim)
        )
    return LodoTable(rows, comparisons, initial_weights)


def _row(grid: Grid, row: str) -> RowResult:
    folds: dict[str, FoldResult] = {}
    done = [fold for fold in grid.folds if grid.seeds(row, fold)]
    for fold in done:
        intervals = {
            metric: cluster_bootstrap(*grid.values(row, fold, metric), resamples=_RESAMPLES)
            for metric in METRICS
        }
        folds[fold] = FoldResult(
            **intervals,
            null_accuracy=grid.null_accuracy(row, fold),
            seed_dice={seed: grid.mean_dice(row, fold, seed) for seed in grid.seeds(row, fold)},
        )
    if not grid.complete(row):
        return RowResult(folds, complete=False)
    mean = {
        metric: stratified([grid.values(row, fold, metric) for fold in grid.folds])
        for metric in METRICS
    }
    return RowResult(folds, True, mean, min(done, key=lambda fold: folds[fold].dice.estimate))


def lodo_markdown(table: LodoTable) -> str:
    """The tables as Markdown: Dice by domain with 95 % intervals, then comparisons."""
    folds = list(dict.fromkeys(fold for row in table.rows.values() for fold in row.folds))
    rows = []
    for name, row in table.rows.items():
        cells = [f"{row.folds[fold].dice:.3f}" if fold in row.folds else "" for fold in folds]
        mean = f"{row.mean['dice']:.3f}" if row.mean else ""
        worst = f"{row.folds[row.worst_fold].dice.estimate:.3f}" if row.worst_fold else ""
        known = [f.null_accuracy for f in row.folds.values() if f.null_accuracy is not None]
        null = f"{np.mean(known):.3f}" if known else ""
        rows.append((name, *cells, mean, worst, null))
    header = ("row", *folds, "mean", "worst", "null accuracy")
    lines = [f"Initial weights: {table.initial_weights}.", "", markdown_table(header, rows), ""]
    if table.comparisons:
        compared = [
            (
                f"{c.row} - {c.against}",
                f"{c.difference:+.3f}",
                f"{c.p:.4f}",
                f"{c.p_holm:.4f}",
                f"{c.over_seeds:+.3f}" if c.over_seeds else "one seed",
                c.claim,
            )
            for c in table.comparisons
        ]
        header = ("comparison", "difference in Dice", "p", "p (Holm)", "over seeds", "in words")
        lines += [markdown_table(header, compared), ""]
        few = few_subjects(min(c.difference.clusters for c in table.comparisons)).strip()
        lines += [few, ""] if few else []
    return "\n".join([*lines, table.rule, ""])
