"""How a stored picture is turned before it is looked at, and turned back afterwards."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""A picture, (H, W) or (H, W, 3)."""


@dataclass(frozen=True)
class Display:
    """How a stored frame is turned into the standard display, and back.

    The standard display is the one of a light box: columns run to the patient's left and rows to
    the feet (frontal) or to the back (axial); in a lateral view columns run to the back. For a
    picture it is upright, by its EXIF orientation. The axes are swapped first, then flipped.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def identity(self) -> bool:
        """Whether the stored frame is the standard display already."""
        return not (self.transpose or self.flip_rows or self.flip_columns)

    @property
    def exif_orientation(self) -> int:
        """The EXIF orientation (1 to 8) that asks a viewer for exactly this turn."""
        return next(number for number, turn in EXIF_DISPLAYS.items() if turn == self)

    def apply(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Stored frame (H, W, ...) to the standard display."""
        if self.transpose:
            frame = frame.swapaxes(0, 1)
        return frame[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def undo(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Displayed frame (H, W, ...) to the source's own geometry: the inverse of `apply`."""
        frame = frame[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return frame.swapaxes(0, 1) if self.transpose else frame


# Tag 274 of EXIF 2.3 (and of TIFF 6.0): where row 0 and column 0 of the stored picture belong.
EXIF_DISPLAYS = {
    1: Display(),
    2: Display(flip_columns=True),
    3: Display(flip_rows=True, flip_columns=True),
    4: Display(flip_rows=True),
    5: Display(transpose=True),
    6: Display(transpose=True, flip_columns=True),
    7: Display(transpose=True, flip_rows=True, flip_columns=True),
    8: Display(transpose=True, flip_rows=True),
}
