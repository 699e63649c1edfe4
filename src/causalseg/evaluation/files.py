"""Reading result files, with messages that say what is wrong with a folder of results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from causalseg import inputs
from causalseg.errors import InputError
from causalseg.inputs.tables import read_table


def read_result(path: Path) -> dict[str, Any]:
    """Read a JSON object; InputError names the file when it is absent or damaged."""
    return inputs.read_json(_present(path))


def read_result_rows(path: Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
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
