"""What can be wrong with a record once its files are read; shared by reading and auditing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from causalseg.data.images import decode_mask, decode_picture, read_image_bytes
from causalseg.data.manifest import Problem, Record
from causalseg.errors import InputError


@dataclass(frozen=True)
class Inspection:
    """A record's image and mask, as far as they can be decoded, and what is wrong."""

    image: NDArray[np.uint8] | None
    mask: NDArray[np.bool_] | None
    problems: tuple[Problem, ...]


def inspect_record(root: Path, record: Record) -> Inspection:
    """Decode a record's two files and check that they belong together."""
    problems: list[Problem] = []

    def error(kind: str, path: Path, message: str) -> None:
        where = str(path.relative_to(root))
        problems.append(Problem(kind, "error", where, message, record.name))

    image: NDArray[np.uint8] | None = None
    mask: NDArray[np.bool_] | None = None
    try:
        picture = decode_picture(read_image_bytes(record.image), record.image.name)
        image = picture.pixels
        where = str(record.image.relative_to(root))
        for note in picture.warnings:
            problems.append(Problem("picture changed", "warning", where, note, record.name))
    except InputError as failure:
        error("unreadable image", record.image, str(failure).rstrip("."))
    try:
        mask = decode_mask(read_image_bytes(record.mask), record.mask.name)
    except InputError as failure:
        kind = "non-binary mask" if "not a binary mask" in str(failure) else "unreadable mask"
        error(kind, record.mask, str(failure).rstrip("."))
    if image is not None and mask is not None and image.shape[:2] != mask.shape:
        (ih, iw), (mh, mw) = image.shape[:2], mask.shape
        error("size mismatch", record.mask, f"the mask is {mw} x {mh}, its image {iw} x {ih}")
    return Inspection(image, mask, tuple(problems))
