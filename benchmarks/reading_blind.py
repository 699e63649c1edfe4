"""How a batch of labelled sentences is read, the first time and after.

    python -m benchmarks.reading_blind FOLDER/1.txt [...] [--out FILE.json] [--show]

A batch is a text file with a sentence a line: text | status | zones | sides, zones as L or R and
U, M, D (upper, middle, lower), "all" for the six; the sides are the patient's where left out. A
fifth column "noted" marks sentences that are still read wrongly, with a note.
With `--out` a batch that the file does not hold yet is added as its first reading, with the hash of
the batch and the rows that were read wrongly; a batch that it holds gets only its figures of now.
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from causalseg.text.reading import Reading, read

SIDES = {"L": "left", "R": "right"}
HEIGHTS = {"U": "upper", "M": "middle", "D": "lower"}
ALL = "LU LM LD RU RM RD"


@dataclass(frozen=True)
class Row:
    """A sentence with its right reading."""

    text: str
    status: str
    zones: frozenset[tuple[str, str]]
    sides: str

    def right(self, found: Reading) -> bool:
        """Whether status, zones and, where zones are named, sides are as labelled."""
        sides = not self.zones or found.sides == self.sides
        return found.status == self.status and frozenset(found.zones) == self.zones and sides


def batch(path: Path) -> list[Row]:
    """The rows of a file."""
    rows = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.startswith("#") or "|" not in line:
            continue
        text, status, zones, sides, *_ = (part.strip() for part in [*line.split("|"), "", ""])
        named = zones.replace("all", ALL).split()
        places = frozenset((SIDES[code[0]], HEIGHTS[code[1]]) for code in named)
        rows.append(Row(text, status, places, sides or "patient"))
    return rows


def _second(found: Reading) -> bool:
    """Whether nothing but the second, cruder reading has made a note."""
    return bool(found.notes) and all(note.startswith("please check") for note in found.notes)


def _plain(found: Reading) -> dict[str, Any]:
    zones = " ".join(f"{side} {height}" for side, height in found.zones)
    return {"status": found.status, "zones": zones, "notes": list(found.notes)}


def score(rows: list[Row]) -> dict[str, Any]:
    """The figures of a batch, and the rows that were read wrongly."""
    found = [(row, read(row.text)) for row in rows]
    wrong = [(row, one) for row, one in found if not row.right(one)]
    right = [one for row, one in found if row.right(one)]
    # A text without a finding (unread) and a doubt (uncertain) always have a note: that is the
    # answer. What could drown in notes are the plain statements.
    stated = [one for one in right if one.status in ("present", "absent", "other")]
    return {
        "sentences": len(rows),
        "status and zones right": len(right),
        "wrong without a note": sum(not one.notes for _, one in wrong),
        "right statements": len(stated),
        "right statements with a note": sum(bool(one.notes) for one in stated),
        "right statements with a note of the second reading alone": sum(map(_second, stated)),
        "wrong with a note of the second reading alone": sum(_second(one) for _, one in wrong),
        "wrong": [{"text": row.text, "read as": _plain(one)} for row, one in wrong],
    }


def main() -> None:
    """Read the batches and print, or keep, their figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("batches", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="JSON file of first readings to add to")
    parser.add_argument("--show", action="store_true", help="print the wrong rows and the notes")
    args = parser.parse_args()
    kept = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    for path in args.batches:
        rows = batch(path)
        figures = score(rows)
        short = {name: value for name, value in figures.items() if name != "wrong"}
        print(path.stem, short)
        if args.show:
            _show(rows)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entry = kept.setdefault(path.stem, {"sha256": digest, "first reading": figures})
        entry["now"] = short
    if args.out:
        args.out.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def _show(rows: list[Row]) -> None:
    for row in rows:
        found = read(row.text)
        good = row.right(found)
        if not good or (found.notes and found.status not in ("unread", "uncertain")):
            print("  ok   " if good else "  WRONG", row.text)
            if not good:
                print("        wanted", row.status, sorted(row.zones))
                print("        got   ", found.status, found.sides, found.zones)
            for note in found.notes:
                print("         -", note)


if __name__ == "__main__":
    main()
