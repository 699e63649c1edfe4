"""A progress bar for reading many files."""

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
FEW = 500
"""Records that are read too soon for a bar to help."""


def track(items: Sequence[T], what: str) -> Iterable[T]:
    """Iterate with a bar on stderr when there are many items and a terminal to show it."""
    if len(items) < FEW or not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track as bar

    return bar(items, description=what, console=Console(stderr=True), transient=True)
