"""Compressed DICOM frames: what a codestream claims, read before a decoder allocates it."""

from causalseg.errors import InputError


def _codestream(stream: bytes) -> bytes:
    """The JPEG 2000 codestream inside JP2 boxes; any other stream unchanged.

    Raises:
        InputError: a box that leads nowhere, on which parsers have been seen to loop forever.

    """
    if not stream.startswith(b"\x00\x00\x00\x0cjP  "):
        return stream
    at = 12
    while at < len(stream):
        length = int.from_bytes(stream[at : at + 4], "big")
        if stream[at + 4 : at + 8] == b"jp2c":
            return stream[at + 8 :]
        if length < 8:
            break
        at += length
    raise InputError("the JPEG 2000 boxes of a frame are damaged.")


def _segments(stream: bytes) -> list[tuple[int, bytes]]:
    """(marker, content) of a JPEG's segments up to its first start of frame."""
    found = []
    at = 2 if stream[:2] == b"\xff\xd8" else len(stream)
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        found.append((marker, stream[at + 4 : at + 2 + length]))
        if _is_frame(marker):
            break
        at += 2 + length
    return found


def _is_frame(marker: int) -> bool:
    """Start of frame: C0..CF except tables and reserved ones; F7 in JPEG-LS."""
    return marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC))


def stream_size(stream: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream claims; None if not found.

    The header's size is checked before decoding, but a decoder allocates what the stream claims.

    Raises:
        InputError: JP2 boxes that hold no codestream.

    """
    stream = _codestream(stream)
    if stream[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000: start, then the size segment
        extent = [int.from_bytes(stream[at : at + 4], "big") for at in (8, 12, 16, 20)]
        return extent[1] - extent[3], extent[0] - extent[2]
    for marker, content in _segments(stream):
        if _is_frame(marker) and len(content) >= 5:
            return int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    return None


def unmarked_colours(stream: bytes) -> bool:
    """Whether a JPEG of three components says nothing about its colours.

    Neither a JFIF nor an Adobe marker, and no components called R, G and B: every decoder then
    takes it for YCbCr.
    """
    for marker, content in _segments(stream):
        if (marker == 0xE0 and content[:4] == b"JFIF") or (
            marker == 0xEE and content[:5] == b"Adobe"
        ):
            return False
        if _is_frame(marker) and len(content) >= 15 and content[5] == 3:
            return bytes(content[6:15:3]) != b"RGB"
    return False
