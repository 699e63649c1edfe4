"""Overlap metrics of binary masks, per image (macro) and summed over a set (micro).

Dice = 2 TP / (2 TP + FP + FN) and IoU = TP / (TP + FP + FN). Micro values obey
IoU = D / (2 - D); means of per-image values do not.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

EMPTY_RULE = (
    "An image whose true mask and predicted mask are both empty scores 1 (Dice, IoU, NSD, lesion "
    "F1) and distance 0; where exactly one of the two is empty it scores 0, and its HD95 is the "
    "image's diagonal. No image is left out."
)

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Pixel counts of one image, or summed over a set."""

    tp: int
    fp: int
    fn: int
    tn: int


def check_pair(prediction: BoolArray, truth: BoolArray) -> None:
    """Refuse anything but two boolean arrays of one shape (any number of axes).

    Raises:
        TypeError: an array is not boolean (a probability map has to be thresholded first).
        ValueError: the shapes differ.

    """
    if prediction.dtype != np.bool_ or truth.dtype != np.bool_:
        raise TypeError(f"masks must be boolean, got {prediction.dtype} and {truth.dtype}")
    if prediction.shape != truth.shape:
        raise ValueError(f"mask shapes differ: {prediction.shape} and {truth.shape}")


def confusion(prediction: BoolArray, truth: BoolArray) -> Counts:
    """Count TP, FP, FN and TN of two boolean (H, W) masks."""
    check_pair(prediction, truth)
    tp = int(np.count_nonzero(prediction & truth))
    fp = int(np.count_nonzero(prediction)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return Counts(tp, fp, fn, truth.size - tp - fp - fn)


def dice_from_counts(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> FloatArray:
    """Dice in [0, 1] from counts of any common shape; 1 where all three are 0."""
    top = 2 * np.asarray(tp, np.float64)
    return _ratio(top, top + np.asarray(fp) + np.asarray(fn))


def iou_from_counts(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> FloatArray:
    """IoU in [0, 1] from counts of any common shape; 1 where all three are 0."""
    top = np.asarray(tp, np.float64)
    return _ratio(top, top + np.asarray(fp) + np.asarray(fn))


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.divide(top, bottom, out=np.ones_like(top), where=bottom > 0)


def dice(prediction: BoolArray, truth: BoolArray) -> float:
    """Dice of two boolean (H, W) masks in [0, 1]; both empty is 1, one empty is 0."""
    counts = confusion(prediction, truth)
    return float(dice_from_counts(counts.tp, counts.fp, counts.fn))


def iou(prediction: BoolArray, truth: BoolArray) -> float:
    """Intersection over union of two boolean (H, W) masks; both empty is 1, one empty is 0."""
    counts = confusion(prediction, truth)
    return float(iou_from_counts(counts.tp, counts.fp, counts.fn))


def iou_of_dice(value: ArrayLike) -> FloatArray:
    """IoU = D / (2 - D): exact for one image and for micro values, not for means of images."""
    d = np.asarray(value, np.float64)
    return d / (2 - d)


def batch_dice(prediction: "Tensor", truth: "Tensor") -> "Tensor":
    """Dice per image of binary batches, on whichever device they are.

    Args:
        prediction: (B, 1, H, W), bool or {0, 1}.
        truth: same shape, bool or {0, 1}.

    Returns:
        (B,) float32 in [0, 1]; both empty is 1, one empty is 0.

    """
    if prediction.shape != truth.shape:
        raise ValueError(f"mask shapes differ: {tuple(prediction.shape)} and {tuple(truth.shape)}")
    predicted, true = prediction.bool().flatten(1), truth.bool().flatten(1)
    both = (predicted & true).sum(1).float()
    total = (predicted.sum(1) + true.sum(1)).float()
    # Counts reach 2^24 only beyond 4096 x 4096 pixels, so float32 holds them exactly.
    return (2 * both / total.clamp(min=1)).masked_fill(total == 0, 1.0)
