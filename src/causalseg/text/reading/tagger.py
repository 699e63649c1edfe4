"""Phrases that stand for something else than usual, told by their neighbours."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from causalseg.text.reading.terms import BOTH, CAUSE_WORDS, Kind, Place, Term

_PREFERS = frozenset("favour favours favoured favor favors favored prefer preferred".split())
_LIKELY = frozenset(
    "likely keeping suggestive typical consistent compatible suggests suggest represent represents "
    "probable probably likelier like".split()
)
_JUDGE = frozenset(
    "judge assess interpret say tell exclude evaluate comment read diagnose see report".split()
)
# What is denied in "no response of the opacity" and "not much change in it": not the opacity.
_TRENDS = frozenset(
    "change difference improvement progress progression regression resolution clearing response "
    "increase decrease reduction worsening deterioration resolving improving".split()
)
_AMOUNTS = frozenset(
    "much any great real major marked significant substantial appreciable interval obvious visible "
    "radiographic radiological big noticeable particular further evidence sign signs of convincing "
    "clear definite meaningful material overall a".split()
)
_GOING_ON = frozenset(
    "slow gradual partial some incomplete ongoing continuing continued delayed early beginning "
    "near progressive further".split()
)
_DIRECTIONS = frozenset(("inferiorly", "superiorly"))
_ALMOST = frozenset(
    "almost nearly virtually practically mostly largely partially partly incompletely hardly "
    "barely scarcely".split()
)
_DONE = frozenset("complete full total entire".split())
_ASKS = frozenset(
    "check see tell know ask asks asking wonder determine establish decide sure out confirm say "
    "assess evaluate unclear".split()
)
_NONE = frozenset("no not none neither".split())
_FREE = frozenset(("free of", "free from", "clear of", "without", "devoid of"))
_NEAR_A_SIDE = frozenset("a bit lot much slightly on at in to the side is are".split())
_CHANCES = frozenset("suspicion probability likelihood chance".split())
_LEFT_OVER = frozenset("still nothing little anything something some none what".split())
_ENDS_LEFT = frozenset(", over behind of now after with but and from : )".split())
_TO_A_PLACE = frozenset("in on at the of involving affecting its".split())


def tagged(found: Sequence[Term]) -> list[Term]:
    """The terms of a sentence, those told apart that stand for different things."""
    terms = list(found)
    for number, (term, following) in enumerate(pairwise(terms)):
        if term.key == "non" and following.kind is Kind.FINDING:
            terms[number] = replace(term, kind=Kind.NOT)
        if following.kind is Kind.SPARED and term.place and term.place.weak:
            terms[number] = replace(term, kind=Kind.NOT_LUNG, place=None)
            terms[number + 1] = replace(following, kind=Kind.PLAIN)  # a border that is seen
        if term.kind is Kind.SPARED and following.key in ("neither", "no", "none"):
            terms[number] = replace(term, kind=Kind.AFFECTED)  # "spares neither lobe"
            terms[number + 1] = replace(following, kind=Kind.PLAIN)
    if len(terms) > 1 and terms[-1].key == "both" and terms[-2].key in ("is", "are"):
        # "on the left there is both": of what was named, not of the lungs
        terms[-1] = replace(terms[-1], kind=Kind.AFFECTED, place=None)
    for step in (
        _left_over,
        _compared_heights,
        _doubly,
        _directions,
        _slowly,
        _whether,
        _of_a_trend,
        _of_a_place,
        _preferred,
        _too,
    ):
        terms = step(terms)
    return terms


def _left_over(terms: list[Term]) -> list[Term]:
    """Tell "a little haze is left" from the left lung."""
    for number, term in enumerate(terms):
        before = {one.key for one in terms[max(0, number - 6) : number]}
        ends = number + 1 == len(terms) or terms[number + 1].key in _ENDS_LEFT
        any_left = number + 1 < len(terms) and terms[number + 1].key in ("in", "?")
        any_left &= "any" in before
        is_left = any_left or (
            number > 0 and terms[number - 1].key in ("is", "are", "was", "were", "still")
        )
        if term.key == "left" and is_left and (any_left or (ends and before & _LEFT_OVER)):
            terms[number] = replace(term, kind=Kind.STILL, place=None)
    return terms


def _slowly(terms: list[Term]) -> list[Term]:
    """Tell "slow resolution of" and "almost gone" from what is gone."""
    for number, term in enumerate(terms):
        before = {one.key for one in terms[max(0, number - 2) : number]}
        almost = term.kind is Kind.GONE and before & _ALMOST
        if almost or (term.kind is Kind.GONE_OF and before & _GOING_ON):
            terms[number] = replace(term, kind=Kind.KEPT)
        elif term.key in ("clearing of", "interval clearing of") and before & _DONE:
            terms[number] = replace(term, key="complete clearing of")
    return terms


def _whether(terms: list[Term]) -> list[Term]:
    """Read "check if the lung is clear" as a question."""
    for number, term in enumerate(terms):
        before = {word for one in terms[max(0, number - 2) : number] for word in one.key.split()}
        if term.key == "low" and number and {t.key for t in terms[:number]} & _CHANCES:
            terms[number] = replace(term, kind=Kind.DOUBTED)  # "suspicion of pneumonia is low"
        if term.key == "if" and (before & _ASKS or number == 0):
            terms[number] = replace(term, kind=Kind.DOUBT, key="whether")
    return terms


def _doubly(terms: list[Term]) -> list[Term]:
    """Take "no zone is free of consolidation" for what it says: two denials are none."""
    denials = [number for number, term in enumerate(terms) if term.kind is Kind.NOT]
    for first, second in pairwise(denials):
        between = terms[first + 1 : second]
        lungs = any(term.place or term.kind is Kind.LUNG for term in terms[:second])
        plain = all(t.place or t.kind in (Kind.LUNG, Kind.PLAIN, Kind.JOIN) for t in between)
        if lungs and plain and terms[second].key in _FREE and terms[first].key in _NONE:
            for number in (first, second):
                terms[number] = replace(terms[number], kind=Kind.KEPT)
    return terms


def _directions(terms: list[Term]) -> list[Term]:
    """Take "bounded inferiorly by" for a direction where the sentence names a height besides."""
    named = [t for t in terms if t.place and t.place.heights and t.key not in _DIRECTIONS]
    if not named:
        return terms
    return [replace(t, kind=Kind.PLAIN, place=None) if t.key in _DIRECTIONS else t for t in terms]


def _of_a_trend(terms: list[Term]) -> list[Term]:
    """Deny the change, not the finding: "no real difference in the opacity"."""
    for number, term in enumerate(terms):
        if term.kind is not Kind.NOT:
            continue
        for later in terms[number + 1 : number + 6]:
            if later.key in _TRENDS:
                terms[number] = replace(term, kind=Kind.KEPT)
            if later.key not in _AMOUNTS:
                break
    return terms


def _of_a_place(terms: list[Term]) -> list[Term]:
    """Deny the place, not the finding: "the opacity is not in the left lung", "left, not right"."""
    for number, term in enumerate(terms):
        before = terms[:number]
        said = any(one.kind is Kind.FINDING or one.place for one in before)
        if term.key not in ("not", "none") or not said or any(b.kind is Kind.NOT for b in before):
            continue
        rest = [one for one in terms[number + 1 :] if one.key not in _TO_A_PLACE]
        between = len(rest) > 1 and rest[1].kind is Kind.PAUSE  # "RUL, not RML, consolidation"
        finds = any(one.kind is Kind.FINDING for one in rest) and not between
        if rest and rest[0].place and not finds:
            terms[number] = replace(term, kind=Kind.SPARED, key="not of")
    return terms


def _preferred(terms: list[Term]) -> list[Term]:
    """Deny the cause in "favours oedema over infection", "more likely collapse than infection"."""
    for number, term in enumerate(terms):
        if term.key not in ("over", "than"):
            continue
        following = [one.key.split()[-1] for one in terms[number + 1 : number + 3]]
        before = {word for one in terms[max(0, number - 6) : number] for word in one.key.split()}
        prefers = (
            before & _PREFERS if term.key == "over" else before & {"more", "rather", "likelier"}
        )
        if prefers and before & (_PREFERS | _LIKELY) and set(following) & CAUSE_WORDS:
            terms[number] = replace(term, kind=Kind.RATHER)
    return terms


def _too(terms: list[Term]) -> list[Term]:
    """Tell "too rotated to judge" from what can be judged."""
    for number, term in enumerate(terms):
        keys = [one.key for one in terms[number : number + 7]]
        if term.key == "too" and any(a == "to" and b in _JUDGE for a, b in pairwise(keys)):
            terms[number] = replace(term, kind=Kind.LIMITED)
    return terms


def numbered(terms: Sequence[Term], start: int) -> list[Term]:
    """The terms with their numbers in the text."""
    return [replace(term, at=start + number) for number, term in enumerate(terms)]


def _compared_heights(terms: list[Term]) -> list[Term]:
    """Take "lower greater than upper" for both."""
    for number, term in enumerate(terms):
        near = [*range(number - 1, max(-1, number - 5), -1)], [*range(number + 1, number + 4)]
        if term.key != "than" or number + 1 == len(terms):
            continue
        found = [_height(terms, numbers) for numbers in near]
        if None not in found:
            terms[number] = Term(Kind.JOIN, term.text, key="and")
            for one in range((found[0] or 0) + 1, number):
                terms[one] = replace(terms[one], kind=Kind.PLAIN)
    return terms


def _height(terms: list[Term], numbers: Sequence[int]) -> int | None:
    """The first of some terms that names a height and no side; none behind a pause or a side."""
    for number in numbers:
        if number >= len(terms) or terms[number].kind in (Kind.PAUSE, Kind.FINDING, Kind.CLEAR):
            return None
        place = terms[number].place
        if place:
            return number if place.heights and not place.sides else None
    return None


def compared_sides(terms: Sequence[Term]) -> list[Term]:
    """Replace "right greater than left" by both lungs: it says that both are affected."""
    found = list(terms)
    for number, term in enumerate(found):
        if term.key != "than":
            continue
        before = _side(found, range(number - 1, max(-1, number - 6), -1))
        after = _side(found, range(number + 1, min(len(found), number + 5)))
        if before is None or after is None:
            continue
        if found[before].place != found[after].place:
            between = found[before + 1 : after]
            if any(one.kind in (Kind.FINDING, Kind.CLEAR, Kind.NOT) for one in between):
                continue
            # What stood before the first side ("more on the right") loses its own sense too.
            start = before
            while start and (
                found[start - 1].kind is Kind.WORSE or found[start - 1].key in _NEAR_A_SIDE
            ):
                start -= 1
            first, second = found[before], found[after]
            named = [first, Term(Kind.JOIN, "and", key="and"), second]
            if not any(one.place and one.place.heights for one in (first, second)):
                text = " ".join(one.text for one in found[before : after + 1])
                named = [Term(Kind.PLACE, text, place=Place(BOTH), key="both")]
            return [*found[:start], *named, *compared_sides(found[after + 1 :])]
    return found


def _side(terms: Sequence[Term], numbers: range) -> int | None:
    for number in numbers:
        place = terms[number].place
        if terms[number].kind is Kind.PAUSE:
            return None
        if place and len(place.sides) == 1:
            return number
    return None
