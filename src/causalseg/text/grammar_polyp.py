"""The two wordings of polyp captions: derived from the mask, and MedVLSM's published prompts.

Multiple polyps, two small polyp areas, upper center and middle center of the image.
No polyp visible.
two small, medium white round polyp, located in top left, center of the image
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from causalseg.text.words import NUMBERS, OTHER_SIDE, Cursor, number, number_word

_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "center", "right")
_SIZES = ("small", "medium", "large")
MANY = 9
"""The derived wording counts to eight; from here on it says "nine or more"."""

COLOURS = (
    *("white", "yellow", "pink", "brown", "orange", "tan", "red", "black", "purple", "peach"),
    *("gray", "grey", "blue", "green"),
)
VOCABULARY = frozenset(
    {
        *_ROWS,
        *_COLUMNS,
        *_SIZES,
        *NUMBERS,
        *COLOURS,
        ",",
        ".",
        "single",
        "multiple",
        "no",
        "visible",
    }
    | {"polyp", "polyps", "area", "areas", "and", "or", "more", "of", "the", "image"}
    | {"located", "in", "top", "bottom"}
)


@dataclass(frozen=True)
class PolypFinding:
    """The derived wording: how many polyps, their size, and the grid cells of their centres.

    `positions` holds (row, column) pairs in the order written. Count 0 is the absent finding;
    count 9 stands for nine or more.
    """

    count: int
    size: str | None
    positions: tuple[tuple[str, str], ...]
    wording: Literal["polyp"] = field(default="polyp", compare=False)

    @property
    def absent(self) -> bool:
        """Whether the caption says that there is nothing."""
        return self.count == 0

    def swapped(self) -> "PolypFinding":
        """The finding of the mirrored image; the order of the positions stays."""
        mirrored = tuple((row, OTHER_SIDE.get(column, column)) for row, column in self.positions)
        return replace(self, positions=mirrored)

    def compose(self) -> str:
        """The caption."""
        if self.absent:
            return "No polyp visible."
        many = self.count > 1
        counted = number_word(self.count) + (" or more" if self.count == MANY else "")
        places = " and ".join(f"{row} {column}" for row, column in self.positions)
        return (
            f"{'Multiple polyps' if many else 'Single polyp'}, {counted} {self.size} "
            f"polyp area{'s' if many else ''}, {places} of the image."
        )


@dataclass(frozen=True)
class PolypPrompt:
    """MedVLSM's wording: count, sizes, colour, a free description of the shape, positions.

    A position is "center", or a row (top, bottom), a column, or both ("top left").
    """

    count: int
    sizes: tuple[str, ...]
    colour: str
    shape: str
    positions: tuple[str, ...]
    wording: Literal["medvlsm"] = field(default="medvlsm", compare=False)

    @property
    def absent(self) -> bool:
        """Whether the caption says that there is nothing; this wording cannot."""
        return False

    def swapped(self) -> "PolypPrompt":
        """The finding of the mirrored image; a shape ("right ear") is not a position and stays."""
        mirrored = tuple(
            " ".join(OTHER_SIDE.get(word, word) for word in position.split())
            for position in self.positions
        )
        return replace(self, positions=mirrored)

    def compose(self) -> str:
        """The caption, which has no full stop in this wording."""
        return (
            f"{number_word(self.count)} {', '.join(self.sizes)} {self.colour} {self.shape} polyp, "
            f"located in {', '.join(self.positions)} of the image"
        )


def parse_polyp(cursor: Cursor) -> PolypFinding:
    """Read one derived polyp caption."""
    if cursor.take("no"):
        cursor.phrase("polyp visible")
        cursor.end()
        return PolypFinding(0, None, ())
    many = cursor.need("single", "multiple") == "multiple"
    cursor.phrase("polyps ," if many else "polyp ,")
    count = number(cursor.need(*(NUMBERS[2 : MANY + 1] if many else NUMBERS[1:2])))
    if count == MANY:
        cursor.phrase("or more")
    size = cursor.need(*_SIZES)
    cursor.phrase("polyp areas ," if many else "polyp area ,")
    positions = [(cursor.need(*_ROWS), cursor.need(*_COLUMNS))]
    while cursor.take("and"):
        positions.append((cursor.need(*_ROWS), cursor.need(*_COLUMNS)))
    cursor.phrase("of the image")
    cursor.end()
    return PolypFinding(count, size, tuple(positions))


def parse_prompt(cursor: Cursor) -> PolypPrompt:
    """Read one of MedVLSM's prompts."""
    count = number(cursor.need(*NUMBERS[1:]))
    sizes = [cursor.need(*_SIZES)]
    while cursor.take(","):
        sizes.append(cursor.need(*_SIZES))
    colour = cursor.need(*COLOURS)
    shape = cursor.any_word()
    while not cursor.take("polyp"):
        word = cursor.any_word()
        shape += word if word == "," else f" {word}"
    cursor.phrase(", located in")
    positions = [_position(cursor)]
    while cursor.take(","):
        positions.append(_position(cursor))
    cursor.phrase("of the image")
    cursor.end()
    return PolypPrompt(count, tuple(sizes), colour, shape, tuple(positions))


def _position(cursor: Cursor) -> str:
    first = cursor.need("top", "bottom", "left", "right", "center")
    if first in ("top", "bottom") and (column := cursor.take("left", "right")):
        return f"{first} {column}"
    return first
