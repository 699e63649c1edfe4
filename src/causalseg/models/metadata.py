"""What a checkpoint or an exported file says about itself, checked before any of it is used."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from causalseg.errors import InputError
from causalseg.inputs import parse_json


@dataclass(frozen=True)
class FileHeader:
    """The metadata of a checkpoint or an exported file, as its JSON holds it."""

    format: str
    architecture: str
    """The model's registered name."""
    preprocessing: dict[str, Any]
    """Fields of `Preprocessing`, which checks them itself."""
    threshold: float
    """In (0, 1]."""
    config: dict[str, Any] = field(default_factory=dict)
    """Fields of the model's config; empty in exported files, which hold a graph."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Whatever the run recorded."""
    trust: dict[str, Any] = field(default_factory=dict)
    """Fields of `Trust`, which checks them itself."""


def read_metadata(text: str, name: object, known: str) -> FileHeader:
    """Check the metadata of a file.

    Args:
        text: JSON.
        name: what messages call the file.
        known: the format that this version reads.

    Raises:
        InputError: not a JSON object, another format, or a field that is absent or of another kind.

    """
    # A run's record may hold NaN, such as the score of an empty set.
    header = {"config": {}, "provenance": {}, "trust": {}} | parse_json(text, name, finite=False)
    if header.get("format") != known:
        raise InputError(
            f"{name} has format {header.get('format')!r}, and this version reads {known!r}."
        )
    for key, kind in (
        ("architecture", str),
        ("config", dict),
        ("preprocessing", dict),
        ("threshold", int | float),
        ("provenance", dict),
        ("trust", dict),
    ):
        value = header.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{name} is damaged: its {key} is {str(value)[:60]!r}.")
    header["threshold"] = check_threshold(header["threshold"], name)
    return FileHeader(**{f.name: header[f.name] for f in fields(FileHeader)})


def check_threshold(value: float, name: object) -> float:
    """A threshold of probabilities; InputError unless it is a number above 0 and at most 1.

    At 0 everything would be foreground, and with NaN nothing, without any message.
    """
    if not (math.isfinite(value) and 0 < value <= 1):
        raise InputError(f"the threshold of {name} must lie above 0 and at most at 1, not {value}.")
    return float(value)
