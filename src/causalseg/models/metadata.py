"""What a checkpoint or an exported file says about itself, checked before any of it is used."""

import math
from typing import Any

from causalseg.errors import InputError
from causalseg.inputs import parse_json


def read_metadata(text: str, name: object, known: str) -> dict[str, Any]:
    """Check the metadata of a file.

    Args:
        text: JSON.
        name: what messages call the file.
        known: the format that this version reads.

    Returns:
        format, architecture (text), config (fields of the model's config; empty in exported files,
        which hold a graph), preprocessing (fields of `Preprocessing`, which checks them itself),
        threshold in (0, 1], provenance and trust (fields of `Trust`, which checks them itself).

    Raises:
        InputError: not a JSON object, another format, or a field that is absent or of another kind.

    """
    # A run's record may hold NaN, such as the score of an empty set.
    header = {"config": {}, "provenance": {}, "trust": {}} | parse_json(text, name, finite=False)
    if header.get("format") != known:
        raise InputError(
            f"{name} has format {header.get('format')!r}, and this version reads {known!r}."
        )
    for field, kind in (
        ("architecture", str),
        ("config", dict),
        ("preprocessing", dict),
        ("threshold", int | float),
        ("provenance", dict),
        ("trust", dict),
    ):
        value = header.get(field)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{name} is damaged: its {field} is {str(value)[:60]!r}.")
    header["threshold"] = check_threshold(header["threshold"], name)
    return header


def check_threshold(value: float, name: object) -> float:
    """A threshold of probabilities; InputError unless it is a number above 0 and at most 1.

    At 0 everything would be foreground, and with NaN nothing, without any message.
    """
    if not (math.isfinite(value) and 0 < value <= 1):
        raise InputError(f"the threshold of {name} must lie above 0 and at most at 1, not {value}.")
    return float(value)
