"""`causalseg caption read`: what a sentence, or a table of sentences, is understood to say."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from causalseg.errors import InputError
from causalseg.files import Row, write_json
from causalseg.terminal import say, say_json

_TABLES = (".csv", ".tsv", ".xlsx")
_COLUMNS = ("text", "sentence", "caption", "description")


def add(commands: Any) -> None:
    """Add the command to `causalseg caption`."""
    read = commands.add_parser(
        "read",
        help="say what a sentence, or a table of them, is understood to mean",
        description="Read what people write about infection of the lungs: a sentence, a report "
        "passage, or a table with a column of them (text, sentence, caption or Description). "
        "Prints one JSON object for each: status, zones, whose sides, the canonical sentence that "
        "a model receives, the words that decided, words not understood, and notes. "
        "Exit code 0 when all were read, 1 when some were not, 2 when the table cannot be used.",
    )
    read.add_argument("text", metavar="TEXT|FILE", help="a sentence, or a .csv or .xlsx file")
    read.add_argument(
        "--sides",
        choices=("patient", "viewer"),
        help="whose left is meant where a sentence does not say so (default: the patient's; in "
        "the wording of QaTa-COV19's captions the viewer's)",
    )
    read.add_argument("--json", metavar="OUT", type=Path, help="write all readings as a JSON list")
    read.set_defaults(run=_read)


def _read(arguments: argparse.Namespace) -> int:
    from causalseg.text.reading import read

    is_table = arguments.text.lower().endswith(_TABLES)
    rows = _rows(Path(arguments.text)) if is_table else [({}, arguments.text)]
    entries = [about | read(text, arguments.sides).to_dict() for about, text in rows]
    for entry in entries:
        say_json(entry, indent=None if is_table else 2)
    if arguments.json is not None:
        write_json(arguments.json, entries)
    counts = Counter(entry["status"] for entry in entries)
    if is_table:
        summary = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        say(f"{len(entries)} sentences: {summary}", aside=True)
    return 1 if counts["unread"] else 0


def _rows(path: Path) -> list[tuple[Row, str]]:
    """What identifies each sentence of a table, and the sentence."""
    from causalseg.inputs.tables import read_table

    rows = read_table(path)
    names = list(rows[0].fields) if rows else []
    column = next((name for wanted in _COLUMNS for name in names if name.lower() == wanted), None)
    if column is None:
        raise InputError(
            f"{path} has no sentences: it needs a column named text (or sentence, caption, "
            f"Description) and a row; it holds {', '.join(names) or 'nothing'}."
        )
    found = []
    for row in rows:
        if row.problem is not None:
            raise InputError(f"{path} row {row.number}: {row.problem}.")
        key = {name: row.fields[name] for name in names if name.lower() in ("id", "image")}
        found.append(({"row": row.number, **key}, row.fields[column]))
    return found
