"""Cells of a grid: each knows the options it was made with, so that a grid can go on later."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from causalseg.errors import InputError
from causalseg.evaluation.files import read_json
from causalseg.files import write_json

STAMP = "cell.json"


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Paths and tuples as JSON has them."""
    found: dict[str, Any] = json.loads(json.dumps(content, default=str))
    return found


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of plain data."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def check_stamp(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder whose cell was begun with other settings.

    Raises:
        InputError: it was.

    """
    path = folder / STAMP
    if path.exists() and read_json(path)["digest"] != digest(settings):
        raise InputError(
            f"{folder} holds a run with other options; name another folder with --out."
        )


def write_stamp(folder: Path, settings: Mapping[str, Any]) -> None:
    """Note the settings that decide a cell's numbers."""
    write_json(folder / STAMP, {"digest": digest(settings), "settings": plain(settings)})
