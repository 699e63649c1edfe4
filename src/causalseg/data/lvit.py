"""The LViT layout: `<root>/{Train,Val,Test}_Folder/{img,labelcol}` and a text table beside them.

The table is `*_text.xlsx` or `*_text.csv` with the columns `Image` and `Description`. `Image` is
the mask's file name; the image has the same stem, in QaTa-COV19 without the `mask_` prefix, and
may have another extension.
"""

import os
import warnings
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from causalseg.data.checks import inspect_record
from causalseg.data.folder import Files
from causalseg.data.leaks import LeakRule, find_identical, find_leaks
from causalseg.data.manifest import (
    SPLITS,
    Manifest,
    Problem,
    Record,
    Split,
    check_subject_pattern,
    subject_of,
)
from causalseg.errors import InputError
from causalseg.inputs import printable, tables
from causalseg.progress import track
from causalseg.text.clean import clean_text

TABLE_COLUMNS = ("Image", "Description")
TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx")
IMAGE_FOLDER, MASK_FOLDER = "img", "labelcol"


@dataclass(frozen=True)
class Scan:
    """What the file names and the text table of one split say, before any image is read."""

    table: Path
    rows: int
    records: tuple[Record, ...]
    problems: tuple[Problem, ...]


def split_folder(root: Path, split: Split) -> Path:
    """`<root>/Train_Folder` for "train"."""
    return root / f"{split.capitalize()}_Folder"


def splits_of(root: Path) -> list[Split]:
    """The splits that a data set has; InputError when `root` is not a set in the LViT layout."""
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give the folder that holds Train_Folder etc.")
    present = [split for split in SPLITS if split_folder(root, split).is_dir()]
    if not present:
        raise InputError(
            f"{root} has none of Train_Folder, Val_Folder, Test_Folder: the LViT layout is needed."
        )
    return present


def read_lvit(
    root: str | Path,
    split: Split,
    *,
    allow_problems: bool = False,
    leaks: LeakRule = "keep",
    subject_pattern: str | None = None,
) -> Manifest:
    """Read one split strictly: every image and mask is decoded once to see that it is right.

    Args:
        root: The data set's folder.
        split: "train", "val" or "test".
        allow_problems: Leave out what has errors, recorded in `Manifest.left_out`, instead of
            raising. Of byte-identical images in two splits the one nearer to the test split stays.
        leaks: What to do about changed copies and subjects in two splits (see `leaks.LeakRule`).
            Looking for copies takes minutes for thousands of images, the first time.
        subject_pattern: How names tell the subject (see `manifest.subject_of`).

    Raises:
        InputError: The split is absent or, unless allowed, has any error; nothing usable is left.

    """
    root = Path(root)
    if split not in splits_of(root):
        present = ", ".join(split_folder(root, s).name for s in splits_of(root))
        raise InputError(f"{root} has no {split_folder(root, split).name}; it has {present}.")
    check_subject_pattern(subject_pattern)
    scan = scan_split(root, split, subject_pattern)
    problems = list(scan.problems)
    changed: list[Problem] = []
    for record in track(scan.records, f"checking {split}", len(scan.records)):
        for problem in inspect_record(root, record).problems:
            (problems if problem.severity == "error" else changed).append(problem)
    scans = {
        s: scan if s == split else scan_split(root, s, subject_pattern) for s in splits_of(root)
    }
    everywhere = {s: other.records for s, other in scans.items()}
    inside, beside = _touching(split, root, find_identical(root, everywhere))
    problems += inside
    if (problems or beside) and not allow_problems:
        raise InputError(_refusal(root, split, problems + beside))
    if leaks != "keep":
        inside, beside = _touching(split, root, find_leaks(root, everywhere))
        bad = {problem.name for problem in problems}
        inside = [leak for leak in inside if leak.name not in bad]
        if (inside or beside) and leaks == "refuse" and not allow_problems:
            raise InputError(_leaking(root, split, inside + beside))
        problems += inside
    if changed:
        warnings.warn(
            f"{len(changed)} pictures of the {split} split are not taken as they are stored, such "
            f"as {changed[0].where}: {changed[0].message} 'causalseg data check {root}' lists all.",
            stacklevel=2,
        )
    bad = {problem.name for problem in problems}
    records = tuple(record for record in scan.records if record.name not in bad)
    if not records:
        raise InputError(f"{split_folder(root, split)} has no usable row: see {scan.table}.")
    return Manifest(root, split, records, tuple(problems))


def _refusal(root: Path, split: Split, problems: list[Problem]) -> str:
    shown = "; ".join(f"{p.where}: {p.message}" for p in problems[:3])
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return (
        f"The {split} split of {root} has {len(problems)} error(s): {shown}{more}. "
        f"'causalseg data check {root}' lists all; --allow-problems leaves these out."
    )


def _touching(
    split: Split, root: Path, leaks: list[Problem]
) -> tuple[list[Problem], list[Problem]]:
    """The errors that are to be left out of this split, and those of others against it."""
    folder = f"{split_folder(root, split).name}{os.sep}"
    errors = [leak for leak in leaks if leak.severity == "error"]
    inside = [leak for leak in errors if leak.where.startswith(folder)]
    return inside, [leak for leak in errors if (leak.other or "").startswith(folder)]


