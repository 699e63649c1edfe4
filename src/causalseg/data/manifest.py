"""What a split of a data set is: its records, what was left out, and its fingerprint."""

import hashlib
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from causalseg.errors import InputError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_SUBJECT = re.compile(
    r"^(?:mask_)?(?:sub-([A-Za-z0-9]+)|(seq\d+)_|((?:patient|subject|subj|pat)[-_]?\d+)(?![A-Za-z0-9]))",
    re.IGNORECASE,
)


def subject_of(name: str, pattern: str | None = None) -> str | None:
    """The patient or video that a file name names, or None.

    "mask_sub-S08047_run-1.png" (BIDS) gives "S08047"; "seq03_051.png" (video) gives "seq03";
    "patient001_2.png" gives "patient001".

    Args:
        name: the mask file's.
        pattern: a regular expression to search for instead; its first group is the subject, or the
            whole match where it has no group.

    """
    match = re.search(pattern, name) if pattern else _SUBJECT.match(name)
    if match is None:
        return None
    return next((group for group in match.groups() if group), match[0]) or None


def check_subject_pattern(pattern: str | None) -> str | None:
    """The pattern itself; InputError where it is not a regular expression."""
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise InputError(f"the subject pattern {pattern!r} is no expression: {error}.") from None
    return pattern


@dataclass(frozen=True)
class Record:
    """One row of a data set: an image, its mask and its caption."""

    name: str
    """The mask's file name; the key of this record in every table of results."""
    image: Path
    mask: Path
    caption: str
    subject: str | None
    """Patient or video, where the file name names one."""
    domain: str
    """The data set's folder name: a site, in leave-one-domain-out experiments."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a data set."""

    kind: str
    """Short name, e.g. "missing mask"."""
    severity: Literal["error", "warning"]
    where: str
    """The file or row, relative to the data set's root."""
    message: str
    """What is wrong and what to do, one sentence."""
    name: str | None = None
    """The record that is left out when problems are allowed; None for a file without a row."""
    other: str | None = None
    """The second file, where two disagree."""


@dataclass(frozen=True)
class Manifest:
    """The usable records of one split, in the order of the text file."""

    root: Path
    split: Split
    records: tuple[Record, ...]
    left_out: tuple[Problem, ...] = ()
    """Errors for which rows or files were left out; empty unless problems were allowed."""

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def _digest(self) -> str:
        total = hashlib.sha256()
        for line in sorted(map(_record_digest, self.records)):
            total.update(line)
        return total.hexdigest()

    def fingerprint(self) -> str:
        """SHA-256 over names, captions and the bytes of images and masks, in any order.

        The files are read once and the result is remembered.
        """
        return self._digest

    def limit(self, count: int | None, seed: int = 0) -> "Manifest":
        """The slice of the first `count` records of a shuffle by `seed`, in the file's order."""
        if count is None or count >= len(self.records):
            return self
        chosen = np.random.default_rng(seed).permutation(len(self.records))[:count]
        return replace(self, records=tuple(self.records[i] for i in sorted(chosen)))


def _record_digest(record: Record) -> bytes:
    digest = hashlib.sha256()
    parts = (
        record.name.encode(),
        record.caption.encode(),
        record.image.read_bytes(),
        record.mask.read_bytes(),
    )
    for part in parts:  # Each part is hashed alone, so that no two records can run together.
        digest.update(hashlib.sha256(part).digest())
    return digest.digest()
