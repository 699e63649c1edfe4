"""The zones that a sentence names: in words, and whether a mask lies in them.

The check is a warning, never a correction. Zones are bands of the picture's rows in its left and
right half (`BANDS`), which overlap, and a mask in the overlap fits both names.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from causalseg.models.checks import BANDS, Bands, half_of
from causalseg.text.reading import Reading
from causalseg.text.words import SIDES, in_words

MOST = 0.5
"""Share of a mask outside the zones named from which an answer says so."""


def outside(
    mask: NDArray[np.uint8], zones: Iterable[tuple[str, str]], bands: Bands = BANDS
) -> float:
    """Share of a mask's pixels outside some zones; 0 for an empty mask.

    Args:
        mask: (H, W) of 0 and 1, upright.
        zones: (side, height) pairs in the picture's sides.
        bands: rows of each height.

    """
    height, width = mask.shape
    inside = np.zeros(mask.shape, bool)
    for side, name in zones:
        first, last = (round(edge * height) for edge in bands[name])
        inside[:, half_of(width, side)[1]][first:last] = True
    total = int(mask.sum())
    return float(mask[~inside].sum()) / total if total else 0.0


def misplaced(mask: NDArray[np.uint8], zones: tuple[tuple[str, str], ...]) -> str | None:
    """What to tell of a mask (H, W), upright, most of which is not in the zones asked for."""
    share = outside(mask, zones) if zones else 0.0
    if share <= MOST:
        return None
    return (
        f"{100 * share:.0f} % of the mask lies outside the place that the text names "
        f"({in_words(zones)}): what was drawn may not be what was asked for."
    )


def meaning(found: Reading) -> str:
    """Which lungs a text means, in words, and whose sides it was taken to give; "" for none."""
    zones = found.asked("viewer")
    left, right = ([height for one, height in zones if one == side] for side in SIDES)
    if left == right:
        return in_words(zones)
    said = "gives" if found.sides_said else "is taken to give"
    return f"{in_words(zones)} (the text {said} the {found.sides}'s sides)"
