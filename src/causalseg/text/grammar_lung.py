"""The lung captions of LViT (QaTa-COV19, MosMedData+), in its own wording and in SGSeg's.

    Bilateral pulmonary infection, two infected areas, upper left lung and all right lung.
    bilateral pulmonary infection, four infected areas, upper left lung and upper middle lower
    right lung.

LViT counts infected areas as its annotators saw them and writes "all" for three zones; SGSeg
counts lung zones and spells all three out. Both name the left lung first. "Left" is the viewer's
left. A finding that is absent reads "No pulmonary infection."
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from causalseg.errors import InputError
from causalseg.text.words import NUMBERS, OTHER_SIDE, SIDES, Cursor, number, number_word

ZONES = ("upper", "middle", "lower")
LATERALITIES = ("unilateral", "bilateral")
LungWording = Literal["lvit", "sgseg"]
VOCABULARY = frozenset(
    {*ZONES, *SIDES, *NUMBERS, *LATERALITIES, ",", ".", "all", "lung", "and", "no"}
    | {"pulmonary", "infection", "infected", "area", "areas"}
)


@dataclass(frozen=True)
class Lung:
    """What a caption says of one lung: its zones in the order upper, middle, lower.

    No zone at all is the bare "left lung" that MosMedData+ has.
    """

    zones: tuple[str, ...] = ()
    all_written: bool = field(default=False, compare=False)
    """Whether three zones are written "all"."""

    def __post_init__(self) -> None:
        if self.zones != tuple(zone for zone in ZONES if zone in self.zones):
            raise InputError(f"lung zones are some of {ZONES} in this order, not {self.zones}.")

    def words(self) -> str:
        """The zones as words with a space behind, or nothing."""
        named = ("all",) if self.all_written and self.zones == ZONES else self.zones
        return "".join(f"{word} " for word in named)


@dataclass(frozen=True)
class LungFinding:
    """A pulmonary infection and where it lies; count 0 and no lung is the absent finding.

    Two findings are equal when they say the same, whatever the wording. `laterality` and `count`
    are kept as stated even where they contradict the lungs named (a few MosMedData+ rows do).
    """

    laterality: str | None
    count: int
    left: Lung | None
    right: Lung | None
    wording: LungWording = field(default="sgseg", compare=False)
    plural: bool | None = field(default=None, compare=False)
    """Whether "areas" is written; None for what the count asks for."""
    right_first: bool = field(default=False, compare=False)

    @property
    def absent(self) -> bool:
        """Whether the caption says that there is nothing."""
        return self.left is None and self.right is None

    @property
    def zones(self) -> frozenset[tuple[str, str]]:
        """All (side, zone) pairs named."""
        lungs = (("left", self.left), ("right", self.right))
        return frozenset((side, zone) for side, lung in lungs if lung for zone in lung.zones)

    def swapped(self) -> "LungFinding":
        """The finding of the mirrored image."""
        return replace(self, left=self.right, right=self.left)

    def compose(self) -> str:
        """The caption, in this finding's wording."""
        start = str if self.wording == "sgseg" else str.capitalize
        if self.absent:
            return start("no pulmonary infection.")
        plural = self.count != 1 if self.plural is None else self.plural
        lungs = [("left", self.left), ("right", self.right)]
        clauses = [f"{lung.words()}{side} lung" for side, lung in lungs if lung is not None]
        if self.right_first:
            clauses.reverse()
        return start(
            f"{self.laterality} pulmonary infection, {number_word(self.count)} infected "
            f"area{'s' if plural else ''}, {' and '.join(clauses)}."
        )


def lung_finding(
    left: tuple[str, ...], right: tuple[str, ...], wording: LungWording = "sgseg"
) -> LungFinding:
    """A finding from the zones of each lung; the rest follows by the wording's rule.

    SGSeg counts zones. LViT's count cannot be told from zones; it is one for each lung named,
    which is what LViT's annotators wrote in most QaTa rows.
    """
    lungs = [Lung(zones, wording == "lvit") if zones else None for zones in (left, right)]
    named = sum(lung is not None for lung in lungs)
    return LungFinding(
        laterality=(None, *LATERALITIES)[named],
        count=len(left) + len(right) if wording == "sgseg" else named,
        left=lungs[0],
        right=lungs[1],
        wording=wording,
    )


def reworded(finding: LungFinding, wording: LungWording) -> LungFinding:
    """The same zones in another wording, recounted by that wording's rule.

    Raises:
        InputError: the finding names a lung without a zone, which SGSeg's wording cannot say.

    """
    if finding.wording == wording:
        return finding
    lungs = (finding.left, finding.right)
    if any(lung is not None and not lung.zones for lung in lungs):
        raise InputError(f"{finding.compose()!r} names a lung without a zone: give it one first.")
    left, right = (lung.zones if lung else () for lung in lungs)
    return lung_finding(left, right, wording)


def parse_lung(cursor: Cursor) -> LungFinding:
    """Read one lung caption."""
    capital = "".join(cursor.words[:1])[:1].isupper()
    wording: LungWording = "lvit" if capital else "sgseg"
    if cursor.take("no"):
        cursor.phrase("pulmonary infection")
        cursor.end()
        return LungFinding(None, 0, None, None, wording)
    laterality = cursor.need(*LATERALITIES)
    cursor.phrase("pulmonary infection ,")
    count = number(cursor.need(*NUMBERS[1:]))
    cursor.phrase("infected")
    plural = cursor.need("area", "areas") == "areas"
    cursor.phrase(",")
    first, lung = _clause(cursor, SIDES)
    lungs = {first: lung}
    if cursor.take("and"):
        second, lung = _clause(cursor, (OTHER_SIDE[first],))
        lungs[second] = lung
    cursor.end()
    return LungFinding(
        laterality=laterality,
        count=count,
        left=lungs.get("left"),
        right=lungs.get("right"),
        wording=wording,
        plural=None if plural == (count != 1) else plural,
        right_first=len(lungs) == 2 and first == "right",
    )


def _clause(cursor: Cursor, sides: tuple[str, ...]) -> tuple[str, Lung]:
    if cursor.take("all"):
        lung = Lung(ZONES, all_written=True)
    else:
        # In order only: "lower upper" would not come back as it was written.
        lung = Lung(tuple(zone for zone in ZONES if cursor.take(zone)))
    side = cursor.need(*sides)
    cursor.phrase("lung")
    return side, lung
