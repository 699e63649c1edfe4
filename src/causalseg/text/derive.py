"""Captions for one's own masks, by a stated rule.

Lungs. A side is named when it holds more than MIN_SHARE of the mask's pixels; the sides are the
image's halves, as the viewer sees them. A zone of a side is named when the mask is at least
MIN_WIDTH wide in more than MIN_HEIGHT of the image's rows there (the zone with most of the mask
where none is). Zones are cut at two heights of the image. The default cuts are those that agreed
best with the captions of QaTa-COV19's training split: its annotators say "lower" for all that
lies in the lower two thirds, and "middle" for what reaches above that. On the test split (2113
images) the same lungs are named in 98.8 %, a named lung has exactly the same zones in 70.8 %, and
the whole caption agrees in 60.2 %; cuts at anatomical thirds give 98.8, 42.6 and 30.0 %, the
commonest caption alone 32.2 %.

Polyps. 8-connected components of at least 0.1 % of the image are counted; the size is by their
share of the image (< 5 % small, < 15 % medium, else large); each centroid falls on a 3 x 3 grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalseg.errors import InputError
from causalseg.text.grammar_lung import ZONES, LungFinding, LungWording, lung_finding
from causalseg.text.grammar_polyp import _COLUMNS, _ROWS, MANY, PolypFinding

QATA_CUTS = (72 / 224, 78 / 224)
MIN_SHARE = 0.03
MIN_WIDTH = 6 / 224
MIN_HEIGHT = 4 / 224
MIN_COMPONENT = 0.001
SIZE_LIMITS = (("small", 0.05), ("medium", 0.15), ("large", 1.0))

MaskArray = NDArray[np.bool_]


def derive_lung(
    mask: MaskArray, wording: LungWording = "sgseg", cuts: tuple[float, float] = QATA_CUTS
) -> LungFinding:
    """The lung finding that a mask shows.

    Args:
        mask: (H, W) bool, of a frontal chest image with the spine near the middle column.
        wording: which caption wording the finding is for.
        cuts: where the middle zone begins and ends, as fractions of H from the top.

    Raises:
        InputError: the mask is not two-dimensional, or the cuts are not ascending within 0..1.

    """
    _check(mask)
    if not 0 < cuts[0] < cuts[1] < 1:
        raise InputError(f"the zone cuts must ascend between 0 and 1, not {cuts[0]} and {cuts[1]}.")
    middle = mask.shape[1] // 2
    total = mask.sum()
    halves = (mask[:, :middle], mask[:, middle:])
    left, right = (
        _zones(half, mask.shape[1], cuts) if half.sum() > MIN_SHARE * total else ()
        for half in halves
    )
    return lung_finding(left, right, wording)


def _zones(half: MaskArray, width: int, cuts: tuple[float, float]) -> tuple[str, ...]:
    height = len(half)
    per_row = half.sum(axis=1)
    bounds = [0, *(round(cut * height) for cut in cuts), height]
    bands = [slice(start, end) for start, end in pairwise(bounds)]
    wide = per_row >= MIN_WIDTH * width
    named = [bool(wide[band].sum() > MIN_HEIGHT * height) for band in bands]
    if not any(named):
        most = int(np.argmax([per_row[band].sum() for band in bands]))
        named[most] = True
    return tuple(zone for zone, said in zip(ZONES, named, strict=True) if said)


def derive_polyp(mask: MaskArray) -> PolypFinding:
    """The polyp finding that an (H, W) bool mask shows; cells from the largest polyp down."""
    from scipy import ndimage

    _check(mask)
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    kept = [i for i in range(1, count + 1) if areas[i] >= MIN_COMPONENT * mask.size]
    kept.sort(key=lambda i: -areas[i])
    if not kept:
        return PolypFinding(0, None, ())
    share = mask.sum() / mask.size
    size = next(name for name, limit in SIZE_LIMITS if share < limit or limit == 1.0)
    centres = ndimage.center_of_mass(mask, labels, kept)
    cells = dict.fromkeys(_cell(centre, mask.shape) for centre in centres)
    return PolypFinding(min(len(kept), MANY), size, tuple(cells))


def _cell(centre: Any, shape: tuple[int, ...]) -> tuple[str, str]:
    row, column = (
        min(int(3 * place / extent), 2) for place, extent in zip(centre, shape, strict=True)
    )
    return _ROWS[row], _COLUMNS[column]


@dataclass(frozen=True)
class Agreement:
    """How far derived lung captions agree with written ones, as counts."""

    images: int
    laterality: int
    """Images whose captions name the same lungs."""
    captions: int
    """Images whose captions name the same zones of both lungs."""
    lungs: int
    """Lungs named in the written captions."""
    lungs_exact: int
    """Of these, lungs with the same zones in the derived caption."""


def agreement(derived: Sequence[LungFinding], written: Sequence[LungFinding]) -> Agreement:
    """Compare findings in pairs."""
    pairs = [
        ((mine.left, theirs.left), (mine.right, theirs.right))
        for mine, theirs in zip(derived, written, strict=True)
    ]
    named = [(mine, theirs) for pair in pairs for mine, theirs in pair if theirs is not None]
    return Agreement(
        images=len(pairs),
        laterality=sum(all((a is None) == (b is None) for a, b in pair) for pair in pairs),
        captions=sum(all(a == b for a, b in pair) for pair in pairs),
        lungs=len(named),
        lungs_exact=sum(mine == theirs for mine, theirs in named),
    )


def _check(mask: MaskArray) -> None:
    if mask.ndim != 2 or mask.dtype != np.bool_ or mask.size == 0:
        raise InputError(f"a mask must be (H, W) bool, not {mask.shape} {mask.dtype}.")
