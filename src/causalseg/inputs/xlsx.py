"""The rows of a spreadsheet (.xlsx), as text, at a bounded cost."""

import io
import re
import warnings
from collections.abc import Iterator
from typing import Any
from zipfile import BadZipFile, ZipFile

from causalseg.errors import InputError
from causalseg.inputs import one_line

MAX_UNPACKED = 48 << 20
MAX_ROW, MAX_COLUMN = 1_048_576, 256
"""Excel's own limit of rows; of columns far fewer, since a row is filled up to its last cell."""
OLE_MAGIC = b"\xd0\xcf\x11\xe0"
NO_VALUE = "\0formula"
"""Stands for a cell with a formula whose value was never computed."""
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_ROW = re.compile(rb'<(?:\w+:)?(?:row|c)\b[^>]*?\br\s*=\s*["\']([A-Za-z]{0,9})(\d*)')


def is_xlsx(data: bytes) -> bool:
    """Whether these are the first bytes of a zip archive, or of an old or encrypted Office file."""
    return data.startswith((b"PK\x03\x04", OLE_MAGIC))


def xlsx_sheets(data: bytes, name: object) -> dict[str, Iterator[list[str]]]:
    """The visible sheets of a workbook: title to rows of cells, blank cells "".

    A formula counts with the value stored beside it; where there is none the cell is `NO_VALUE`.

    Raises:
        InputError: encrypted, an old .xls, damaged, or larger than the limits. Reading the rows
            may raise it too.

    """
    if data.startswith(OLE_MAGIC):
        raise InputError(
            f"{name} is encrypted, or an old .xls: save it without a password as .xlsx or CSV."
        )
    try:
        has_formulas = _check_archive(data, name)
        book = _open(data, values=True)
        formulas = _open(data, values=False) if has_formulas else None
        sheets = {
            sheet.title: _rows(sheet, formulas[sheet.title] if formulas else None, name)
            for sheet in book.worksheets
            if sheet.sheet_state == "visible"
        }
    except InputError:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged part makes it stumble over
        raise _damaged(name, error) from None
    if not sheets:
        raise InputError(f"{name} has no visible sheet: unhide the one with the table.")
    return sheets


def _damaged(name: object, error: Exception) -> InputError:
    return InputError(f"{name} is not a readable .xlsx ({one_line(error)}): save it again.")


def _open(data: bytes, *, values: bool) -> Any:
    from openpyxl import load_workbook

    with warnings.catch_warnings():  # of styles and extensions that do not matter here
        warnings.simplefilter("ignore")
        return load_workbook(io.BytesIO(data), read_only=True, data_only=values, keep_links=False)


def _check_archive(data: bytes, name: object) -> bool:
    """Refuse what openpyxl would unpack or fill up without end; tell whether formulas are there."""
    formulas = False
    try:
        archive = ZipFile(io.BytesIO(data))
    except (BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
        raise _damaged(name, error) from None
    with archive:
        members = archive.infolist()
        if any(member.flag_bits & 1 for member in members):
            raise InputError(f"{name} is encrypted: save it without a password.")
        if sum(member.file_size for member in members) > MAX_UNPACKED or len(members) > 10_000:
            raise InputError(
                f"{name} unpacks to more than {MAX_UNPACKED >> 20} MB: save the table as CSV."
            )
        for member in members:
            if not member.filename.lower().endswith((".xml", ".rels")):
                continue
            content = archive.read(member)
            if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
                raise InputError(f"{name} holds XML declarations that no spreadsheet needs.")
            if "worksheets/" not in member.filename:
                continue
            formulas = formulas or b"<f" in content or b":f" in content
            for column, row in _ROW.findall(content):
                if len(row) > 7 or int(row or 0) > MAX_ROW or _column(column) > MAX_COLUMN:
                    raise InputError(
                        f"{name} has a cell at {(column + row).decode()[:20]}, beyond column "
                        f"{MAX_COLUMN} or row {MAX_ROW}: delete it, or save the table as CSV."
                    )
    return formulas


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - ord("A") + 1
    return number


def _rows(sheet: Any, formulas: Any, name: object) -> Iterator[list[str]]:
    """The rows of a sheet; the size that the file states for it is ignored."""
    try:
        sheet.reset_dimensions()
        written: Iterator[Any] = iter(())
        if formulas is not None:
            formulas.reset_dimensions()
            written = formulas.iter_rows(values_only=True)
        for row in sheet.iter_rows(values_only=True):
            texts = ["" if cell is None else _text(cell) for cell in row]
            for i, cell in enumerate(next(written, ())):
                if cell is not None and i < len(row) and row[i] is None:
                    texts[i] = NO_VALUE
            yield texts
    except Exception as error:
        raise _damaged(name, error) from None


def _text(cell: object) -> str:
    """Whole numbers without ".0", as a spreadsheet shows them, and no escapes such as _x000D_."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), str(cell))
