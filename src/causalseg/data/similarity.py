"""Near-identical images, found by a perceptual hash."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16
MAX_BITS = 24
"""Of 480 hash bits, how many may differ. In QaTa-COV19, copies recoded as JPEG of quality 50 or
halved in size differ in at most 23, and the closest pair of different radiographs in 55."""
BLOCK = 2048


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Reduce (H, W) or (H, W, 3) uint8 to a grey (16, 16) float32 in 0..255."""
    grey = Image.fromarray(image).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)


def difference_hash(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """The signs of the horizontal and vertical steps: (N, 16, 16) to (N, 480) of -1 and 1."""
    count = len(thumbnails)
    steps = [np.diff(thumbnails, axis=axis).reshape(count, -1) for axis in (1, 2)]
    signs: NDArray[np.float32] = np.where(np.concatenate(steps, axis=1) > 0, 1, -1).astype(
        np.float32
    )
    return signs


def near_identical(
    thumbnails: NDArray[np.float32], groups: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, from different groups whose images are nearly the same.

    The hashes' Hamming distances come from a product of sign matrices, (bits - a·b) / 2, block by
    block, so that 10 000 images take seconds.

    Args:
        thumbnails: (N, 16, 16) float32, sorted by group.
        groups: (N,) int64, ascending.

    """
    signs = difference_hash(thumbnails)
    least = signs.shape[1] - 2 * MAX_BITS
    for start in range(0, len(signs), BLOCK):
        # Only images of later groups are compared with this block: each pair once.
        later = int(np.searchsorted(groups, groups[start], side="right"))
        for other in range(later, len(signs), BLOCK):
            block = signs[start : start + BLOCK] @ signs[other : other + BLOCK].T
            for i, j in np.argwhere(block >= least) + np.array([start, other]):
                if groups[i] < groups[j]:
                    yield int(i), int(j)
