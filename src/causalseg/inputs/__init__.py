"""Reading files that others made: a regular file, whole, no larger than stated, or InputError.

Whatever sizes a file claims, reading it costs no more than its length and the limits here.
"""

import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from causalseg.errors import InputError

MAX_BYTES = 1 << 30
MAX_JSON = 64 << 20
MAX_YAML = 1 << 20
MAX_DEPTH = 100
"""Collections within collections in a YAML file."""


def printable(path: object) -> str:
    """A path safe for any terminal and file: whatever is not a printable character is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))


def one_line(error: BaseException, most: int = 200) -> str:
    """A library's message about a damaged file, as part of a sentence: one line, not too long."""
    text = " ".join(str(error).partition("\nException raised from")[0].split())
    return printable(text[:most]) or type(error).__name__


def regular_file(path: str | Path) -> Path:
    """The path, after checking that it names a regular file, so that opening it cannot block.

    Raises:
        InputError: missing, a folder, a device or pipe, or of a name that is not valid Unicode
            (results and messages could not hold it).

    """
    if any("\ud800" <= c <= "\udfff" for c in str(path)):
        raise InputError(f"the file name {printable(path)} is not valid UTF-8: rename the file.")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{printable(path)} cannot be read: {reason}.") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a directory: name a file.")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is a device, pipe or socket: name a regular file.")
    return Path(path)


def read_bytes(path: str | Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file.
        limit: the most bytes that are read.

    Raises:
        InputError: no regular file (see `regular_file`), empty, larger than the limit, or not
            readable.

    """
    path = regular_file(path)
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not data:
        raise InputError(f"{path} is empty (0 bytes): fetch it again.")
    if len(data) > limit:
        raise InputError(f"{path} is larger than the limit of {limit >> 20} MB for such a file.")
    return data


def parse_json(text: str | bytes, name: object, *, finite: bool = True) -> dict[str, Any]:
    """A JSON object, strictly: no NaN, no key twice, no nesting without end, no broken text.

    Args:
        text: JSON.
        name: what messages call the source.
        finite: refuse NaN and infinity, which Python writes though JSON has no such numbers.

    Raises:
        InputError: anything else.

    """
    hooks: dict[str, Any] = {"parse_constant": _no_number, "parse_float": _finite}
    try:
        content = json.loads(text, object_pairs_hook=_distinct, **(hooks if finite else {}))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{name} cannot be read as JSON: {reason}.") from None
    if not isinstance(content, dict):
        raise InputError(f"{name} must hold a JSON object.")
    if _has_lone_surrogate(content):
        raise InputError(f"{name} holds an unpaired surrogate, which is not text.")
    return content


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {printable(twice)!r} is there twice")
    return found


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _no_number(digits)


def _has_lone_surrogate(content: Any) -> bool:
    """Whether any text in it cannot be encoded as UTF-8."""
    stack = [content]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack += [*value, *value.values()]
        elif isinstance(value, list):
            stack += value
        elif isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return True
    return False


def read_json(path: str | Path, limit: int = MAX_JSON) -> dict[str, Any]:
    """Read a JSON object from a file; InputError as `read_bytes` and `parse_json`."""
    return parse_json(read_bytes(path, limit), path)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping, without aliases (a few of them can stand for terabytes).

    Raises:
        InputError: no regular file, over 1 MB, no YAML, nested too deep, with a key twice, or no
            mapping.

    """
    import yaml

    data = read_bytes(path, MAX_YAML)
    try:
        events: Iterator[Any] = yaml.parse(data, Loader=yaml.SafeLoader)
        depth = 0
        for event in events:
            if isinstance(event, yaml.AliasEvent):
                raise InputError(f"{path} uses YAML aliases (*name): write the values out.")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:  # PyYAML's time grows with the square of the depth
                raise InputError(f"{path} is nested over {MAX_DEPTH} deep: make it flatter.")
        _once(yaml.compose(data, Loader=yaml.SafeLoader), path)
        content = yaml.safe_load(data)
    except InputError:
        raise
    # SafeLoader lets errors of int(), datetime and the like through for values of a wrong form.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as YAML: {one_line(error)}.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a YAML mapping (lines 'key: value').")
    return content


def _once(node: Any, path: object) -> None:
    """Refuse a YAML mapping with a key twice, of which the last would count."""
    stack = [node]
    while stack:
        node = stack.pop()
        if not isinstance(getattr(node, "value", None), list):
            continue
        pairs = [part for part in node.value if isinstance(part, tuple)]
        keys = [str(key.value) for key, _ in pairs]
        if len({*keys}) < len(keys):
            twice = next(key for i, key in enumerate(keys) if key in keys[:i])
            raise InputError(f"{path} has the key {printable(twice)} twice in one place.")
        stack += [part for pair in pairs for part in pair] or node.value
