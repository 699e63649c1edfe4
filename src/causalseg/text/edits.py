"""Typed edits of a caption, each with what it must do to the mask.

They are the questions of the faithfulness suite. An edit that does not apply to a caption is
None: a caption that names one lung has no clause to drop. All are deterministic by seed.
"""

import random
import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from causalseg.text import captions
from causalseg.text.captions import GRAMMARS, Finding
from causalseg.text.grammar_lung import ZONES, Lung, LungFinding, lung_finding
from causalseg.text.grammar_nuclei import NucleiFinding
from causalseg.text.grammar_polyp import _COLUMNS, _ROWS, PolypFinding
from causalseg.text.paraphrases import paraphrases
from causalseg.text.words import CaptionError

_KNOWN = frozenset[str]().union(*(vocabulary for _, vocabulary in GRAMMARS))


class Expectation(StrEnum):
    """What must happen to the predicted mask when the image stays as it is."""

    UNCHANGED = "unchanged"
    """The meaning is the same: so must be the mask."""
    SHRINKS = "shrinks"
    """What is no longer named goes; the rest stays."""
    MOVES = "moves"
    """The mask lies in the places now named."""
    EMPTY = "empty"
    """Nothing is to be segmented."""
    UNDEFINED = "undefined"
    """No mask is right: only how far the output changes can be measured."""


class EditKind(StrEnum):
    """The edits."""

    SWAP_SIDES = "swap-sides"
    DROP_CLAUSE = "drop-clause"
    MOVE_ZONE = "move-zone"
    CHANGE_COUNT = "change-count"
    NEGATE = "negate"
    PARAPHRASE = "paraphrase"
    FIXED = "fixed"
    SAME_STRATUM = "same-stratum"
    OTHER_STRATUM = "other-stratum"
    EMPTY = "empty"
    GIBBERISH = "gibberish"


@dataclass(frozen=True)
class Edit:
    """An edited caption."""

    kind: EditKind
    original: str
    caption: str
    expectation: Expectation

    @property
    def gone(self) -> frozenset[tuple[str, str]]:
        """(side, zone) of the lungs from which the mask must go."""
        return self._difference(self.original, self.caption)

    @property
    def gained(self) -> frozenset[tuple[str, str]]:
        """(side, zone) of the lungs which are newly named."""
        return self._difference(self.caption, self.original)

    def _difference(self, one: str, other: str) -> frozenset[tuple[str, str]]:
        if self.expectation in (Expectation.UNCHANGED, Expectation.UNDEFINED):
            return frozenset()
        return _zones(one) - _zones(other)


def exchange_sides(text: str) -> Edit | None:
    """Swap left and right; None where no side is named, both say the same, or it is not safe."""
    swapped = captions.mirror_caption(text)
    if swapped is None or swapped == text:
        return None
    return Edit(EditKind.SWAP_SIDES, text, swapped, Expectation.MOVES)


def drop_clause(text: str, seed: int = 0) -> Edit | None:
    """Leave out one of two lungs, or one of several polyps that each have a place."""
    finding, rng = _read(text), _generator(text, seed)
    if isinstance(finding, LungFinding) and finding.left and finding.right:
        zones = [finding.left.zones, finding.right.zones]
        drop = rng.randrange(2)
        if not zones[1 - drop]:
            return None
        zones[drop] = ()
        caption = lung_finding(zones[0], zones[1], finding.wording).compose()
    elif isinstance(finding, PolypFinding) and 1 < finding.count == len(finding.positions):
        drop = rng.randrange(finding.count)
        kept = (*finding.positions[:drop], *finding.positions[drop + 1 :])
        caption = replace(finding, count=finding.count - 1, positions=kept).compose()
    else:
        return None
    return Edit(EditKind.DROP_CLAUSE, text, caption, Expectation.SHRINKS)


def move_zone(text: str, seed: int = 0) -> Edit | None:
    """Name another zone of the same lung in place of one, or another cell for a polyp."""
    finding, rng = _read(text), _generator(text, seed)
    if isinstance(finding, LungFinding):
        sides = [(name, getattr(finding, name)) for name in ("left", "right")]
        movable = [(name, lung) for name, lung in sides if lung and 0 < len(lung.zones) < 3]
        if not movable:
            return None
        name, lung = rng.choice(movable)
        leaves = rng.choice(lung.zones)
        enters = rng.choice([zone for zone in ZONES if zone not in lung.zones])
        named = {*lung.zones, enters} - {leaves}
        moved = Lung(tuple(zone for zone in ZONES if zone in named))
        lungs = {"left": finding.left, "right": finding.right, name: moved}
        caption = replace(finding, left=lungs["left"], right=lungs["right"]).compose()
    elif isinstance(finding, PolypFinding) and finding.positions:
        cells = [(row, column) for row in _ROWS for column in _COLUMNS]
        free = [cell for cell in cells if cell not in finding.positions]
        if not free:
            return None
        place = rng.choice(free)
        caption = replace(finding, positions=(place, *finding.positions[1:])).compose()
    else:
        return None
    return Edit(EditKind.MOVE_ZONE, text, caption, Expectation.MOVES)


