"""Result files, each written whole or not at all."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from causalseg import inputs
from causalseg.errors import InputError
from causalseg.inputs.tables import read_table

Row = dict[str, Any]


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside `path`, then rename: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from None


def check_folder(out: Path) -> Path:
    """Tell before the work, not after it, that results cannot be written to `out`.

    Raises:
        InputError: `out`, or the nearest folder above it that exists, is a file or read-only.

    """
    nearest = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"{out} cannot be written: {nearest} is a file or is read-only.")
    return out


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write strict JSON (no NaN), indented."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of equal columns as UTF-8 CSV with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, buffer.getvalue().encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; InputError names the file when it is absent or damaged."""
    return inputs.read_json(_present(path))


def read_csv(path: Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Read a table with a header, all its columns or those named.

    Raises:
        InputError: absent, without rows or one of the columns, or damaged (see `inputs.tables`).

    """
    rows = read_table(_present(path), columns)
    for row in rows:
        if row.problem is not None:
            raise InputError(f"{path} row {row.number}: {row.problem}.")
    if not rows:
        raise InputError(f"{path} has no rows.")
    return [row.fields for row in rows]


def _present(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"{path} is missing: is {path.parent} a folder of results?")
    return path
