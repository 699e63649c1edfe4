"""Boundary distance and lesion metrics of 2D binary masks.

A mask's boundary is its pixels with a 4-neighbour outside the mask; pixels beyond the image count
as outside, so a mask that touches the image's edge has boundary there. Distances run between pixel
centres, scaled by the spacing. This is the definition of MONAI 1.6 (`SurfaceDiceMetric` with
`use_subvoxels=False`, `HausdorffDistanceMetric(percentile=95)`), against which the tests hold it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, label
from scipy.spatial import KDTree

from causalseg.evaluation.metrics import BoolArray, FloatArray, check_pair

LESION_OVERLAP = 0.1
LESION_RULE = (
    "Lesions are 8-connected components. A true lesion is found when at least 10 % of its pixels "
    "are predicted; a predicted lesion is right when at least 10 % of its pixels are true. "
    "Lesion F1 is the harmonic mean of the share found and the share right."
)

_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class SurfaceScores:
    """NSD in [0, 1] and HD95 in the spacing's unit."""

    nsd: float
    hd95: float


def boundary_points(mask: BoolArray, spacing: tuple[float, float] = (1.0, 1.0)) -> FloatArray:
    """Coordinates (N, 2) of the boundary pixels' centres, rows then columns, times spacing."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return np.empty((0, 2))
    # Cropping to the mask and padding by one background pixel leaves the boundary as it is.
    top, left = rows[0], columns[0]
    crop = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    points = np.argwhere(crop & ~binary_erosion(crop)) - 1 + np.array([top, left])
    scaled: FloatArray = points * np.asarray(spacing, np.float64)
    return scaled


def surface_scores(
    prediction: BoolArray,
    truth: BoolArray,
    *,
    tolerance: float,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> SurfaceScores:
    """Normalised surface Dice (NSD) and the 95th percentile Hausdorff distance (HD95).

    NSD is the share of all boundary pixels, of both masks, that lie within `tolerance` of the
    other's boundary. HD95 is the larger of the two directed 95th percentiles (linear
    interpolation).

    Args:
        prediction: (H, W) bool.
        truth: (H, W) bool.
        tolerance: in the unit of `spacing`: pixels for (1, 1), else mm.
        spacing: size of a pixel (row, column).

    Returns:
        Both empty: 1 and 0. One empty: 0 and the image's diagonal.

    """
    check_pair(prediction, truth)
    ours, theirs = boundary_points(prediction, spacing), boundary_points(truth, spacing)
    if len(ours) == 0 and len(theirs) == 0:
        return SurfaceScores(1.0, 0.0)
    if len(ours) == 0 or len(theirs) == 0:
        return SurfaceScores(0.0, float(np.hypot(*(np.array(truth.shape) * spacing))))
    forth = KDTree(theirs).query(ours)[0]
    back = KDTree(ours).query(theirs)[0]
    near = np.count_nonzero(forth <= tolerance) + np.count_nonzero(back <= tolerance)
    far = max(np.percentile(forth, 95), np.percentile(back, 95))
    return SurfaceScores(near / (len(forth) + len(back)), float(far))


def lesion_f1(prediction: BoolArray, truth: BoolArray) -> float:
    """Lesion-wise F1 in [0, 1] by `LESION_RULE`; both empty is 1, one empty is 0."""
    check_pair(prediction, truth)
    if not prediction.any() and not truth.any():
        return 1.0
    found, right = _share_hit(truth, prediction), _share_hit(prediction, truth)
    return 0.0 if found + right == 0 else 2 * found * right / (found + right)


def _share_hit(mask: BoolArray, other: BoolArray) -> float:
    """Share of `mask`'s components of which at least `LESION_OVERLAP` lies in `other`."""
    components, count = label(mask, structure=_EIGHT)
    if count == 0:
        return 0.0
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    hits = np.bincount(components[other], minlength=count + 1)[1:]
    return float(np.mean(hits >= LESION_OVERLAP * sizes))
