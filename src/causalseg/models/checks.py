"""Checks of one answer, each set by `causalseg calibrate` and kept in the checkpoint."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Bands = dict[str, tuple[float, float]]

BANDS: Bands = {"upper": (0.0, 0.46), "middle": (0.28, 0.68), "lower": (0.40, 1.0)}
"""First and last row of each zone, as shares of the picture's height, as the captions of QaTa-COV19
use the names: "lower" is said of all that lies in the lower 60 %, so the bands overlap. Chosen by
`scripts/zone_check.py`: of the bands that at most 2 % of the validation images' true masks leave
with most of their area, those that tell most masks drawn in another zone than asked."""


@dataclass(frozen=True)
class ImageCheck:
    """Distance of an image from the training images, in the features of the image tower.

    The features of the deepest stage, averaged over places, are standardised and projected on the
    principal components of the training images; the residual's squared length is the distance. An
    image of another kind (turned, inverted, another organ, noise) needs directions that no
    training image needed.
    """

    mean: Float32Array
    """(D,)"""
    scale: Float32Array
    """(D,): standard deviations."""
    components: Float32Array
    """(K, D), orthonormal rows."""
    threshold: float
    """The distance that `false_alarms` of the validation images exceed."""
    false_alarms: float

    def distance(self, summary: NDArray[Any]) -> float:
        """Squared residual of one image's features (D,), as a share of `threshold`."""
        z = (np.asarray(summary, np.float64) - self.mean) / self.scale
        residual = z - (z @ self.components.T) @ self.components
        return float(residual @ residual) / self.threshold

    def warning(self, summary: NDArray[Any]) -> str | None:
        """What to tell of an image that is unlike the training images."""
        distance = self.distance(summary)
        if distance <= 1:
            return None
        times = f"{distance:.1f}" if distance < 10 else "over 10"
        return (
            "this picture is unlike those that the model was trained on "
            f"({times} times the distance that {100 * (1 - self.false_alarms):.0f} % of "
            "such pictures stay within): do not believe the mask unless you know why."
        )


@dataclass(frozen=True)
class OverlapEstimate:
    """Dice that a mask can be expected to have, from the model's own probabilities.

    For a mask A and probabilities p, softened by a temperature T since networks are overconfident,
    the expected overlap 2 sum_A p / (sum p + |A|) ranks masks well; its scale is set by validation
    images, by isotonic regression of their Dice.
    """

    temperature: float
    knots: Float32Array
    """(4, N): ascending scores, and the Dice expected there with its lower and upper bound."""
    coverage: float
    """Share of images between the bounds."""

    def score(self, probability: NDArray[Any], mask: NDArray[Any]) -> float:
        """Expected overlap before the scale is set, 0 to 1; nan for an empty mask."""
        return expected_overlap(probability, mask, self.temperature)

    def __call__(self, probability: NDArray[Any], mask: NDArray[Any]) -> "Expected | None":
        """The Dice to expect of a mask (H, W); None of an empty one, which has no overlap."""
        score = self.score(probability, mask)
        if np.isnan(score):
            return None
        scores, *curves = self.knots.astype(np.float64)
        dice, low, high = (float(np.interp(score, scores, curve)) for curve in curves)
        return Expected(dice, low, high, self.coverage)


@dataclass(frozen=True)
class Expected:
    """Dice to be expected, with the bounds between which `coverage` of validation images lay."""

    dice: float
    low: float
    high: float
    coverage: float

    def __str__(self) -> str:
        share = f"{100 * self.coverage:.0f} %"
        return f"{self.dice:.2f} ({share} interval {self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class PlaceCheck:
    """Where masks of the training images lie, on a coarse grid."""

    support: Float32Array
    """(R, R) of 0 and 1: cells that training masks touch."""
    most: float
    """Share of its cells outside the support that a mask may have."""

    def outside(self, mask: NDArray[Any]) -> float:
        """Share of the cells that a mask (H, W) touches that lie outside the support."""
        cells = touched(mask, len(self.support))
        return float((cells & (self.support == 0)).sum() / max(1, cells.sum()))

    def warning(self, mask: NDArray[Any]) -> str | None:
        """What to tell of a mask (H, W) that lies where no training mask does."""
        outside = self.outside(mask)
        if outside <= self.most:
            return None
        return (
            f"{100 * outside:.0f} % of the mask lies where training images hardly ever have a "
            "finding (outside the lungs of an ordinary picture)."
        )


def touched(mask: NDArray[Any], size: int) -> NDArray[np.bool_]:
    """(size, size): cells of a grid that a mask (H, W) touches."""
    rows, columns = np.nonzero(mask)
    cells = np.zeros((size, size), bool)
    cells[rows * size // mask.shape[0], columns * size // mask.shape[1]] = True
    return cells


def expected_overlap(probability: NDArray[Any], mask: NDArray[Any], temperature: float) -> float:
    """2 sum_A p / (sum p + |A|), p softened by the temperature; nan for an empty mask A.

    Args:
        probability: (H, W) in [0, 1].
        mask: (H, W) of 0 and 1.
        temperature: divides the logits.

    """
    inside = np.asarray(mask, bool)
    if not inside.any():
        return float("nan")
    p = np.clip(np.asarray(probability, np.float64), 1e-6, 1 - 1e-6)
    soft = 1 / (1 + ((1 - p) / p) ** (1 / temperature))
    return float(2 * soft[inside].sum() / (soft.sum() + inside.sum()))


def strongest(probability: NDArray[Any], share: float = 0.02) -> NDArray[Any]:
    """The largest of some probabilities, a share of them and at least one, as (N,)."""
    count = max(1, round(share * probability.size))
    return np.partition(probability.ravel(), -count)[-count:]


def half_of(width: int, side: str) -> tuple[Any, slice]:
    """The left or right half of a picture (..., H, W) of that width, as an index."""
    return ..., slice(None, width // 2) if side == "left" else slice(width // 2, None)
