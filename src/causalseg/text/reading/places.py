"""The places that a finding's words name, put together: sides, heights and what joins them.

A place may be said in any order and in pieces ("right upper and left lower lung", "mid zone
opacity ... on the left", "lower left lung and upper middle right lung"). The rules:

- a side takes the heights said with it; a side without any is the whole lung;
- in a list, a piece that lacks a side or a height takes it from its neighbour;
- "bilateral" beside places that name their sides only sums them up;
- a height without any side is both lungs where it is plural (bases, lower zones), and open where
  it is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from causalseg.text.grammar_lung import ZONES
from causalseg.text.reading.terms import BOTH, Kind, Term, heights

Zone = tuple[str, str]
EXTENDING = "extending"
"""Key of the join between a place and one that a finding reaches from there."""
EXTENDS = frozenset("extend extends extending extended spread spreads spreading tracking".split())
"""Words that lead to another place where "into" or the like follows."""
REACHES = frozenset("reach reaches reaching reached".split())
"""Words that lead to another place by themselves."""


@dataclass(frozen=True)
class Region:
    """What a finding's places come to."""

    zones: frozenset[Zone] = frozenset()
    heights: tuple[str, ...] = ()
    """Heights for which no side is said."""
    notes: tuple[str, ...] = ()


@dataclass
class _Piece:
    sides: set[str] = field(default_factory=set)
    heights: set[str] = field(default_factory=set)
    height_first: bool = False
    whole: bool = False
    """Diffuse, throughout, all."""
    lung: bool = False
    """A noun for the whole lung is there."""
    lungs: bool = False
    """The plural of it is there."""
    both: bool = False
    """The heights are plural: in both lungs, unless a side is said."""
    default: str | None = None
    shut: bool = False
    """A place that takes no more words (lingula, LLL)."""

    @property
    def empty(self) -> bool:
        return not (self.sides or self.heights or self.whole or self.lungs)

    @property
    def summary(self) -> bool:
        """Bilateral, diffuse, the lungs: says no more than that both lungs are meant."""
        return not self.heights and (self.sides == set(BOTH) or not self.sides)


def region(groups: Sequence[Sequence[Term]]) -> Region:
    """The zones of terms, which come in groups: one for each part of the sentence."""
    pieces = [piece for group in groups for piece in _pieces(group) if not piece.empty]
    if not pieces:
        return Region()
    pieces = _without_summaries(_without_repeats(pieces))
    notes: list[str] = []
    _fill(pieces)
    zones: set[Zone] = set()
    open_heights: set[str] = set()
    anywhere = {side for piece in pieces for side in piece.sides}
    for piece in pieces:
        sides = set(piece.sides)
        if not sides and piece.default and not (anywhere and piece.both):
            sides = {piece.default}
            if piece.default == "left":  # the middle lobe can only be the right lung's
                notes.append("behind the heart was taken as the left lung's base.")
        if not sides and (piece.both or piece.lungs or piece.whole):
            sides = set(BOTH)
        if not sides:
            open_heights |= piece.heights
            continue
        zones |= {(side, zone) for side in sides for zone in piece.heights or ZONES}
    return Region(frozenset(zones), heights(*open_heights), tuple(dict.fromkeys(notes)))


def _without_repeats(pieces: list[_Piece]) -> list[_Piece]:
    """Drop a bare side that is said twice: "right lung (the patient's right), upper zone"."""
    return [
        piece
        for piece, following in zip(pieces, [*pieces[1:], _Piece()], strict=True)
        if piece.heights or following.heights or not piece.sides or piece.sides != following.sides
    ]


def _without_summaries(pieces: list[_Piece]) -> list[_Piece]:
    """Drop what only sums up: "bilateral: left base, right apex", "both lungs, mostly bases"."""
    exact = [piece for piece in pieces if not piece.summary]
    if not exact or len(exact) == len(pieces):
        return pieces
    if not any(piece.sides for piece in exact):
        for piece in exact:
            if not piece.default:
                piece.sides = set(BOTH)
    return exact


