"""From a probability map to what a user receives: its size and its mask.

Every command, the page, the server and the evaluation go through these two functions, so that what
is scored is what is given.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resize_map(values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Map (h, w) brought to `shape` (H, W) bilinearly, with antialiasing where it shrinks.

    Values stay inside their range.
    """
    if values.shape == shape:
        return values
    picture = Image.fromarray(np.asarray(values, dtype=np.float32))
    resized = picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def foreground(probability: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Where the probability is at least the threshold; any shape."""
    return np.asarray(probability >= threshold)
