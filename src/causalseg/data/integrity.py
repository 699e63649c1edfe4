"""What Pillow does not check of a file: a PNG's checksums, a JPEG's end, and palettes."""

import zlib

import numpy as np
from PIL import Image

from causalseg.errors import InputError

_PNG = b"\x89PNG\r\n\x1a\n"
_LAST_PART = {b"\xff\xd8\xff": b"\xff\xda", b"\xff\x4f\xff": b"\xff\x93"}
"""How JPEG and JPEG 2000 begin, and the marker of a scan or a tile's samples."""
_COLOUR_MAP = 320


def check_png(data: bytes, name: str) -> None:
    """Refuse a PNG with a damaged chunk, whose pixels Pillow would decode to something else.

    Args:
        data: bytes of a picture of any format.
        name: What the message calls the file.

    Raises:
        InputError: a PNG, and one of its chunks differs from its checksum or is cut.

    """
    at = len(_PNG)
    while data.startswith(_PNG) and at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if zlib.crc32(memoryview(data)[at + 4 : end]).to_bytes(4, "big") != data[end : end + 4]:
            raise InputError(
                f"{name} is damaged or truncated (a checksum is wrong): fetch it again."
            )
        if data[at + 4 : at + 8] == b"IEND":
            return
        at = end + 4


def check_end(data: bytes, name: str) -> None:
    """Refuse a JPEG or JPEG 2000 whose samples have no end: cut, or filled up with zeros.

    Decoders take the zeros for pixels.

    Args:
        data: bytes of a picture of any format.
        name: What the message calls the file.

    Raises:
        InputError: one of these, without an end marker behind its last scan or tile.

    """
    last = _LAST_PART.get(data[:3])
    if last and data.find(b"\xff\xd9", data.rfind(last)) < 0:
        raise InputError(f"{name} is damaged or truncated (it has no end): fetch it again.")


def settle_palette(image: Image.Image, name: str) -> None:
    """Mend the palette of a TIFF that holds 8 bits where 16 are meant; Pillow reads it as black.

    Args:
        image: decoded, of mode P.
        name: What the message calls the file.

    Raises:
        InputError: a pixel has a palette entry that is not there.

    """
    stored = getattr(image, "tag_v2", {}).get(_COLOUR_MAP, ())
    if stored and 0 < max(stored) < 256:
        image.putpalette(np.reshape(stored, (3, -1)).T.astype(np.uint8).tobytes())
    entries = len(image.getpalette() or ()) // 3
    if int(np.asarray(image).max()) >= entries:
        raise InputError(
            f"{name} has pixels beyond the {entries} entries of its palette: it is damaged, fetch "
            "it again."
        )
