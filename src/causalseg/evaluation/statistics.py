"""Intervals and tests that allow for images of one subject not being independent.

Subjects (clusters) are resampled, not images. Every statistic here is a function of column sums
over images, so a resample needs only how often each cluster was drawn times that cluster's sums:
10 000 resamples are one matrix product.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from causalseg.evaluation.metrics import FloatArray, dice_from_counts, iou_from_counts

RESAMPLES = 10_000
_CHUNK = 1_000
_EXACT_CLUSTERS = 13  # 2^13 sign patterns are fewer than the default number of random ones

Statistic = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Interval:
    """A point estimate with its bootstrap percentile interval."""

    estimate: float
    low: float
    high: float
    level: float
    clusters: int

    def __neg__(self) -> "Interval":
        """Of the negated quantity: B - A from A - B."""
        return Interval(-self.estimate, -self.high, -self.low, self.level, self.clusters)

    def __str__(self) -> str:
        return format(self)

    def __format__(self, form: str) -> str:
        """`estimate [low, high]`, each number in the given form, or with four decimals."""
        form = form or ".4f"
        return f"{self.estimate:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True)
class PairedTest:
    """Mean paired difference with its interval and the sign-flip p value."""

    difference: Interval
    p: float


def cluster_codes(subjects: Sequence[str | None]) -> NDArray[np.int64]:
    """Integer cluster (n,) per image; an image without a known subject is its own cluster."""
    keys = [f"image {i}" if s is None else f"subject {s}" for i, s in enumerate(subjects)]
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def cluster_sums(columns: ArrayLike, clusters: NDArray[np.int64]) -> FloatArray:
    """Sums (C, k + 1) per cluster of the columns (n, k), with the image count as last column."""
    values = np.asarray(columns, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if len(values) == 0 or len(values) != len(clusters):
        raise ValueError(f"{len(values)} rows for {len(clusters)} cluster labels")
    values = np.column_stack([values, np.ones(len(values))])
    sums = np.zeros((int(clusters.max()) + 1, values.shape[1]))
    np.add.at(sums, clusters, values)
    return sums[sums[:, -1] > 0]


def macro(sums: FloatArray) -> FloatArray:
    """Mean over images of the first column: (..., k + 1) -> (...)."""
    return np.asarray(sums[..., 0] / sums[..., -1])


def micro_dice(sums: FloatArray) -> FloatArray:
    """Dice of summed TP, FP, FN columns: (..., 4) -> (...)."""
    return dice_from_counts(sums[..., 0], sums[..., 1], sums[..., 2])


def micro_iou(sums: FloatArray) -> FloatArray:
    """IoU of summed TP, FP, FN columns: (..., 4) -> (...)."""
    return iou_from_counts(sums[..., 0], sums[..., 1], sums[..., 2])


def cluster_bootstrap(
    columns: ArrayLike,
    clusters: NDArray[np.int64],
    statistic: Statistic = macro,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a statistic when whole clusters are drawn with replacement.

    Args:
        columns: (n,) or (n, k) per-image values, finite.
        clusters: (n,) integer cluster labels.
        statistic: maps column sums (..., k + 1), image count last, to values (...).
        resamples: number of bootstrap resamples.
        level: coverage of the interval.
        seed: decides the random draws.

    Raises:
        ValueError: a value is NaN or infinite, or lengths differ.

    """
    sums = cluster_sums(columns, clusters)
    if not np.isfinite(sums).all():
        raise ValueError("bootstrap needs finite values")
    count = len(sums)
    generator = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        times = generator.multinomial(count, np.full(count, 1 / count), size=size)
        draws[start : start + size] = statistic(times.astype(np.float64) @ sums)
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(float(statistic(sums.sum(0))), float(low), float(high), level, count)


def sign_flip_p(
    differences: ArrayLike,
    clusters: NDArray[np.int64],
    *,
    permutations: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """Two-sided p value of the mean paired difference under sign flips of whole clusters.

    Under the null hypothesis a subject's differences are as likely as their negatives. With at
    most 13 clusters all sign patterns are enumerated (exact); else p = (1 + hits) / (1 + draws).
    """
    totals = cluster_sums(differences, clusters)[:, 0]
    observed = abs(totals.sum())
    # Equal sums may differ in their last bit when added in another order.
    bound = observed - 1e-9 * max(1.0, np.abs(totals).sum())
    count = len(totals)
    if count <= _EXACT_CLUSTERS:
        patterns = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return float(np.mean(np.abs((2 * patterns - 1) @ totals) >= bound))
    generator, hits = np.random.default_rng(seed), 0
    for start in range(0, permutations, _CHUNK):
        size = min(_CHUNK, permutations - start)
        signs = 2.0 * generator.integers(0, 2, size=(size, count)) - 1
        hits += int(np.count_nonzero(np.abs(signs @ totals) >= bound))
    return (1 + hits) / (1 + permutations)


def paired_test(
    ours: ArrayLike,
    theirs: ArrayLike,
    clusters: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedTest:
    """Compare two runs on the same images: interval and test of the mean of ours - theirs."""
    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    return PairedTest(
        cluster_bootstrap(difference, clusters, resamples=resamples, seed=seed),
        sign_flip_p(difference, clusters, permutations=resamples, seed=seed),
    )


def seed_interval(differences: Sequence[float], level: float = 0.95) -> Interval | None:
    """Mean difference over training seeds with Student's t interval; None for one seed.

    Unlike an interval over subjects, it says what other training runs would give.
    """
    count = len(differences)
    if count < 2:
        return None
    mean = float(np.mean(differences))
    half = float(np.std(differences, ddof=1) / np.sqrt(count) * stdtrit(count - 1, 0.5 + level / 2))
    return Interval(mean, mean - half, mean + half, level, count)


def welch_interval(
    ours: Sequence[float], theirs: Sequence[float], level: float = 0.95
) -> Interval | None:
    """Difference of the means of two sets of training runs, with Welch's t interval.

    For runs that are not paired, and whose spread may differ. None where a side has one run.
    """
    if min(len(ours), len(theirs)) < 2:
        return None
    mean = float(np.mean(ours) - np.mean(theirs))
    a, b = (float(np.var(side, ddof=1)) / len(side) for side in (ours, theirs))
    if a + b == 0:
        return Interval(mean, mean, mean, level, len(ours) + len(theirs))
    freedom = (a + b) ** 2 / (a**2 / (len(ours) - 1) + b**2 / (len(theirs) - 1))
    half = float(np.sqrt(a + b) * stdtrit(freedom, 0.5 + level / 2))
    return Interval(mean, mean - half, mean + half, level, len(ours) + len(theirs))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given (family-wise error control)."""
    order = np.argsort(p_values, kind="stable")
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
