"""Sentences cut in pieces without any grammar, each with one role by the words in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from causalseg.text.grammar_lung import ZONES
from causalseg.text.reading.clauses import spares_next
from causalseg.text.reading.mentions import is_aim
from causalseg.text.reading.places import Zone
from causalseg.text.reading.terms import Kind, Place, Term

SEEN = (Kind.FINDING, Kind.CAUSE, Kind.ABNORMAL)
DENIES = (Kind.NOT, Kind.GONE, Kind.GONE_OF)
OTHER = (Kind.OTHER, Kind.ARTEFACT)
CONTENT = (*SEEN, *OTHER, Kind.CLEAR, Kind.NORMAL)
_OPENS = {Kind.BUT: "but", Kind.EXCEPT: "except", Kind.UNLIKE: "unlike"}
_OF_BEFORE = frozenset("ago before last".split())
_EVERY = frozenset("all every each everywhere".split())
# Beside these a denial is one of a change, or the finding is going.
_TRENDS = frozenset("improvement difference change response".split())
_GOING = frozenset("some further near slow partial ensure interval".split())
_ANEW = frozenset("a an there new and with".split())


@dataclass
class Part:
    """A piece of a sentence and what it seems to say.

    Its role is seen, denied, clear, except, unlike, other, mixed (a finding and another in one
    piece), either (it could be stated or not), where (a place alone), or "".
    """

    opening: str
    terms: list[Term] = field(default_factory=list)
    role: str = ""
    alone: bool = False
    """It holds a place alone, and has the role of its neighbour."""
    loose: bool = False
    """Its place may be one that is spared."""

    def has(self, *kinds: Kind) -> bool:
        """Whether it holds a term of these kinds."""
        return any(term.kind in kinds for term in self.terms)

    @property
    def keys(self) -> set[str]:
        """Its words."""
        return {term.key for term in self.terms}

    @property
    def placed(self) -> list[Term]:
        """Its terms that are places, up to what has a place of its own (a shifted mediastinum)."""
        shifts = (n for n, term in enumerate(self.terms) if term.kind is Kind.NO_PLACE)
        before = self.terms[: next(shifts, len(self.terms))]
        return [term for term in before if term.place and not term.place.weak]

    @property
    def places(self) -> list[Place]:
        """Their places."""
        return [term.place for term in self.placed if term.place]

    @property
    def sides(self) -> set[str]:
        """Sides named."""
        said = {side for place in self.places for side in place.sides}
        return said or {place.default for place in self.places if place.default}

    @property
    def single(self) -> set[str]:
        """The sides, but without "both" where one is named besides."""
        return {s for place in self.places if len(place.sides) == 1 for s in place.sides}

    @property
    def heights(self) -> set[str]:
        """Heights named."""
        return {height for place in self.places for height in place.heights}

    @property
    def zones(self) -> set[Zone]:
        """Every named side with every named height."""
        return {(side, height) for side in self.sides for height in self.heights or ZONES}

    @property
    def segment(self) -> bool:
        """Whether it names a segment, whose height is its lobe's."""
        lingula = any(term.key.startswith("lingul") for term in self.terms)
        return self.has(Kind.SEGMENT) or lingula


def cut(terms: Sequence[Term]) -> list[Part]:
    found = [Part("start")]
    for number, term in enumerate(terms):
        current, after = found[-1], terms[number + 1 :]
        all_but = term.key == "but" and current.terms and current.terms[-1].kind is Kind.ALL
        if term.kind is Kind.PAUSE:
            found.append(Part("colon" if term.key == ":" else "comma"))
        elif all_but or spares_next(term):
            found.append(Part("except", [term]))
        elif term.kind in _OPENS:
            found.append(Part(_OPENS[term.kind], [term]))
        elif term.kind is Kind.JOIN and current.has(*CONTENT) and _content_ahead(after):
            found.append(Part("join", [term]))
        elif term.kind is Kind.NOT and current.has(*SEEN, *OTHER) and _denies_next(term):
            found.append(Part("not", [term]))
        else:
            current.terms.append(term)
    found = [part for part in found if part.terms]
    before, every = "", False
    for part in found:
        part.loose = part.opening != "except" and part.has(Kind.SPARED)
        part.role = _role(part, before, every=every)
        before = part.role or before
        every |= part.has(Kind.ALL) or bool(part.keys & _EVERY)
    for part, following in pairwise(found):
        if not part.role and following.opening == "colon" and part.has(Kind.CLEAR, Kind.NORMAL):
            part.role = "clear"  # "Clear: the right lung"
    _give_roles_to_places(found)
    return found


def _denies_next(term: Term) -> bool:
    return term.key not in ("none", "nil", "absent")


def _content_ahead(terms: Sequence[Term]) -> bool:
    for term in terms:
        if term.kind is Kind.PAUSE or term.kind in _OPENS:
            return False
        if term.kind in (*CONTENT, Kind.GONE_OF):
            return True
    return False


def _role(part: Part, before: str, *, every: bool) -> str:
    seen = part.has(*SEEN)
    if part.opening in ("except", "unlike"):
        clear = before in ("clear", "denied") or (before == "" and not every)
        names = part.opening == "except" and seen and not part.has(Kind.SPARED)
        return "seen" if names and clear and part.terms[0].key != "but" else part.opening
    if part.has(Kind.DOUBT, Kind.DOUBTED, Kind.LIMITED, Kind.RATHER):
        return "either"
    if part.has(*DENIES) and not _was_new(part):
        if part.has(Kind.GONE, Kind.GONE_OF) and is_aim(part.terms):
            return "either"
        going = part.has(Kind.GONE_OF) and (part.keys & _GOING or part.has(Kind.STILL))
        return "either" if going or part.has(Kind.KEPT) or part.keys & _TRENDS else "denied"
    if part.has(Kind.CLEAR, Kind.NORMAL) and not seen:
        of_lungs = part.places or part.has(Kind.LUNG, Kind.STUDY) or part.opening == "colon"
        return "clear" if of_lungs else ""
    listed = part.opening in ("comma", "join") and part.terms[0].key not in _ANEW
    if seen and before == "denied" and listed and not part.places:
        return "denied"
    if seen:
        return "mixed" if part.has(*OTHER) else "seen"
    if part.has(*OTHER, Kind.NOT_LUNG, Kind.ELSEWHERE):
        return "other"
    return "where" if part.places or part.has(Kind.ALL) else ""


def _was_new(part: Part) -> bool:
    """Whether it was not there before: "not seen on the previous study"."""
    gone = next((n for n, term in enumerate(part.terms) if term.kind is Kind.GONE), None)
    if gone is None:
        return False
    rest = part.terms[gone + 1 :]
    return any(term.kind is Kind.PAST or term.key in _OF_BEFORE for term in rest)


def _give_roles_to_places(parts: list[Part]) -> None:
    """Give a place alone the role of what stands before it; of a heading, what stands behind."""
    for number, part in enumerate(parts):
        if part.role == "where":
            part.alone = True
            roles = [one.role for one in reversed(parts[:number])]
            if number + 1 < len(parts) and parts[number + 1].opening == "colon":
                roles = [parts[number + 1].role, *roles]
            roles += [one.role for one in parts[number + 1 :]]
            part.role = next((role for role in roles if role not in ("", "where")), "seen")
