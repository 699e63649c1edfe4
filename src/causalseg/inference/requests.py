"""What to segment: images from arguments and folders, prompts from tables."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from causalseg.errors import InputError
from causalseg.inference.folders import search_folder
from causalseg.inference.formats import kind_of, short_path
from causalseg.inference.formats.raster import SUFFIXES
from causalseg.inputs import parse_json, read_bytes, tables
from causalseg.text import clean

MAX_TEXT = 1000
RequestRow = tuple[int, dict[str, object] | str]
"""A row's number from 1, and its fields or what is wrong with it."""
_WHOLE = re.compile(r"(\d{1,9})(?:\.0*)?", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]|^\.|^.{81,}")
_TAKEN = re.compile(r"-([0-9a-f]{12}|[0-9a-f]{64})$|^index\.csv$", re.IGNORECASE)


@dataclass(frozen=True)
class Prompt:
    """A sentence, for the whole image or volume or for one slice of it."""

    text: str
    slice: int | None = None
    """Number of a slice or frame, from 0, in the file's own order."""


@dataclass(frozen=True)
class Item:
    """One image and all its prompts."""

    row: int
    """Number of its first row in the table, or of the argument, from 1."""
    image: str
    """Path."""
    prompts: tuple[Prompt, ...]
    name: str = ""
    """Folder of its results. Only pictures keep their own name; others may hold patient data."""
    files: tuple[str, ...] = ()
    """All slices where the image is a DICOM series of several files, `image` the first of them."""

    @property
    def is_picture(self) -> bool:
        """PNG, JPEG, TIFF or BMP, whose path may be shown."""
        return self.image.lower().endswith(SUFFIXES)

    @property
    def source(self) -> str:
        """How results name it: a picture by its path, others by the name of their folder."""
        return short_path(self.image) if self.is_picture else self.name

    @property
    def label(self) -> str:
        """How messages name it, without patient data: only a picture by its path."""
        if self.is_picture:
            return short_path(self.image)
        return f"input {self.row} ({self.name})" if self.name else f"input {self.row}"


@dataclass(frozen=True)
class Failure:
    """A row that cannot be used, and why."""

    row: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """All the work, and the rows that cannot be done."""

    items: tuple[Item, ...]
    failures: tuple[Failure, ...] = ()
    ignored: int = 0
    """Files of a folder that are not images."""


def clean_prompt(text: object) -> str:
    """A prompt as `causalseg.text.clean.clean_text` gives it, of at most MAX_TEXT characters.

    Raises:
        InputError: see there.

    """
    return clean.clean_text(text, MAX_TEXT)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain_name(image: str) -> str | None:
    """The stem of a picture where it is safe for any file system; else None.

    A stem that looks like a name with a hash, or is that of the table, is not safe.
    """
    path = Path(image)
    if path.suffix.lower() not in SUFFIXES:
        return None
    return None if _UNSAFE.search(path.stem) or _TAKEN.search(path.stem) else path.stem


def _hashed_name(image: str, digits: int) -> str:
    """A name with a hash of the path; only pictures keep the readable part."""
    path = Path(image)
    readable = path.stem if path.suffix.lower() in SUFFIXES else "scan"
    readable = _UNSAFE.sub("_", readable).lstrip(".")[:80] or "image"
    return f"{readable}-{_hash(image)[:digits]}"


def name_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """Give each item the name of its folder: unique, stable from run to run, inside --out."""
    items = list(items)
    plain = [_plain_name(item.image) for item in items]
    count = Counter(name.lower() for name in plain if name)
    names: list[str] = []
    for digits in (12, 64):  # two paths may have been made whose hashes begin alike
        names = [
            name if name and count[name.lower()] == 1 else _hashed_name(item.image, digits)
            for item, name in zip(items, plain, strict=True)
        ]
        if len({name.lower() for name in names}) == len(names):
            break
    return tuple(replace(item, name=name) for item, name in zip(items, names, strict=True))