def _leaking(root: Path, split: Split, leaks: list[Problem]) -> str:
    shown = "; ".join(f"{leak.where}: {leak.message}" for leak in leaks[:2])
    more = f"; and {len(leaks) - 2} more" if len(leaks) > 2 else ""
    return (
        f"The {split} split of {root} shares images or subjects with another split: {shown}{more}. "
        f"'causalseg data check {root}' lists all. Choose what to do: --leaks leave_out takes the "
        "data without them, --leaks keep takes a published split as it is (fit: --data.leaks)."
    )


def scan_split(root: Path, split: Split, subject_pattern: str | None = None) -> Scan:
    """Match the rows of the text table with the files; InputError when there is no table."""
    folder = split_folder(root, split)
    for name in (IMAGE_FOLDER, MASK_FOLDER):
        if not (folder / name).is_dir():
            raise InputError(f"{folder / name} is missing: the LViT layout needs it.")
    table = find_table(folder, split)
    images, masks = Files(folder / IMAGE_FOLDER), Files(folder / MASK_FOLDER)
    records: dict[str, Record] = {}
    named: set[Path] = set()
    rows_of: set[str] = set()
    problems: list[Problem] = []

    def problem(kind: str, where: str, message: str, name: str | None = None) -> None:
        problems.append(Problem(kind, "error", where, message, name))

    rows = tables.read_table(table, TABLE_COLUMNS)
    for row in rows:
        where = f"{table.relative_to(root)} row {row.number}"
        name, caption = row.fields["Image"], row.fields["Description"]
        if not name:
            problem("missing mask", where, "the Image column is empty")
            continue
        if name in rows_of:
            problem("duplicate row", where, f"{name} has a row already; delete one of them")
            continue
        rows_of.add(name)
        mask, found = masks.named(name), _images_of(name, images)
        if mask in named:
            problem("duplicate row", where, f"{name} is the mask of another row; delete one")
            continue
        named.update(found)
        before = len(problems)
        if row.problem is not None:
            problem("broken row", where, row.problem, name)
        elif (reason := _wrong_with(caption)) is not None:
            problem("empty caption", where, f"{name}: {reason}", name)
        if mask is None:
            problem("missing mask", where, f"{folder.name}/{MASK_FOLDER} has no {name}", name)
        else:
            named.add(mask)
        if not found:
            stem = Path(name).stem.removeprefix("mask_")
            problem("missing image", where, f"{folder.name}/{IMAGE_FOLDER} has no {stem}.*", name)
        elif len(found) > 1:
            both = ", ".join(path.name for path in found)
            problem("ambiguous image", where, f"{name} matches several images: {both}", name)
        if mask is not None and len(problems) == before:
            caption = clean_text(caption)
            records[name] = Record(
                name,
                found[0],
                mask,
                caption,
                subject_of(name, subject_pattern),
                root.resolve().name,
            )
    for path in (*images, *masks):
        if path not in named:
            where = printable(path.relative_to(root))
            problem("unmatched file", where, f"no row of {table.name} names it")
    return Scan(table, len(rows), tuple(records.values()), tuple(problems))


def _wrong_with(caption: str) -> str | None:
    try:
        clean_text(caption)
    except InputError as error:
        return str(error).rstrip(".")
    return None


def _images_of(name: str, images: Files) -> list[Path]:
    stem = Path(name).stem
    return images.stemmed(stem.removeprefix("mask_")) or images.stemmed(stem)


def find_table(folder: Path, split: Split) -> Path:
    """The text table of a split's folder: `Train_text.xlsx`, .csv or .tsv, or the one `*_text.*`.

    Case, hidden files and the lock files of spreadsheet programs are ignored.
    """
    candidates = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in TABLE_SUFFIXES and not path.name.startswith((".", "~$"))
    ]
    for pattern in (f"{split}_text", "*_text"):
        found = [path for path in candidates if fnmatchcase(path.stem.lower(), pattern)]
        if len(found) > 1:
            names = " and ".join(printable(path.name) for path in found)
            raise InputError(f"{folder} holds {names}: keep the one that counts.")
        if found:
            return found[0]
    raise InputError(f"{folder} has no {split.capitalize()}_text.xlsx or .csv with the captions.")


def read_captions(path: Path) -> list[tuple[int, str, str]]:
    """Read a text table.

    Returns:
        (row number, Image, Description) of each row that is not blank; the header is row 1.

    Raises:
        InputError: as `tables.read_table`, or a row cannot be used.

    """
    rows = tables.read_table(path, TABLE_COLUMNS)
    for row in rows:
        if row.problem is not None:
            raise InputError(f"{path} row {row.number}: {row.problem}.")
    return [(row.number, row.fields["Image"], row.fields["Description"]) for row in rows]


read_table = read_captions
"""The name before, which programs outside this repository import."""
