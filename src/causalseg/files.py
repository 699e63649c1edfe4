"""Files: each written whole or not at all, and hashed in one way. `inputs` reads them.

What is written stands beside its target under a hidden name of its own (`.NAME.RANDOM.part`) until
it is complete, and is then renamed. A killed process leaves the old file, or the new one, and at
most such a hidden file.
"""

import csv
import ctypes
import hashlib
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from causalseg.errors import InputError

Row = dict[str, Any]
"""Column -> value, of a table that is written as CSV."""


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Write a file whole: yields a path beside `path` to write to, and renames it at the end.

    The file gets the permissions that the umask asks for, whoever wrote it: a library's own
    temporary file would be readable by its owner alone. Folders above it are made.

    Args:
        path: the file to write or to replace.
        sync: wait until the disk has it, so that a power failure leaves the old file or the new
            one. Without it this holds for a killed process only, and many small files go faster.

    Raises:
        InputError: it cannot be written. The old file, if there was one, is as it was.

    """
    part = _beside(path)
    check_folder(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made here to reserve the name and to learn the mode that the umask gives.
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        mode = os.fstat(descriptor).st_mode & 0o777
        os.close(descriptor)
        yield part
        os.chmod(part, mode)
        if sync:
            _sync(part)
        os.replace(part, path)
        if sync:
            _sync(path.parent)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Write a folder whole: yields a new folder beside `path`, and renames it at the end.

    A folder that stood at `path` stays until the new one takes its name, in one step on Linux.
    Elsewhere it is put aside for that moment, and `remove_leftovers` brings it back after a kill.
    The files are not synced one by one, so this holds for a killed process and not for a power
    failure.

    Raises:
        InputError: it cannot be written.

    """
    part = _beside(path)
    check_folder(path.parent)
    try:
        part.mkdir(parents=True)
        yield part
        if not path.exists():
            os.replace(part, path)
        elif not _exchange(part, path):
            old = _beside(path, _OLD)
            os.replace(path, old)
            os.replace(part, path)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def writing_alone(folder: Path) -> Iterator[None]:
    """Refuse a second process that would write into a folder; what it locks leaves no file behind.

    Raises:
        InputError: another process writes into it.

    """
    with locked(folder, os.O_RDONLY, f"another run is writing into {folder}"):
        yield


@contextmanager
def locked(path: Path, flags: int, told: str) -> Iterator[None]:
    """Hold a lock on a file or folder, where the system has such locks.

    The lock ends with the process, however that ends.

    Args:
        path: what to lock.
        flags: with which `os.open` opens it.
        told: what is said where another process holds the lock.

    Raises:
        InputError: another process holds it.

    """
    try:
        import fcntl
    except ImportError:  # Windows has no such locks
        yield
        return
    descriptor = os.open(path, flags, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{told}: wait for it, or name another folder.") from None
        except OSError:  # some network file systems have no locks
            pass
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left while writing `path`; no other may be writing it now.

    A folder that was put aside, with no new one in its place, gets its name back.
    """
    beside = f".{_escaped(path.name)}.*"
    for old in path.parent.glob(beside + _OLD):
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(old, path)
    for left in path.parent.glob(beside + _PART):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


_PART, _OLD = ".part", ".old"


def _beside(path: Path, suffix: str = _PART) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")


def _exchange(first: Path, second: Path) -> bool:
    """Let two paths exchange their names in one step; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None).renameat2  # Linux
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0)


def _escaped(name: str) -> str:
    """The name, with the characters escaped that `glob` would read as a pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file whole; InputError says why it cannot be written. See `replacing`."""
    with replacing(path, sync=sync) as part:
        part.write_bytes(content)


def write_json(
    path: Path, content: Mapping[str, Any] | Sequence[Any], *, indent: int = 2, sync: bool = True
) -> None:
    """Write strict JSON (no NaN), indented. See `replacing`."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    # A file name that is not valid Unicode has lone surrogates, which UTF-8 cannot hold.
    write_bytes(path, (text + "\n").encode("utf-8", "backslashreplace"), sync=sync)


def write_csv(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
) -> None:
    """Write rows as UTF-8 CSV with a header; what a row lacks of another's columns is empty.

    Texts are written as `spreadsheet_text` gives them. The columns are those of the rows unless
    they are given.
    """
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: spreadsheet_text(row[name]) for name in row} for row in rows)
    write_bytes(path, buffer.getvalue().encode("utf-8", "backslashreplace"))


def spreadsheet_text(value: object) -> object:
    """A cell that a spreadsheet reads as text and a terminal prints unchanged.

    A text that begins like a formula gets a leading apostrophe, which spreadsheets do not show;
    control characters other than line breaks and tabs are escaped. Numbers stay.
    """
    if not isinstance(value, str):
        return value
    text = _CONTROL.sub(lambda match: repr(match[0])[1:-1], value)
    if text[:1] in _FORMULA and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


_FORMULA = frozenset("=+-@\t\r")
_NUMBER = re.compile(r"[+-](\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-](inf|nan)", re.IGNORECASE | re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def check_folder(out: Path) -> Path:
    """Check before the work, not after it, that results can be written to `out`.

    Raises:
        InputError: `out`, or the nearest folder above it that exists, is a file or read-only.

    """
    try:
        nearest = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    except (OSError, ValueError) as error:  # too long, or with a NUL
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(out)[:90]} cannot be written: {reason}.") from None
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"{out} cannot be written: {nearest} is a file or is read-only.")
    return out


def make_folder(path: Path) -> Path:
    """Make a folder, and those above it, where it is not there; InputError as `check_folder`."""
    check_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)[:90]} cannot be written: {reason}.") from None
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        InputError: it cannot be read.

    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}.") from None
