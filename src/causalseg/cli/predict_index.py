"""`index.csv` of `causalseg predict`: a line for each image and bad row, written as it goes."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.errors import InputError
from causalseg.files import Row, spreadsheet_text, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    from causalseg.inference.outcome import Outcome
    from causalseg.inference.requests import Item, Plan

COLUMNS = ("row", "name", "source", "status", "reason", "text", "area", "unit", "warnings")
"""`area` is in `unit`: px, mm2 or mm3. Values of several texts are separated by ` | `."""


@contextmanager
def writing_index(path: Path, plan: "Plan") -> "Iterator[Callable[[Item, Outcome], None]]":
    """Give a function that adds an item's line, which a killed process leaves on the disk.

    At the end, also after an exception, the lines stand in the order of the rows.

    Raises:
        InputError: the file cannot be written.

    """
    lines: list[Row] = [
        dict.fromkeys(COLUMNS, "")
        | {"row": failure.row, "status": "failed", "reason": failure.reason}
        for failure in plan.failures
    ]
    try:
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()

            def put(line: Row) -> None:
                writer.writerow({name: spreadsheet_text(line[name]) for name in COLUMNS})
                file.flush()

            def add(item: "Item", outcome: "Outcome") -> None:
                lines.append(_line(item, outcome))
                put(lines[-1])

            for line in lines:
                put(line)
            yield add
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        write_csv(path, sorted(lines, key=lambda line: int(line["row"])), COLUMNS)


def _line(item: "Item", outcome: "Outcome") -> Row:
    texts = [one.text for one in outcome.sentences] or [one.text for one in item.prompts]
    return {
        "row": outcome.row,
        "name": outcome.name,
        "source": item.source,
        "status": outcome.status,
        "reason": outcome.reason,
        "text": " | ".join(texts),
        "area": " | ".join(f"{area:.10g}" for area, _ in outcome.areas),
        "unit": " | ".join(dict.fromkeys(unit for _, unit in outcome.areas)),
        "warnings": " | ".join(outcome.warnings),
    }
