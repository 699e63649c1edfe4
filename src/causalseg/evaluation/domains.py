"""Leave-one-domain-out results: fold x metric, mean, worst domain, paired comparisons.

Intervals resample subjects (or video sequences) within each domain and hold the domains fixed:
they say how sure a number is for these domains, not for domains at large. Runs with different
seeds are averaged image by image first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from causalseg.errors import InputError
from causalseg.evaluation.metrics import FloatArray
from causalseg.evaluation.statistics import (
    Interval,
    cluster_bootstrap,
    cluster_codes,
    cluster_sums,
    holm,
    macro,
    sign_flip_p,
)
from causalseg.markdown import markdown_table

EMPTY_FRAMES = (
    "Frames whose true mask is empty are not in Dice, IoU and accuracy; null accuracy is the "
    "share of them for which nothing is predicted."
)
METRICS = ("dice", "iou", "accuracy")
RESAMPLES = 2_000

Row = Mapping[str, Any]
Fold = tuple[FloatArray, Any]
"""Values (n,) and clusters (n,) of one domain."""


@dataclass(frozen=True)
class CellScores:
    """Per-image scores of one run on the domain it never saw."""

    fold: str
    row: str
    seed: int
    images: Sequence[Row]
    """With name, subject, empty, dice, iou and accuracy; numbers may be text."""


@dataclass(frozen=True)
class Comparison:
    """Mean over domains of the paired difference in Dice."""

    row: str
    against: str
    difference: Interval
    p: float
    p_holm: float


def stratified(folds: Sequence[Fold], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
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
        self.images: dict[str, Sequence[Row]] = {}
        for cell in cells:
            first = self.images.setdefault(cell.fold, cell.images)
            if [r["name"] for r in cell.images] != [r["name"] for r in first]:
                raise InputError(f"runs on domain {cell.fold} were scored on different images.")

    def complete(self, row: str) -> bool:
        """Whether a row has a run in every domain."""
        return all(self.seeds(row, fold) for fold in self.folds)

    def seeds(self, row: str, fold: str) -> list[int]:
        """Seeds that a row was run with."""
        return sorted(seed for r, f, seed in self.cells if (r, f) == (row, fold))

    def _empty(self, fold: str) -> Any:
        return np.array([int(image["empty"]) for image in self.images[fold]]) == 1

    def values(self, row: str, fold: str, metric: str) -> Fold:
        """(n,) values of frames with a mask, averaged over seeds, and their clusters."""
        shown = ~self._empty(fold)
        if not shown.any():
            raise InputError(f"domain {fold} has no frame with a mask.")
        table = [
            [float(image[metric]) for image in self.cells[row, fold, seed].images]
            for seed in self.seeds(row, fold)
        ]
        subjects = [image["subject"] or None for image in self.images[fold]]
        clusters = cluster_codes([s for s, keep in zip(subjects, shown, strict=True) if keep])
        return np.mean(table, axis=0)[shown], clusters

    def null_accuracy(self, row: str, fold: str) -> float | None:
        """Share of empty frames (over all seeds) with an empty prediction; None without any."""
        empty = self._empty(fold)
        if not empty.any():
            return None
        hits = [
            np.array([float(image["dice"]) for image in self.cells[row, fold, seed].images])[empty]
            for seed in self.seeds(row, fold)
        ]
        return float(np.mean(hits))

    def compare(self, row: str, against: str) -> tuple[Interval, float]:
        """Paired difference in Dice, row - against."""
        folds = []
        for fold in self.folds:
            ours, clusters = self.values(row, fold, "dice")
            folds.append((ours - self.values(against, fold, "dice")[0], clusters))
        return stratified(folds), stratified_p(folds)


def summarise(cells: Sequence[CellScores], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The whole table as plain data.

    Args:
        cells: finished runs.
        pairs: (row, against) to compare, where both have a run in every domain.

    Returns:
        `rows` (per row: `folds`, `mean`, `worst`, `seeds`), `comparisons` (p values adjusted by
        Holm over all of them), `rule` on empty frames.

    """
    grid = Grid(cells)
    rows = {row: _row(grid, row) for row in grid.rows}
    wanted = [p for p in pairs if all(r in grid.rows and grid.complete(r) for r in p)]
    found = [(*pair, *grid.compare(*pair)) for pair in wanted]
    adjusted = holm([p for *_, p in found]) if found else []
    comparisons = [
        asdict(Comparison(row, against, difference, p, q))
        for (row, against, difference, p), q in zip(found, adjusted, strict=True)
    ]
    return {"rows": rows, "comparisons": comparisons, "rule": EMPTY_FRAMES}


def _row(grid: Grid, row: str) -> dict[str, Any]:
    folds: dict[str, dict[str, Any]] = {}
    done = [fold for fold in grid.folds if grid.seeds(row, fold)]
    for fold in done:
        folds[fold] = {
            metric: asdict(cluster_bootstrap(*grid.values(row, fold, metric), resamples=RESAMPLES))
            for metric in METRICS
        }
        folds[fold]["null_accuracy"] = grid.null_accuracy(row, fold)
        folds[fold]["seed_dice"] = {
            seed: _mean_dice(grid, row, fold, seed) for seed in grid.seeds(row, fold)
        }
    result: dict[str, Any] = {"folds": folds, "complete": grid.complete(row)}
    if result["complete"]:
        result["mean"] = {
            metric: asdict(stratified([grid.values(row, fold, metric) for fold in grid.folds]))
            for metric in METRICS
        }
        worst = min(done, key=lambda fold: float(folds[fold]["dice"]["estimate"]))
        result["worst"] = {"fold": worst, "dice": folds[worst]["dice"]["estimate"]}
    return result


def _mean_dice(grid: Grid, row: str, fold: str, seed: int) -> float:
    images = grid.cells[row, fold, seed].images
    return float(np.mean([float(i["dice"]) for i in images if not int(i["empty"])]))


def markdown(summary: Mapping[str, Any]) -> str:
    """The tables as Markdown: Dice by domain with 95 % intervals, then comparisons."""
    folds = list(dict.fromkeys(f for row in summary["rows"].values() for f in row["folds"]))
    rows = []
    for name, row in summary["rows"].items():
        cells = [_interval(row["folds"][f]["dice"]) if f in row["folds"] else "" for f in folds]
        mean = _interval(row["mean"]["dice"]) if row["complete"] else ""
        worst = f"{row['worst']['dice']:.3f}" if row["complete"] else ""
        nulls = [v["null_accuracy"] for v in row["folds"].values()]
        known = [v for v in nulls if v is not None]
        null = f"{np.mean(known):.3f}" if known else ""
        rows.append((name, *cells, mean, worst, null))
    lines = [markdown_table(("row", *folds, "mean", "worst", "null accuracy"), rows)]
    if summary["comparisons"]:
        header = ("comparison", "difference in Dice", "p", "p (Holm)")
        compared = [
            (
                f"{c['row']} - {c['against']}",
                _interval(c["difference"], "+.3f"),
                f"{c['p']:.4f}",
                f"{c['p_holm']:.4f}",
            )
            for c in summary["comparisons"]
        ]
        lines += ["", markdown_table(header, compared)]
    return "\n".join([*lines, "", summary["rule"], ""])


def _interval(value: Mapping[str, float], form: str = ".3f") -> str:
    return f"{value['estimate']:{form}} [{value['low']:{form}}, {value['high']:{form}}]"
