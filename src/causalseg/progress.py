"""A progress bar on stderr, shown only in a terminal."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")
Tick = Callable[[], None]
"""Called after each step."""


@contextmanager
def progress(words: str, total: int | None = None) -> Iterator[tuple[Tick, Callable[[int], None]]]:
    """Show a bar; yields what to call after each step, and what to call once the total is known."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(words, total=total)
        yield lambda: bar.advance(task), lambda count: bar.update(task, total=count)


def track(items: Iterable[_T], words: str, total: int) -> Iterator[_T]:
    """Iterate with a bar, where there is more than one item."""
    if total < 2 or not sys.stderr.isatty():  # no import of rich where no bar is shown
        yield from items
        return
    with progress(words, total) as (tick, _):
        for item in items:
            yield item
            tick()