def change_count(text: str, seed: int = 0) -> Edit | None:
    """State another count, places kept.

    In a lung caption the places still say where the infection is, so the mask must stay; for
    polyps the count is part of what is to be found, and no mask is right.
    """
    finding, rng = _read(text), _generator(text, seed)
    if isinstance(finding, NucleiFinding) or finding is None or finding.absent:
        return None
    lowest = 2 if isinstance(finding, PolypFinding) else 1
    count = rng.choice([n for n in range(lowest, 9) if n != finding.count])
    if isinstance(finding, LungFinding):
        caption = replace(finding, count=count, plural=None).compose()
        return Edit(EditKind.CHANGE_COUNT, text, caption, Expectation.UNCHANGED)
    caption = replace(finding, count=count).compose()
    return Edit(EditKind.CHANGE_COUNT, text, caption, Expectation.UNDEFINED)


def negate(text: str) -> Edit | None:
    """Say that there is nothing: "No pulmonary infection.", "No polyp visible."."""
    finding = _read(text)
    if finding is None or finding.absent or isinstance(finding, NucleiFinding):
        return None
    if isinstance(finding, LungFinding):
        caption = LungFinding(None, 0, None, None, finding.wording).compose()
    else:
        caption = PolypFinding(0, None, ()).compose()
    return Edit(EditKind.NEGATE, text, caption, Expectation.EMPTY)


def paraphrase(text: str, seed: int = 0) -> Edit | None:
    """Say the same in other words; `paraphrases.paraphrases` gives all ways."""
    finding = _read(text)
    if finding is None:
        return None
    ways = [way for way in paraphrases(finding) if way != text]
    chosen = _generator(text, seed).choice(ways)
    return Edit(EditKind.PARAPHRASE, text, chosen, Expectation.UNCHANGED)


def replace_by(text: str, fixed: str) -> Edit | None:
    """Give one fixed caption to every image."""
    return None if fixed == text else Edit(EditKind.FIXED, text, fixed, Expectation.UNDEFINED)


def empty(text: str) -> Edit | None:
    """No text at all."""
    return Edit(EditKind.EMPTY, text, "", Expectation.UNDEFINED) if text else None


def gibberish(text: str, seed: int = 0) -> Edit | None:
    """Random letters in words as many and as long, with the same punctuation."""
    if not any(map(str.isalpha, text)):
        return None
    rng, babble = _generator(text, seed), text
    while babble == text or _KNOWN & set(re.findall(r"\w+", babble)):
        babble = "".join(
            rng.choice(string.ascii_lowercase) if letter.isalpha() else letter for letter in text
        )
    return Edit(EditKind.GIBBERISH, text, babble, Expectation.UNDEFINED)


def stratum(text: str) -> Hashable:
    """What two captions share beyond their wording when only the places differ.

    Lungs: laterality and number of zones; polyps: count and size; nuclei: kind of sentence.
    Captions that do not parse form one stratum.
    """
    finding = _read(text)
    if finding is None:
        return None
    if isinstance(finding, LungFinding):
        return finding.laterality, len(finding.zones)
    if isinstance(finding, NucleiFinding):
        return (finding.distribution,)
    size = (finding.size,) if isinstance(finding, PolypFinding) else finding.sizes
    return finding.count, size


def other_captions(
    texts: Sequence[str], *, same_stratum: bool, pool: Sequence[str] | None = None, seed: int = 0
) -> list[Edit | None]:
    """For each caption another image's, drawn as often as images have it.

    Args:
        texts: captions to replace.
        same_stratum: draw within the caption's own stratum, or from all others.
        pool: captions to draw from; the texts themselves when not given.
        seed: of the draw; copies of a caption may be replaced by different ones.

    Returns:
        One edit for each text; None where the pool has no different caption of that kind.

    """
    strata: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for text in texts if pool is None else pool:
        strata[stratum(text)][text] += 1
    kind = EditKind.SAME_STRATUM if same_stratum else EditKind.OTHER_STRATUM
    rng = random.Random(seed)
    choices: dict[str, tuple[list[str], list[int]]] = {}
    edits: list[Edit | None] = []
    for text in texts:
        if text not in choices:
            own = stratum(text)
            drawn = {
                caption: weight
                for key, members in strata.items()
                if (key == own) == same_stratum
                for caption, weight in sorted(members.items())
                if caption != text
            }
            choices[text] = list(drawn), list(drawn.values())
        candidates, weights = choices[text]
        if not candidates:
            edits.append(None)
            continue
        other = rng.choices(candidates, weights)[0]
        edits.append(Edit(kind, text, other, Expectation.UNDEFINED))
    return edits


def edits_of(text: str, seed: int = 0) -> list[Edit]:
    """Every edit that needs nothing but the caption and applies to it."""
    seeded: tuple[Callable[[str, int], Edit | None], ...]
    seeded = (drop_clause, move_zone, change_count, paraphrase, gibberish)
    found = [
        exchange_sides(text),
        negate(text),
        empty(text),
        *(make(text, seed) for make in seeded),
    ]
    return [edit for edit in found if edit is not None]


def _read(text: str) -> Finding | None:
    try:
        return captions.parse(text)
    except CaptionError:
        return None


def _zones(text: str) -> frozenset[tuple[str, str]]:
    finding = _read(text)
    return finding.zones if isinstance(finding, LungFinding) else frozenset()


def _generator(text: str, seed: int) -> random.Random:
    return random.Random(f"{seed} {text}")
