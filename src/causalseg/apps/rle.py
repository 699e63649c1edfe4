"""Run-length encoding of masks as COCO writes it: uncompressed, column by column."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from causalseg.errors import InputError


def encode(mask: npt.NDArray[Any]) -> dict[str, list[int]]:
    """Encode a mask.

    Args:
        mask: (H, W), anything but 0 is inside.

    Returns:
        `size` [H, W] and `counts`: lengths of runs of 0 and 1 in turn, beginning with 0, of the
        mask read down its columns. COCO's tools read it as it is.

    """
    flat = (np.asarray(mask) != 0).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {"size": [int(side) for side in mask.shape], "counts": counts}


def decode(encoded: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """The mask {0, 1} of shape `size`.

    Raises:
        InputError: the counts do not fill the size.

    """
    (height, width), counts = encoded["size"], encoded["counts"]
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise InputError(f"the runs do not fill a mask of {height} x {width} pixels.")
    values = np.arange(len(counts), dtype=np.uint8) % 2
    return np.repeat(values, counts).reshape((height, width), order="F")
