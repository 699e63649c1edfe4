"""The controls that write a sentence, and the way back from a sentence."""

from collections.abc import Collection
from dataclasses import dataclass

from causalseg.errors import InputError
from causalseg.text.captions import parse
from causalseg.text.grammar_lung import LATERALITIES, ZONES, Lung, LungFinding
from causalseg.text.words import CaptionError

LUNGS = ("left", "right", "both", "none")
"""Choices of the first control. Sides are the viewer's, as in the captions of QaTa-COV19."""
MAX_COUNT = 8


@dataclass(frozen=True)
class Controls:
    """What the controls show."""

    side: str
    left: tuple[str, ...] = ()
    """Zones of the left lung, of upper, middle, lower."""
    right: tuple[str, ...] = ()
    count: int = 1
    """Infected areas."""


def write(side: str, left: Collection[str], right: Collection[str], count: int) -> str:
    """The sentence in LViT's wording, which the packaged model was trained on.

    A lung without a zone is named as a whole ("left lung"). Zones of a lung that the side leaves
    out are ignored. In both lungs there are at least two infected areas.

    Raises:
        InputError: an unknown side or zone, or a count outside 1..`MAX_COUNT`.

    """
    if side not in LUNGS or not {*left, *right} <= set(ZONES):
        raise InputError(f"choose a side of {', '.join(LUNGS)}, and zones of {', '.join(ZONES)}.")
    if not 1 <= count <= MAX_COUNT:
        raise InputError(f"the count of infected areas is 1 to {MAX_COUNT}, not {count}.")
    if side == "none":
        return LungFinding(None, 0, None, None, "lvit").compose()
    first, second = (
        Lung(tuple(zone for zone in ZONES if zone in zones), all_written=True)
        if side in (name, "both")
        else None
        for name, zones in (("left", left), ("right", right))
    )
    laterality = LATERALITIES[side == "both"]
    return LungFinding(laterality, max(count, least(side)), first, second, "lvit").compose()


def least(side: str) -> int:
    """The fewest infected areas that a finding on these sides can have: one in each lung."""
    return 2 if side == "both" else 1


def as_controls(text: str) -> Controls | None:
    """The controls for a caption about lungs; None for any other text."""
    try:
        finding = parse(text)
    except CaptionError:
        return None
    if not isinstance(finding, LungFinding):
        return None
    if finding.absent:
        return Controls("none")
    if not 1 <= finding.count <= MAX_COUNT:
        return None
    left, right = finding.left, finding.right
    side = LUNGS[2 if left and right else 0 if left else 1]
    return Controls(side, left.zones if left else (), right.zones if right else (), finding.count)
