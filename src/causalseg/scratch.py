"""Folders for what others must not see, such as uploads: private, and gone afterwards.

A process that is killed cannot remove its own. Each folder is locked while its process lives, and
whoever makes the next one removes those of the same user that nobody holds.
"""

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "causalseg-"
_YOUNG = 60
"""Seconds during which a new folder may still be unlocked."""


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder in the system's temporary folder that only this user can read."""
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))  # mode 0700, and a name that nobody can guess
    held = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            os.close(held)


def _lock(folder: Path) -> int | None:
    """An open, locked descriptor of a folder; None where another process holds it."""
    if sys.platform == "win32":  # which has no such locks
        return None
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_abandoned() -> None:
    if sys.platform == "win32":
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process may be removing it
            found = folder.lstat()
            mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if not mine or time.time() - found.st_mtime < _YOUNG:
                continue
            held = _lock(folder)
            if held is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(held)
