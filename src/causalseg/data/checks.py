"""What can be wrong with a record once its files are read; shared by reading and auditing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from causalseg.data.images import decode_mask, decode_picture, read_image_bytes
from causalseg.data.manifest import Problem, Record, Split
from causalseg.errors import InputError
from causalseg.files import sha256_of


@dataclass(frozen=True)
class Inspection:
    """A record's decoded image and mask, as far as they can be had, and what is wrong."""

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


def find_leaks(root: Path, records: Mapping[Split, Sequence[Record]]) -> list[Problem]:
    """Byte-identical images in two splits.

    Args:
        root: The data set's folder.
        records: By split, from training to test; of two identical images the one in the earlier
            split is reported, so that leaving it out keeps the test split whole.

    Returns:
        One problem for each image that a later split holds too.

    """
    by_size: dict[int, list[tuple[Split, Record]]] = defaultdict(list)
    for split, rows in records.items():
        for record in rows:
            by_size[_size_of(record.image)].append((split, record))
    last: dict[str, tuple[Split, Record]] = {}
    leaks: list[Problem] = []
    order = list(records)
    candidates = [e for group in by_size.values() if len({s for s, _ in group}) > 1 for e in group]
    for split, record in sorted(candidates, key=lambda e: order.index(e[0]), reverse=True):
        digest = _hash(record.image)
        if digest is None:
            continue
        kept_split, kept = last.setdefault(digest, (split, record))
        if kept_split != split:
            where, other = (str(r.image.relative_to(root)) for r in (record, kept))
            message = f"byte-identical to {other}; keep it in one split"
            leaks.append(
                Problem("image in two splits", "error", where, message, record.name, other)
            )
    return leaks


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _hash(path: Path) -> str | None:
    """None where the file cannot be read: that is another problem's to report."""
    try:
        return sha256_of(path)
    except InputError:
        return None
