"""The places of one clause: which of its words say where the clause's finding is."""

from dataclasses import replace

from causalseg.text.reading.clauses import Clause
from causalseg.text.reading.places import EXTENDING, EXTENDS, REACHES
from causalseg.text.reading.story import Story
from causalseg.text.reading.terms import BOTH, Kind, Place, Term

_PLACE_KINDS = (Kind.PLACE, Kind.ALL, Kind.LUNG, Kind.JOIN, Kind.SEGMENT)
# Adjectives of height that go with what follows; a noun ("base") ends a place.
_ADJECTIVES = frozenset("upper lower mid middle superior inferior".split())
_EDGES = frozenset("margin margins edge edges outline limit limits boundary pole".split())
_ONWARDS = frozenset("to into onto up down towards toward across".split())
_PREDOMINANT = frozenset("predominant predominance dominant predom".split())
_AFTER_BOTH = frozenset("are were have likely present possible unchanged stable".split())


def has_place(terms: list[Term]) -> bool:
    """Whether terms name a place at all."""
    return any(
        term.place or term.kind is Kind.ALL or term.key in ("lungs", "lung fields")
        for term in terms
    )


def place_terms(clause: Clause, story: Story) -> list[Term]:
    """The terms of a clause that say where, without those that belong to something else."""
    kept: list[Term] = []
    weak: list[Term] = []
    terms = clause.terms
    worse: Term | None = None
    for number, term in enumerate(terms):
        if term.kind is Kind.NO_PLACE:
            break
        if term.kind is Kind.WORSE:
            worse = term
        if kept and _goes_on(terms, number):
            kept.append(replace(term, kind=Kind.JOIN, key=EXTENDING))
            continue
        if _predominant_side(terms, number):
            if not any(one.place for one in terms if one is not term):
                worse = term  # "bilateral opacities, right predominant"
                weak.append(term)
                continue
            story.note(f"{term.text!r} was read as saying only where there is more of it.")
            continue
        if term.kind not in _PLACE_KINDS or of_something_else(terms, number):
            continue
        if term.place and term.place.weak:
            weak.append(term)
        elif worse and term.kind in (Kind.PLACE, Kind.LUNG):
            weak.append(replace(term, kind=Kind.PLACE) if term.place else term)
        else:
            kept.append(term)
    lungs = any(term.kind in (Kind.ALL, Kind.LUNG) or term.key == "both lungs" for term in kept)
    if lungs and "predominance" in clause.keys:
        story.note("the height where there is more of it was read as the place.")
    if has_place(kept):
        sided = any(term.place and term.place.sides for term in kept)
        border = [term for term in weak if term.place and term.place.weak and term.place.sides]
        if border and not sided:  # "the left hemidiaphragm is obscured by basal consolidation"
            side = Place(border[0].place.sides) if border[0].place else None
            return [replace(border[0], place=side), *kept]
        return kept
    if worse and has_place(weak) and clause.opening not in ("comma", "but"):
        # "worse on the right" with no other place: the other side has it too.
        if not any(term.place and term.place.heights for term in weak):
            story.note("a side where it is worse was read as both sides having it.")
            return [Term(Kind.ALL, term.text, key=term.key) for term in weak]
        return weak
    return [] if worse else weak


def _goes_on(terms: list[Term], number: int) -> bool:
    """Whether a finding reaches another place from here: "extending into the base"."""
    following = terms[number + 1].key if number + 1 < len(terms) else ""
    key = terms[number].key
    return key in REACHES or (key in EXTENDS and following in _ONWARDS)


def _predominant_side(terms: list[Term], number: int) -> bool:
    """Whether a side is only where there is more: "left predominant bilateral opacities"."""
    place = terms[number].place
    following = terms[number + 1].key if number + 1 < len(terms) else ""
    if following not in _PREDOMINANT or not place or len(place.sides) != 1 or place.heights:
        return False
    others = [term.place for term in terms if term.place and term.place is not place]
    return not others or any(set(other.sides) == set(BOTH) for other in others)


def of_something_else(terms: list[Term], number: int) -> bool:
    """Whether a place goes with another part of the body: the left heart, the right sixth rib."""
    term = terms[number]
    following = terms[number + 1].key if number + 1 < len(terms) else ""
    if term.key == "both" and (following.endswith("ly") or following in _AFTER_BOTH):
        return True  # two findings, not two lungs
    if not term.place or not (
        (term.place.sides and not term.place.heights) or term.key in _ADJECTIVES
    ):
        return False
    if following in _EDGES:
        return True  # "with a sharp lower margin"
    for later in terms[number + 1 : number + 4]:
        if later.kind in (Kind.NOT_LUNG, Kind.ELSEWHERE):
            return True
        if later.kind is Kind.PLACE and later.key in _ADJECTIVES:
            continue
        if later.kind not in (Kind.PLAIN, Kind.UNKNOWN) or later.key in ("the", "in", "at", "of"):
            return False
    return False