def _pieces(terms: Sequence[Term]) -> list[_Piece]:
    pieces = [_Piece()]
    for term in _without_segments(terms):
        current = pieces[-1]
        if term.kind is Kind.JOIN:
            if term.key == EXTENDING and current.sides and not current.heights:
                current.heights = set(ZONES)  # "right-sided opacity extending to the apex"
            pieces.append(_Piece())
            continue
        if term.kind is Kind.ALL:
            current.whole = True
            continue
        if term.kind is Kind.LUNG:
            current.lung |= bool(current.sides) and term.key not in ("pulmonary", "lobar", "lobe")
            current.lungs |= term.key in ("lungs", "lung fields")
            continue
        place = term.place
        if place is None:
            continue
        if place.sides and place.heights:
            if not current.empty and not (current.whole and not current.sides):
                current = _Piece()
                pieces.append(current)
            current.sides, current.heights = set(place.sides), set(place.heights)
            current.shut, current.both = True, place.both
            pieces.append(_Piece())
        elif place.sides:
            if current.sides and current.heights and not _is_both(current.sides):
                current = _Piece()
                pieces.append(current)
            if _is_both(current.sides) and not current.heights:
                current.sides = set()  # "both the right upper and the right middle lobes"
            if not (_is_both(set(place.sides)) and current.sides):
                current.sides |= set(place.sides)
        else:
            if current.height_first and current.sides and current.heights != set(place.heights):
                current = _Piece()
                pieces.append(current)
            current.height_first |= not current.sides
            current.heights |= set(place.heights)
            current.both |= place.both
            current.default = place.default or current.default
    return pieces


def _is_both(sides: set[str]) -> bool:
    return sides == set(BOTH)


def _without_segments(terms: Sequence[Term]) -> list[Term]:
    """A segment follows its lobe: of "superior segment of the lower lobe" the lobe counts.

    The lingula is a segment of the upper lobe and counts itself.
    """
    kept: list[Term] = []
    skip = False
    for number, term in enumerate(terms):
        if term.kind is Kind.SEGMENT:
            if kept and kept[-1].place and not kept[-1].place.sides and _lobe(terms[number + 1 :]):
                kept.pop()
            continue
        if term.place and term.key.startswith("lingul"):
            skip = term.key.endswith("segment") or (
                number + 1 < len(terms) and terms[number + 1].kind is Kind.SEGMENT
            )
            kept.append(term)
            continue
        if term.kind is Kind.JOIN:
            skip = False
        if skip and term.place:
            continue
        kept.append(term)
    return kept


def _lobe(terms: Sequence[Term]) -> bool:
    """Whether a place with a height follows before anything joins."""
    for term in terms:
        if term.kind is Kind.JOIN:
            return False
        if term.place and term.place.heights:
            return True
    return False


def _fill(pieces: list[_Piece]) -> None:
    """Give each piece what it lacks from its neighbours; pieces that are used up are removed."""
    _fill_heights(pieces)
    _fill_sides(pieces)
    pieces[:] = [piece for piece in pieces if not piece.empty]


def _fill_heights(pieces: list[_Piece]) -> None:
    for number, piece in enumerate(pieces):
        before = pieces[number - 1] if number else None
        after = pieces[number + 1] if number + 1 < len(pieces) else None
        if piece.sides and not piece.heights and not piece.whole:
            if after and after.heights and not after.sides and not after.shut:
                after.sides = set(piece.sides)  # "on the right, mid zone"
                piece.sides = set()
                piece.lungs = piece.whole = False
            elif before and before.heights and not before.sides:
                before.sides = set(piece.sides)  # "mid zone, on the right"
                piece.sides = set()
            elif not piece.lung and after and after.heights and not after.height_first:
                if not after.shut and not _is_both(piece.sides):
                    piece.heights = set(after.heights)  # "left and right lower lobes"
            elif not piece.lung and before and before.heights and not before.shut:
                piece.heights = set(before.heights)  # "basal on the right, less so on the left"


def _fill_sides(pieces: list[_Piece]) -> None:
    """Give heights in a row ("upper, mid and lower") the side of the piece before or behind."""
    number = 0
    while number < len(pieces):
        end = number
        while end < len(pieces) and _lacks_side(pieces[end]):
            end += 1
        if end == number:
            number += 1
            continue
        before = pieces[number - 1] if number else None
        after = pieces[end] if end < len(pieces) else None
        forward = after if after and after.sides and after.height_first else None
        behind = before if before and before.sides else None
        # "upper left lung, ..." and "left lung, ..." take no more heights behind them.
        closed = behind and (
            behind.shut or behind.height_first or (behind.lung and not behind.heights)
        )
        giver = forward if forward and (closed or not behind) else behind
        for piece in pieces[number:end]:
            if giver and not (giver is behind and behind.shut and piece.both):
                piece.sides = set(giver.sides)
        number = end


def _lacks_side(piece: _Piece) -> bool:
    return bool(piece.heights) and not piece.sides and not piece.default
