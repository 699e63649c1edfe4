"""TIFF: what its tags say about the samples and Pillow ignores."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS, PHOTOMETRIC, ORIENTATION, PLANAR, SAMPLE_FORMAT = 258, 262, 274, 284, 339

# Big-endian layouts that libtiff has put into the machine's order before Pillow unpacks them.
NATIVE = {"F;32BF": "F;32NF", "I;16BS": "I;16NS", "I;32BS": "I;32NS"}


def number_type(image: Image.Image) -> NDArray[Any]:
    """Grey or RGB samples in the number type that a TIFF states, which Pillow may have lost."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    signed = tags.get(SAMPLE_FORMAT, (1,))[0] == 2
    if image.mode == "L" and signed and tags.get(BITS, (8,))[0] == 8:
        return values.view(np.int8)
    if image.mode == "I" and not signed and tags.get(BITS, (0,))[0] == 32:
        return values.view(np.uint32)
    return values


def white_to_black(data: bytes) -> tuple[bytes, bool]:
    """A TIFF in which 0 is white, declared as one in which 0 is black, and whether it was one.

    Pillow inverts some depths, leaves others as they are and cannot open the rest; declared so, it
    reads every depth alike, and `decode_raster` inverts them all.
    """
    order = {b"II": "little", b"MM": "big"}.get(data[:2])
    if order is None:
        return data, False

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    big = number(2, 2) == 43
    wide, entry = (8, 20) if big else (4, 12)
    start = number(8, 8) if big else number(4, 4)
    count_size = 8 if big else 2
    first = start + count_size
    count = min(number(start, count_size), (len(data) - first) // entry)
    for at in range(first, first + count * entry, entry):
        if number(at, 2) == PHOTOMETRIC:
            size = {3: 2, 4: 4}.get(number(at + 2, 2), 0)
            value = at + 4 + wide
            if size == 0 or number(value, size) != 0:
                return data, False
            patched = bytearray(data)
            patched[value : value + size] = (1).to_bytes(size, order)  # type: ignore[arg-type]
            return bytes(patched), True
    return data, False


def invert(values: NDArray[Any]) -> NDArray[Any]:
    """Samples for which 0 is white to samples for which 0 is black."""
    # ~x is max - x for unsigned integers, -1 - x for signed ones.
    return 1 - values if values.dtype.kind == "f" else ~values
