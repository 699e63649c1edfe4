"""A table in Markdown."""

import re
from collections.abc import Iterable, Sequence

_BAR = re.compile(r"(?<!\\)\|")


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """The table as lines without a newline at the end; a `|` in a cell is escaped."""
    lines = [_line(header), "|" + "---|" * len(header), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    words = (_BAR.sub(r"\\|", " ".join(str(cell).split())) for cell in cells)
    return "|" + "|".join(f" {word} " if word else " " for word in words) + "|"
