"""What commands print, so that texts of others cannot command the terminal or vanish.

A file's name, a caption or a column's header may hold control sequences, which a terminal obeys,
and words in brackets, which rich takes for markup. All that commands print goes through here: what
is not a printable character is escaped, and brackets, stars and `:names:` are shown as they are.
"""

import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from causalseg.inputs import printable

_BAR = re.compile(r"(?<!\\)\|")


def say(text: object, *, aside: bool = False) -> None:
    """Print lines of text at once; `aside` on stderr, for what is no result."""
    lines = "\n".join(printable(line) for line in str(text).split("\n"))
    print(lines, file=sys.stderr if aside else sys.stdout, flush=True)


def say_json(content: Any, indent: int | None = None) -> None:
    """Print JSON that a terminal shows as it is and every reader of JSON takes."""
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    shown = (c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    print("".join(shown), flush=True)


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str | None = None,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print a table that fits the terminal.

    Args:
        columns: their headers.
        rows: as many cells each.
        title: above the table.
        right: headers of columns to align at their ends, such as counts.
        whole: headers of columns whose cells stay on one line.

    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title and printable(title))
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(printable(name), justify=justify, no_wrap=name in whole)
    for row in rows:
        table.add_row(*map(printable, row))
    Console(markup=False, emoji=False, highlight=False).print(table)


def show_markdown(text: str) -> None:
    """Print a page of Markdown: its tables drawn, everything else as it is written."""
    for block in text.split("\n\n"):
        if not block.startswith("|"):
            say(block + "\n")
            continue
        header, _, *rows = [
            [cell.strip().replace("\\|", "|") for cell in _BAR.split(line)[1:-1]]
            for line in block.splitlines()
        ]
        show_table(header, rows)


@contextmanager
def warnings_as(command: str) -> Iterator[None]:
    """Let Python's warnings be printed as a command's own, without the place in the code."""

    def worded(message: Warning | str, *_: Any, **__: Any) -> str:
        return f"{command}: warning: {printable(message)}\n"

    before, warnings.formatwarning = warnings.formatwarning, worded
    try:
        yield
    finally:
        warnings.formatwarning = before
