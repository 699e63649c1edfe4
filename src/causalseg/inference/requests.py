"""What is to be segmented: images from arguments and folders, prompts from tables."""

import csv
import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from causalseg.errors import InputError
from causalseg.inference.formats import kind_of, shown
from causalseg.inference.formats.raster import SUFFIXES

MAX_TEXT = 1000
Row = tuple[int, dict[str, object] | str]
"""A row's number from 1, and its fields or what is wrong with it."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


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

    @property
    def label(self) -> str:
        """How messages name it, without patient data: only a picture by its path."""
        if self.image.lower().endswith(SUFFIXES):
            return shown(self.image)
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
    """Files of a folder that are no images."""


def clean_text(text: object) -> str:
    """A prompt with its white space (tabs and line ends too) made single spaces.

    Raises:
        InputError: empty, too long, or with control characters.

    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("the text is empty: say what to segment, such as 'lower left lung'.")
    cleaned = " ".join(text.split())
    if len(cleaned) > MAX_TEXT:
        raise InputError(f"the text has {len(cleaned)} characters; at most {MAX_TEXT} are taken.")
    if any(ord(c) < 32 or ord(c) == 127 or "\ud800" <= c <= "\udfff" for c in cleaned):
        raise InputError("the text holds control characters: remove them.")
    return cleaned


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _plain_name(image: str) -> str | None:
    """The stem of a picture made safe for any file system; None for other kinds."""
    path = Path(image)
    if path.suffix.lower() not in SUFFIXES:
        return None
    safe = _UNSAFE.sub("_", path.stem).lstrip(".")[:80]
    return safe if safe == path.stem else f"{safe or 'image'}-{_short_hash(image)}"


def name_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """Give each item the name of its folder: unique, stable from run to run, inside --out."""
    items = list(items)
    plain = [_plain_name(item.image) for item in items]
    count = Counter(name.lower() for name in plain if name)
    named = []
    for item, name in zip(items, plain, strict=True):
        if name is None:
            name = f"scan-{_short_hash(item.image)}"
        elif count[name.lower()] > 1:
            name = f"{name}-{_short_hash(item.image)}"
        named.append(replace(item, name=name))
    return tuple(named)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(files) if not name.startswith("."))


def plan_images(images: Sequence[str], texts: Sequence[str]) -> Plan:
    """Every image (folders are searched, in order of name) with every text.

    Raises:
        InputError: a text is not usable, or a folder holds no image.

    """
    prompts = tuple(Prompt(clean_text(text)) for text in texts)
    if not prompts:
        raise InputError("there is no text: give --text, or a table with --prompts.")
    paths: dict[str, None] = {}
    ignored = 0
    for image in images:
        if "\0" in image or not os.path.isdir(image):
            paths[image] = None
            continue
        found = [path for path in _walk(Path(image)) if path.name.upper() != "DICOMDIR"]
        usable = [path for path in found if kind_of(path) is not None]
        if not usable:
            raise InputError(f"{shown(image)} is a folder without an image.")
        ignored += len(found) - len(usable)
        paths.update((str(path), None) for path in usable)
    items = (Item(row, image, prompts) for row, image in enumerate(paths, start=1))
    return Plan(name_items(items), (), ignored)


def plan_rows(rows: Iterable[Row], root: Path) -> Plan:
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
    number = row.get("slice")
    if number is None or number == "":
        return str(root / image), Prompt(clean_text(row.get("text")))
    try:
        index = int(str(number))
    except ValueError:
        index = -1
    if index < 0:
        raise InputError("the slice must be a whole number from 0.")
    return str(root / image), Prompt(clean_text(row.get("text")), index)


def read_table(path: Path) -> Plan:
    """Read a prompt table: CSV with a header `image,text[,slice]`, or JSON lines with those keys.

    Raises:
        InputError: unreadable, not UTF-8, without the columns, or without rows.

    """
    name = shown(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{name} is not UTF-8 text: save the table as UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name} cannot be read: {reason}.") from None
    json_lines = path.suffix.lower() in (".jsonl", ".ndjson", ".json")
    rows = _json_rows(text) if json_lines else _csv_rows(text, name)
    plan = plan_rows(rows, path.parent)
    if not plan.items and not plan.failures:
        raise InputError(f"{name} has no rows.")
    return plan


def _csv_rows(text: str, name: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        columns = [str(column).strip().lower() for column in reader.fieldnames or []]
        if not {"image", "text"} <= set(columns):
            raise InputError(f"{name} needs the columns image,text (and, if wanted, slice).")
        reader.fieldnames = columns
        for number, row in enumerate(reader, start=1):
            # A comma in a text without quotes would cut the sentence in silence.
            too_many = "the row has more fields than the header: put the text in double quotes."
            yield number, too_many if "" in row else dict(row)
    except csv.Error as error:
        raise InputError(f"{name} is no well-formed CSV ({error}).") from None


def _json_rows(text: str) -> Iterator[Row]:
    lines = (line for line in text.split("\n") if line.strip())
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, row if isinstance(row, dict) else "the line is no JSON object."
