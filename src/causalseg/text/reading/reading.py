"""What a sentence says: the typed result of reading it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from causalseg.text.grammar_lung import ZONES, LungWording, lung_finding
from causalseg.text.words import OTHER_SIDE, SIDES, UNLOCATED

Status = Literal["present", "absent", "uncertain", "other", "unread"]
Sides = Literal["patient", "viewer"]


@dataclass(frozen=True)
class Reading:
    """A text as it was understood."""

    text: str
    status: Status
    """present or uncertain: an opacity or an infection; absent: the text says there is none;
    other: findings of another kind only; unread: nothing that could be read."""
    zones: tuple[tuple[str, str], ...] = ()
    """(side, height) pairs, left before right and upper before lower, in the sense of `sides`."""
    sides: Sides = "patient"
    """Whose left is meant."""
    sides_said: bool = False
    """The text itself says whose, by words or by its template; else it was taken so."""
    heights: tuple[str, ...] = ()
    """Heights for which no side is said; `zones` leaves them out."""
    other: tuple[str, ...] = ()
    """Findings of another kind that are said to be there."""
    diffuse: bool = False
    """Diffuse, multifocal, throughout."""
    evidence: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The words that decided the status, the zones, the sides and the other findings."""
    corrections: dict[str, str] = field(default_factory=dict)
    """Typing errors, and what they were read as."""
    unread: tuple[str, ...] = ()
    """Words that were not understood."""
    idle: tuple[str, ...] = ()
    """Words that were understood and decided nothing."""
    notes: tuple[str, ...] = ()
    """Sentences about whatever was taken one way and could be taken another."""

    @property
    def count(self) -> int:
        """Zones named."""
        return len(self.zones)

    def asked(self, sides: Sides) -> tuple[tuple[str, str], ...]:
        """The zones to segment, in a convention of sides; a height without a side is in both."""
        zones = set(self.zones)
        if not zones:
            zones = {(side, height) for side in SIDES for height in self.heights}
        if sides != self.sides:
            zones = {(OTHER_SIDE[side], height) for side, height in zones}
        return ordered(zones)

    def canonical(self, sides: Sides = "viewer", wording: LungWording = "sgseg") -> str:
        """The sentence in the wording that checkpoints are trained in, or "" where there is none.

        Args:
            sides: the convention of the checkpoint's captions.
            wording: theirs too.

        """
        if self.status == "absent":
            return lung_finding((), (), wording).compose()
        if self.status not in ("present", "uncertain"):
            return ""
        zones = self.asked(sides)
        if not zones:
            return UNLOCATED if wording == "sgseg" else UNLOCATED.capitalize()
        left, right = (
            tuple(height for side, height in zones if side == wanted) for wanted in SIDES
        )
        return lung_finding(left, right, wording).compose()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "text": self.text,
            "status": self.status,
            "zones": [list(zone) for zone in self.zones],
            "sides": self.sides,
            "canonical": self.canonical(),
            "unread": list(self.unread),
            "notes": list(self.notes),
            "sides_said": self.sides_said,
            "heights": list(self.heights),
            "other": list(self.other),
            "diffuse": self.diffuse,
            "count": self.count,
            "evidence": {part: list(words) for part, words in self.evidence.items()},
            "corrections": self.corrections,
            "idle": list(self.idle),
        }


def ordered(
    zones: set[tuple[str, str]] | frozenset[tuple[str, str]],
) -> tuple[tuple[str, str], ...]:
    """Zones in their order: left before right, upper before lower."""
    return tuple((side, height) for side in SIDES for height in ZONES if (side, height) in zones)
