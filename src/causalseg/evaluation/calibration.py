"""Calibration of foreground probabilities: Brier score, ECE and reliability bins.

Each pixel is a binary forecast. Per image: Brier = mean (p - y)^2 and
ECE = sum_b (n_b / n) |mean p in bin b - share of foreground in bin b|, equal-width bins on [0, 1].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalseg.evaluation.metrics import BoolArray, FloatArray

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Per bin: pixels, sum of probabilities, and foreground pixels; each (bins,) float64."""

    pixels: FloatArray
    probability: FloatArray
    foreground: FloatArray

    def __add__(self, other: "Reliability") -> "Reliability":
        """Pool two images' (or sets') bins."""
        return Reliability(
            self.pixels + other.pixels,
            self.probability + other.probability,
            self.foreground + other.foreground,
        )

    @property
    def ece(self) -> float:
        """Expected calibration error in [0, 1]."""
        return float(np.abs(self.probability - self.foreground).sum() / self.pixels.sum())


def reliability(
    probability: NDArray[np.floating], truth: BoolArray, bins: int = BINS
) -> Reliability:
    """Bin the pixels of one image by their foreground probability.

    Args:
        probability: (H, W) in [0, 1].
        truth: (H, W) bool.
        bins: number of equal-width bins; p = 1 falls in the last.

    Raises:
        ValueError: shapes differ, or a probability is NaN or outside [0, 1].

    """
    if probability.shape != truth.shape:
        raise ValueError(f"shapes differ: {probability.shape} and {truth.shape}")
    p = np.asarray(probability, np.float64).ravel()
    if not (p.min() >= 0 and p.max() <= 1):
        raise ValueError("probabilities must lie in [0, 1]")
    where = np.minimum((p * bins).astype(np.int64), bins - 1)
    ones, true = np.ones_like(p), truth.ravel().astype(np.float64)
    pixels, summed, foreground = (
        np.bincount(where, weights=weights, minlength=bins).astype(np.float64)
        for weights in (ones, p, true)
    )
    return Reliability(pixels, summed, foreground)


def brier(probability: NDArray[np.floating], truth: BoolArray) -> float:
    """Mean squared difference of probability and truth over one image's pixels, in [0, 1]."""
    if probability.shape != truth.shape:
        raise ValueError(f"shapes differ: {probability.shape} and {truth.shape}")
    return float(np.mean(np.square(np.asarray(probability, np.float64) - truth)))
