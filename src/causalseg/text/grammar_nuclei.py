"""LViT's sentences on the density of nuclei (MoNuSeg).

The nuclei are evenly distributed.
The nuclei density in the upper left is high.
The nuclei density is higher around.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from causalseg.text.words import OTHER_SIDE, Cursor

MANNERS = ("evenly", "sparsely", "irregularly")
_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "center", "right")
VOCABULARY = frozenset(
    {*MANNERS, *_ROWS, *_COLUMNS, ".", "the", "nuclei", "are", "distributed", "density"}
    | {"is", "higher", "around", "in", "high"}
)


@dataclass(frozen=True)
class NucleiFinding:
    """How nuclei are distributed, or where they are dense.

    `distribution` is evenly, sparsely, irregularly, "around" (denser near the edge) or None when
    a place of high density is named by `row`, `column` or both.
    """

    distribution: str | None
    row: str | None = None
    column: str | None = None
    wording: Literal["nuclei"] = field(default="nuclei", compare=False)

    @property
    def absent(self) -> bool:
        """Whether the caption says that there is nothing; this wording cannot."""
        return False

    def swapped(self) -> "NucleiFinding":
        """The finding of the mirrored image."""
        return replace(self, column=OTHER_SIDE.get(self.column or "", self.column))

    def compose(self) -> str:
        """The caption."""
        if self.distribution == "around":
            return "The nuclei density is higher around."
        if self.distribution:
            return f"The nuclei are {self.distribution} distributed."
        place = " ".join(word for word in (self.row, self.column) if word)
        return f"The nuclei density in the {place} is high."


def parse_nuclei(cursor: Cursor) -> NucleiFinding:
    """Read one sentence on nuclei."""
    cursor.phrase("the nuclei")
    if cursor.need("are", "density") == "are":
        finding = NucleiFinding(cursor.need(*MANNERS))
        cursor.phrase("distributed")
    elif cursor.need("is", "in") == "is":
        cursor.phrase("higher around")
        finding = NucleiFinding("around")
    else:
        cursor.phrase("the")
        row = cursor.take(*_ROWS)
        column = cursor.take(*_COLUMNS) if row else cursor.need(*_COLUMNS)
        cursor.phrase("is high")
        finding = NucleiFinding(None, row, column)
    cursor.end()
    return finding
