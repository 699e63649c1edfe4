"""Selective segmentation: does a model's own confidence find its bad cases?

Images are ranked by confidence; at coverage c the most confident share c is kept and the selective
risk is the mean risk (1 - Dice) of what is kept. AURC is the mean of the selective risk over all
coverages 1/n, 2/n, ..., 1 (Geifman and El-Yaniv 2019). Lower is better; a confidence without
information gives the mean risk.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalseg.evaluation.metrics import FloatArray
from causalseg.models.checks import strongest


@dataclass(frozen=True)
class RiskCoverage:
    """Curve (n,) of selective risk at coverage (n,), its area, and the least possible area."""

    coverage: FloatArray
    risk: FloatArray
    aurc: float
    optimal_aurc: float


def soft_dice_confidence(probability: NDArray[np.floating], threshold: float) -> float:
    """Confidence of an image: the Dice a model may expect of its own mask.

    2 sum(p m) / (sum p + sum m) with m = p >= threshold (Borges et al. 2024). That is 0 for every
    empty mask, however sure; an empty mask is as sure here as its strongest pixels are weak.
    """
    p = np.asarray(probability, np.float64)
    mask = p >= threshold
    if not mask.any():
        return 1 - float(strongest(p).mean())
    return float(2 * p[mask].sum() / (p.sum() + mask.sum()))


def risk_coverage(confidence: ArrayLike, risk: ArrayLike) -> RiskCoverage:
    """Risk-coverage curve of n images; ties in confidence share their mean risk.

    Raises:
        ValueError: the arrays differ in length or are empty.

    """
    sure, loss = np.asarray(confidence, np.float64), np.asarray(risk, np.float64)
    if sure.shape != loss.shape or sure.ndim != 1 or sure.size == 0:
        raise ValueError("confidence and risk must be two equally long, non-empty vectors")
    # The mean over tied images is the expectation over their random orders.
    _, group = np.unique(-sure, return_inverse=True)
    expected = (np.bincount(group, weights=loss) / np.bincount(group))[group]
    kept = np.arange(1, sure.size + 1)
    curve = np.cumsum(expected[np.argsort(-sure, kind="stable")]) / kept
    optimal = np.cumsum(np.sort(loss)) / kept
    return RiskCoverage(kept / sure.size, curve, float(curve.mean()), float(optimal.mean()))
