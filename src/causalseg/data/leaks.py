"""What two splits of a data set must not share: an image, a changed copy of one, or a subject."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np

from causalseg.data.images import decode_picture, read_image_bytes
from causalseg.data.manifest import Problem, Record, Split
from causalseg.data.similarity import EDITION, find_copies, thumbnail
from causalseg.errors import InputError
from causalseg.files import sha256_of, write_json
from causalseg.inputs import read_json
from causalseg.progress import track

LeakRule = Literal["refuse", "leave_out", "keep"]
"""What to do about changed copies and subjects in two splits: refuse the data; leave out those in
the split that is farther from the test split; or take the data as it is, as a published split."""
WORTH_KEEPING = 500
"""Images from which on the pairs that were found are kept for the next time."""
Records = Mapping[Split, Sequence[Record]]


def find_leaks(root: Path, records: Records) -> list[Problem]:
    """Byte-identical images, changed copies and subjects in two splits, as errors.

    Args:
        root: The data set's folder.
        records: By split, from training to test; of two the one in the earlier split is reported,
            so that leaving it out keeps the test split whole.

    Returns:
        Problems, at most one of a kind for each image, and a warning for each copy within a split.

    """
    identical = find_identical(root, records)
    known = {leak.where for leak in identical}
    return identical + _copies(root, records, known) + _subjects(root, records)


def find_identical(root: Path, records: Records) -> list[Problem]:
    """Byte-identical images in two splits; as `find_leaks`."""
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


def _copies(root: Path, records: Records, known: set[str]) -> list[Problem]:
    """Changed copies of one image: errors in two splits, warnings within one."""
    rows = [(split, record) for split, of_split in records.items() for record in of_split]
    found: list[Problem] = []
    for i, j, correlation in _pairs([record for _, record in rows]):
        (first_split, first), (second_split, second) = rows[i], rows[j]
        where, other = (str(record.image.relative_to(root)) for record in (first, second))
        how = f"a copy of {other}, perhaps recoded, toned, mirrored, turned or cropped "
        how += f"(correlation {correlation:.2f})"
        if first_split == second_split:
            found.append(Problem("image twice in a split", "warning", where, how, other=other))
        elif where not in known:
            known.add(where)
            message = f"{how}; keep it in one split"
            kind = "copy in two splits"
            found.append(Problem(kind, "error", where, message, first.name, other))
    return found


def _pairs(records: Sequence[Record]) -> list[tuple[int, int, float]]:
    """Pairs of copies, which a process looks for once: the runs of a grid share their data.

    Those of many images take minutes, and are kept in the user's cache folder too.
    """
    digest = hashlib.sha256(f"{EDITION}".encode())
    for record in records:
        try:
            state = record.image.stat()
            line = f"{record.image.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\n"
        except OSError:
            line = f"{record.image}\0\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    key = digest.hexdigest()
    if key not in _FOUND:
        _FOUND[key] = _kept(key, records) if len(records) >= WORTH_KEEPING else _search(records)
    return _FOUND[key]


_FOUND: dict[str, list[tuple[int, int, float]]] = {}


def _kept(key: str, records: Sequence[Record]) -> list[tuple[int, int, float]]:
    """The pairs of the cache folder, or those that are found now."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "causalseg"
    cache = folder / f"copies-{key[:32]}.json"
    try:
        return [(int(i), int(j), float(c)) for i, j, c in read_json(cache)["pairs"]]
    except (InputError, KeyError, TypeError, ValueError):
        pass  # not there, or not ours
    pairs = _search(records)
    with suppress(InputError):  # a home that cannot be written to costs time, no more
        write_json(cache, {"pairs": [list(pair) for pair in pairs]})
    return pairs


def _search(records: Sequence[Record]) -> list[tuple[int, int, float]]:
    readable, thumbnails = [], []
    for number, record in enumerate(track(records, "looking for copies", len(records))):
        try:
            picture = decode_picture(read_image_bytes(record.image), record.image.name)
        except InputError:
            continue  # another problem's to report
        readable.append(number)
        thumbnails.append(thumbnail(picture.pixels))
    copies = find_copies(np.stack(thumbnails)) if thumbnails else ()
    return [(readable[c.first], readable[c.second], c.correlation) for c in copies]


def _subjects(root: Path, records: Records) -> list[Problem]:
    """Images whose subject a later split has too."""
    order = list(records)
    homes: dict[str, dict[Split, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for split, rows in records.items():
        for record in rows:
            if record.subject is not None:
                homes[record.subject][split].append(record)
    found = []
    for subject, splits in homes.items():
        last = max(splits, key=order.index)
        other = str(splits[last][0].image.relative_to(root))
        for split, rows in splits.items():
            for record in rows if split != last else ():
                where = str(record.image.relative_to(root))
                message = f"subject {subject} is in the {last} split too ({len(splits[last])} "
                message += "image(s)); keep a subject in one split"
                kind = "subject in two splits"
                found.append(Problem(kind, "error", where, message, record.name, other))
    return found
