"""The LViT layout: `<root>/{Train,Val,Test}_Folder/{img,labelcol}` and a text table beside them.

The table is `*_text.xlsx` or `*_text.csv` with the columns `Image` and `Description`. `Image` is
the mask's file name; the image has the same stem, in QaTa-COV19 without the `mask_` prefix, and
may have another extension.
"""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from causalseg.data.checks import find_leaks, inspect_record
from causalseg.data.images import read_bytes
from causalseg.data.manifest import SPLITS, Manifest, Problem, Record, Split, subject_of
from causalseg.data.progress import track
from causalseg.errors import InputError

COLUMNS = ("Image", "Description")
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
    """The splits that a data set has; InputError when `root` is no set in the LViT layout."""
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give the folder that holds Train_Folder etc.")
    present = [split for split in SPLITS if split_folder(root, split).is_dir()]
    if not present:
        raise InputError(
            f"{root} has none of Train_Folder, Val_Folder, Test_Folder: the LViT layout is needed."
        )
    return present


def read_lvit(root: str | Path, split: Split, *, allow_problems: bool = False) -> Manifest:
    """Read one split strictly: every image and mask is decoded once to see that it is right.

    Args:
        root: The data set's folder.
        split: "train", "val" or "test".
        allow_problems: Leave out what has errors, recorded in `Manifest.left_out`, instead of
            raising. Of byte-identical images in two splits the one nearer to the test split stays.

    Raises:
        InputError: The split is absent or, unless allowed, has any error; nothing usable is left.

    """
    root = Path(root)
    if split not in splits_of(root):
        present = ", ".join(split_folder(root, s).name for s in splits_of(root))
        raise InputError(f"{root} has no {split_folder(root, split).name}; it has {present}.")
    scan = scan_split(root, split)
    problems = list(scan.problems)
    for record in track(scan.records, f"checking {split}"):
        problems += inspect_record(root, record).problems
    scans = {s: scan if s == split else scan_split(root, s) for s in splits_of(root)}
    leaks = find_leaks(root, {s: other.records for s, other in scans.items()})
    inside = f"{split_folder(root, split).name}{os.sep}"
    problems += [leak for leak in leaks if leak.where.startswith(inside)]
    kept = [leak for leak in leaks if (leak.other or "").startswith(inside)]
    if (problems or kept) and not allow_problems:
        raise InputError(_refusal(root, split, problems + kept))
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


def scan_split(root: Path, split: Split) -> Scan:
    """Match the rows of the text table with the files; InputError when there is no table."""
    folder = split_folder(root, split)
    for name in (IMAGE_FOLDER, MASK_FOLDER):
        if not (folder / name).is_dir():
            raise InputError(f"{folder / name} is missing: the LViT layout needs it.")
    table = find_table(folder, split)
    images, masks = _files(folder / IMAGE_FOLDER), _files(folder / MASK_FOLDER)
    stems: dict[str, list[Path]] = {}
    for path in images.values():
        stems.setdefault(path.stem, []).append(path)
    records: dict[str, Record] = {}
    used: set[str] = set()
    problems: list[Problem] = []
    rows = 0

    def error(kind: str, where: str, message: str, name: str | None = None) -> None:
        problems.append(Problem(kind, "error", where, message, name))

    for number, name, caption in read_table(table):
        rows += 1
        where = f"{table.relative_to(root)} row {number}"
        if not name:
            error("missing mask", where, "the Image column is empty")
            continue
        if name in records or name in used:
            error("duplicate row", where, f"{name} has a row already; delete one of them")
            continue
        candidates = _image_candidates(name, stems)
        used.update(path.name for path in candidates)
        used.add(name)
        if name not in masks:
            error("missing mask", where, f"{folder.name}/{MASK_FOLDER} has no {name}", name)
        if not candidates:
            stem = Path(name).stem.removeprefix("mask_")
            error("missing image", where, f"{folder.name}/{IMAGE_FOLDER} has no {stem}.*", name)
        elif len(candidates) > 1:
            both = ", ".join(path.name for path in candidates)
            error("ambiguous image", where, f"{name} matches several images: {both}", name)
        if not caption:
            error("empty caption", where, f"{name} has an empty Description", name)
        if candidates and len(candidates) == 1 and name in masks and caption:
            records[name] = Record(
                name, candidates[0], masks[name], caption, subject_of(name), root.resolve().name
            )
    for files in (images, masks):
        for path in files.values():
            if path.name not in used:
                where = str(path.relative_to(root))
                error("unmatched file", where, f"no row of {table.name} names it")
    return Scan(table, rows, tuple(records.values()), tuple(problems))


def _image_candidates(name: str, stems: dict[str, list[Path]]) -> list[Path]:
    stem = Path(name).stem
    return stems.get(stem.removeprefix("mask_"), []) or stems.get(stem, [])


def _files(folder: Path) -> dict[str, Path]:
    """Every entry of a folder by name, but for hidden ones and Windows' thumbnail cache."""
    entries = sorted(folder.iterdir())
    return {p.name: p for p in entries if not p.name.startswith(".") and p.name != "Thumbs.db"}


def find_table(folder: Path, split: Split) -> Path:
    """The text table of a split's folder: `Train_text.xlsx` or .csv, or the one `*_text.*`."""
    for pattern in (f"{split.capitalize()}_text", "*_text"):
        found = sorted([*folder.glob(f"{pattern}.csv"), *folder.glob(f"{pattern}.xlsx")])
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise InputError(f"{folder} holds {names}: keep the one that counts.")
        if found:
            return found[0]
    raise InputError(f"{folder} has no {split.capitalize()}_text.xlsx or .csv with the captions.")


def read_table(path: Path) -> list[tuple[int, str, str]]:
    """Read a text table.

    Returns:
        (row number, Image, Description) of each row that is not blank; the header is row 1.

    Raises:
        InputError: The file cannot be read, or lacks one of the two columns.

    """
    rows = iter(_xlsx_rows(path) if path.suffix.lower() == ".xlsx" else _csv_rows(path))
    header = [cell.strip() for cell in next(rows, [])]
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise InputError(
            f"{path} lacks the column(s) {' and '.join(missing)}: the header must hold "
            f"{' and '.join(COLUMNS)}, it holds {', '.join(header) or 'nothing'}."
        )
    places = [header.index(column) for column in COLUMNS]
    result = []
    for number, row in enumerate(rows, start=2):
        name, caption = (row[i].strip() if i < len(row) else "" for i in places)
        if name or caption:
            result.append((number, name, caption))
    return result


def _csv_rows(path: Path) -> Iterator[list[str]]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
        yield from csv.reader(io.StringIO(text, newline=""), strict=True)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}): save it again as UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{path} is not a well-formed CSV: {error}.") from None


def _xlsx_rows(path: Path) -> Iterator[list[str]]:
    from openpyxl import load_workbook

    try:
        book = load_workbook(io.BytesIO(read_bytes(path)), read_only=True, data_only=True)
        sheet: Any = book.worksheets[0]
        for row in sheet.iter_rows(values_only=True):
            yield ["" if cell is None else str(cell) for cell in row]
    except (BadZipFile, KeyError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable .xlsx ({error}): save it again.") from None