def plan_images(images: Sequence[str], texts: Sequence[str]) -> Plan:
    """Every image (folders are searched, in order of name) with every text.

    The slices of a DICOM series are one image.

    Raises:
        InputError: a text is not usable, or a folder holds no image.

    """
    prompts = tuple(Prompt(clean_prompt(text)) for text in texts)
    if not prompts:
        raise InputError("there is no text: give --text, or a table with --prompts.")
    paths: dict[str, None] = {}
    ignored = 0
    failures: list[Failure] = []
    for row, image in enumerate(images, start=1):
        if "\0" in image or not os.path.isdir(image):
            paths[image] = None
            continue
        found = search_folder(Path(image))
        if not found.usable and not found.refused:
            raise InputError(f"{short_path(image)} is a folder without an image.")
        ignored += found.ignored
        failures += [Failure(row, reason) for reason in found.refused]
        paths.update((str(path), None) for path in found.usable)
    groups = _volumes([Path(path) for path in paths])
    items = (
        Item(row, files[0], prompts, files=files if len(files) > 1 else ())
        for row, files in enumerate(groups, start=1)
    )
    return Plan(name_items(items), tuple(failures), ignored)


def _volumes(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """The paths, with the slices of each DICOM series together, in order of first appearance."""
    dicom = [path for path in paths if "\0" not in str(path) and kind_of(path) == "dicom"]
    if len(dicom) < 2:
        return [(str(path),) for path in paths]
    from causalseg.inference.formats.series import group_series

    slices = {files[0]: files for files in group_series(dicom)}
    later = {path for files in slices.values() for path in files[1:]}
    groups = [slices.get(path, (path,)) for path in paths if path not in later]
    return [tuple(str(path) for path in files) for files in groups]


def plan_rows(rows: Iterable[RequestRow], root: Path) -> Plan:
    """Rows {image, text, slice} grouped by image, in order of first appearance.

    Relative paths start at `root`. A row that cannot be used becomes a failure, not an error.
    """
    grouped: dict[str, list[Prompt]] = {}
    first: dict[str, int] = {}
    failures = []
    for number, row in rows:
        try:
            if isinstance(row, str):
                raise InputError(row)
            image, prompt = _row(row, root)
        except InputError as error:
            failures.append(Failure(number, str(error)))
            continue
        first.setdefault(image, number)
        grouped.setdefault(image, []).append(prompt)
    items = (Item(first[image], image, tuple(prompts)) for image, prompts in grouped.items())
    return Plan(name_items(items), tuple(failures))


def _row(row: dict[str, object], root: Path) -> tuple[str, Prompt]:
    image = row.get("image")
    if not isinstance(image, str) or not image.strip():
        raise InputError("the image is empty: give a path.")
    if "\0" in image:
        raise InputError("the image's name holds a NUL character, which no file name may hold.")
    place = str(_existing(root / image.strip()))
    number = row.get("slice")
    if number is None or number == "":
        return place, Prompt(clean_prompt(row.get("text")))
    # A spreadsheet may have made 3 into 3.0.
    if isinstance(number, bool) or not (whole := _WHOLE.fullmatch(str(number).strip())):
        raise InputError("the slice must be a whole number from 0.")
    return place, Prompt(clean_prompt(row.get("text")), int(whole[1]))


def _existing(path: Path) -> Path:
    """The path, or the one entry of its folder with that name in another form of Unicode or case.

    macOS writes "é" as two characters, and neither it nor Windows tells "A" from "a".
    """
    try:
        if path.exists():
            return path
        wanted = unicodedata.normalize("NFC", path.name).casefold()
        entries = os.listdir(path.parent)
    except (OSError, ValueError):
        return path
    found = [e for e in entries if unicodedata.normalize("NFC", e).casefold() == wanted]
    return path.with_name(found[0]) if len(found) == 1 else path


def read_requests(path: Path) -> Plan:
    """Read a prompt table with the columns image, text and, if wanted, slice.

    CSV or .xlsx (see `causalseg.inputs.tables`), or JSON lines with those keys.

    Raises:
        InputError: unreadable, not UTF-8, without the columns, or without rows.

    """
    name = short_path(path)
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        rows = _json_rows(tables.decode_text(read_bytes(path, tables.MAX_TABLE_BYTES), name))
    else:
        # Prompts are counted from 1, without the header.
        rows = (
            (row.number - 1, row.problem + "." if row.problem else {**row.fields})
            for row in tables.read_table(path, ("image", "text"), ("slice",))
        )
    plan = plan_rows(rows, path.parent)
    if not plan.items and not plan.failures:
        raise InputError(f"{name} has no rows.")
    return plan


def _json_rows(text: str) -> Iterator[RequestRow]:
    lines = (line for line in text.split("\n") if line.strip())
    for number, line in enumerate(lines, start=1):
        try:
            yield number, parse_json(line, "the line")
        except InputError as error:
            yield number, str(error)


read_table = read_requests
"""The earlier name, which users' scripts may still use."""
