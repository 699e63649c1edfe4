"""The one reader of tables: captions, prompts, scores and spacings, as CSV or .xlsx.

A CSV may be separated by commas, semicolons or tabs, and is UTF-8 with or without a byte order
mark (UTF-16 with one is read too). Blanks around fields do not count, nor does the case of column
names. What would be cut, guessed or taken from the wrong column is reported, never read silently.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from causalseg.errors import InputError
from causalseg.inputs import printable, read_bytes
from causalseg.inputs.xlsx import NO_VALUE, is_xlsx, xlsx_sheets

MAX_TABLE_BYTES = 32 << 20
MAX_LINE = 1_000_000
SEPARATORS = (",", ";", "\t")
# Blanks between a closing quote and the separator, which the csv module does not take.
_AFTER_QUOTE = re.compile(r'("(?:[^"]++|"")*+")(?:[ \t]++(?=[,;\t\r\n]|\Z))?')


@dataclass(frozen=True)
class TableRow:
    """One row that is not blank."""

    number: int
    """Counted as a spreadsheet does: the header is row 1."""
    fields: dict[str, str]
    """Column to text without blanks around it; columns that are absent or short are ""."""
    problem: str | None = None
    """What is wrong with the row as a whole, in words that follow the row's name."""


def read_table(
    path: str | Path, columns: Sequence[str] = (), optional: Sequence[str] = ()
) -> list[TableRow]:
    """Read a table with a header.

    Args:
        path: CSV or .xlsx; the content decides, not the name.
        columns: names that the header must have, whatever their case; none takes all columns.
        optional: names that are read where the header has them.

    Raises:
        InputError: no regular file, over 32 MB, of an unknown encoding, not well formed, without
            one of the columns, with two of one name, or (.xlsx) see `xlsx.xlsx_sheets`.

    """
    data = read_bytes(path, MAX_TABLE_BYTES)
    if is_xlsx(data) or str(path).lower().endswith(".xlsx"):
        return _from_sheets(data, path, columns, optional)
    text = _AFTER_QUOTE.sub(r"\1", decode_text(data, path))
    separator = _separator(text, columns)
    return _rows(_csv_rows(text, separator, path), path, columns, optional)


def decode_text(data: bytes, name: object) -> str:
    """The text of a table or list, in UTF-8 or in UTF-16 with a byte order mark.

    Raises:
        InputError: another encoding. It is not guessed: a wrong guess changes words silently.

    """
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{name} is not UTF-8 (line {line}; perhaps Windows-1252): save it again as UTF-8, in "
            "Excel as 'CSV UTF-8'."
        ) from None


def _separator(text: str, columns: Sequence[str]) -> str:
    """The separator that gives the header its columns; otherwise the one that splits it most."""
    first = re.split(r"[\r\n]", text[:MAX_LINE].lstrip("\r\n"), maxsplit=1)[0].strip()
    if first.lower().startswith("sep=") and first[4:] in SEPARATORS:
        return first[4:]
    headers = {s: [_key(c) for c in next(csv.reader([first], delimiter=s), [])] for s in SEPARATORS}
    for separator, header in headers.items():
        if columns and all(_key(column) in header for column in columns):
            return separator
    return max(SEPARATORS, key=lambda separator: len(headers[separator]))


def _csv_rows(text: str, separator: str, name: object) -> Iterator[list[str]]:
    lines = _lines(text, name)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for number, row in enumerate(reader):
            if number == 0 and len(row) == 2 and row[0].lower() == "sep=":
                continue
            if number == 0 and len(row) == 1 and row[0].lower().startswith("sep="):
                continue
            yield row
    except csv.Error as error:
        raise InputError(
            f"{name} is not a well-formed CSV: line {reader.line_num}: {error}."
        ) from None


def _lines(text: str, name: object) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if len(line) > MAX_LINE:
            raise InputError(f"{name} is not a well-formed CSV: line {number} has no end.")
        yield line


def _from_sheets(
    data: bytes, name: object, columns: Sequence[str], optional: Sequence[str]
) -> list[TableRow]:
    """The one visible sheet that has the columns."""
    found: list[tuple[str, list[TableRow]]] = []
    refusals: list[InputError] = []
    for title, rows in xlsx_sheets(data, name).items():
        try:
            found.append((title, _rows(rows, name, columns, optional)))
        except InputError as error:
            refusals.append(error)
    if not found:
        raise refusals[0]
    if len(found) > 1:
        titles = " and ".join(repr(title) for title, _ in found)
        raise InputError(
            f"{name} has the columns in the sheets {titles}: keep the one that counts."
        )
    return found[0][1]


def _rows(
    rows: Iterable[list[str]], name: object, columns: Sequence[str], optional: Sequence[str]
) -> list[TableRow]:
    filled = (
        (number, cells)
        for number, row in enumerate(rows, start=1)
        if any(cells := [_strip(cell) for cell in row])
    )
    _, header = next(filled, (1, []))
    places = _places(header, name, columns, optional)
    result = []
    for number, cells in filled:
        fields = {c: cells[i] if i < len(cells) else "" for c, i in places.items()}
        result.append(TableRow(number, fields, _problem(cells, fields, len(header))))
        for column, cell in fields.items():
            if cell == NO_VALUE:
                fields[column] = ""
    return result


def _places(
    header: list[str], name: object, columns: Sequence[str], optional: Sequence[str]
) -> dict[str, int]:
    keys = [_key(cell) for cell in header]
    wanted = [*columns, *(c for c in optional if _key(c) in keys)] if columns else header
    missing = [column for column in columns if _key(column) not in keys]
    if missing:
        raise InputError(
            f"{name} lacks the column(s) {' and '.join(missing)}: the header must hold the columns "
            f"{','.join(columns)}; it holds {printable(', '.join(header)[:200]) or 'nothing'}."
        )
    for column in wanted:
        if keys.count(_key(column)) > 1:
            raise InputError(
                f"{name} has the column {column} {keys.count(_key(column))} times: rename all but "
                "the one that counts."
            )
    return {column: keys.index(_key(column)) for column in wanted}


def _problem(cells: list[str], fields: dict[str, str], width: int) -> str | None:
    if any(cells[width:]):
        return (
            f"the row has more fields ({len(cells)}) than the header ({width}): put a text that "
            "holds the separator in double quotes"
        )
    uncounted = [column for column, cell in fields.items() if cell == NO_VALUE]
    if uncounted:
        return (
            f"{uncounted[0]} is a formula without a stored value: open the file in a spreadsheet "
            "program and save it, or paste the values"
        )
    return None


def _strip(cell: str) -> str:
    return unicodedata.normalize("NFC", cell).strip() if not cell.isascii() else cell.strip()


def _key(column: str) -> str:
    return _strip(column.lstrip("\ufeff")).casefold()
