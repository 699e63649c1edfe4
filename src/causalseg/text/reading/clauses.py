"""A sentence cut into clauses, each with one thing to say."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from causalseg.text.reading.terms import Kind, Term

_CONTENT = frozenset(
    {Kind.FINDING, Kind.CAUSE, Kind.OTHER, Kind.ABNORMAL, Kind.CLEAR, Kind.NORMAL}
    | {Kind.SPARED, Kind.LIMITED}
)
_LINKS = ("is", "are", "was", "were")
_VERBS = (*_LINKS, *"contains contain shows show has have demonstrates demonstrate".split())
_SAID = (Kind.FINDING, Kind.CLEAR, Kind.NORMAL)
_OPENS = {
    Kind.BUT: "but",
    Kind.EXCEPT: "except",
    Kind.UNLIKE: "unlike",
}


@dataclass
class Clause:
    """A part of a sentence.

    `opening` is how it begins: start, but, comma, colon, join (and, or), with, except, unlike,
    spare, or again (what goes on after an exception).
    """

    opening: str
    terms: list[Term] = field(default_factory=list)

    def of(self, *kinds: Kind) -> list[Term]:
        """Its terms of these kinds."""
        return [term for term in self.terms if term.kind in kinds]

    def has(self, *kinds: Kind) -> bool:
        """Whether it holds a term of these kinds."""
        return any(term.kind in kinds for term in self.terms)

    @property
    def keys(self) -> list[str]:
        """Its words."""
        return [term.key for term in self.terms]


def spares_next(term: Term) -> bool:
    """Whether a term of sparing concerns what follows ("sparing"), not what stands before it."""
    return term.kind is Kind.SPARED and (
        term.key.startswith(("sparing", "not ", "spares", "preserving", "but not", "stops"))
        or term.key.endswith((" of", "sparing"))
        or term.key == "spare"
    )


def clauses(terms: Sequence[Term]) -> list[Clause]:
    """Cut a sentence's terms at commas, at words of contrast, and where "and" joins findings."""
    found = [Clause("start")]
    for number, term in enumerate(terms):
        current = found[-1]
        if term.kind is Kind.PAUSE:
            found.append(Clause("colon" if term.key == ":" else "comma"))
        elif term.key == "but" and _all_but(current, terms[number + 1 :]):
            found.append(Clause("except", [term]))  # "all zones but the left upper"
        elif term.kind in _OPENS:
            found.append(Clause(_OPENS[term.kind], [term]))
        elif spares_next(term):
            found.append(Clause("spare", [term]))
        elif term.kind is Kind.JOIN and _stands_for_finding(terms[number + 1 :]):
            found.append(Clause("comma"))
        elif term.kind is Kind.JOIN and _nothing_there(current, terms[number + 1 :]):
            found.append(Clause("but", [term]))
        elif term.kind is Kind.JOIN and _joins_findings(current, term, terms[number + 1 :]):
            found.append(Clause("with" if "with" in term.key.split() else "join", [term]))
        elif term.key == "without" and (
            current.has(*_CONTENT) or any(one.place for one in current.terms)
        ):
            found.append(Clause("with", [term]))
        elif (term.kind is Kind.FINDING and _awaited(found)) or (
            _resumes(current)
            and (
                term.kind is Kind.AFFECTED
                or (term.kind in _SAID and current.terms[-1].key in _LINKS)
            )
        ):
            found.append(Clause("again", [term]))
        else:
            current.terms.append(term)
    cut = [part for clause in found for part in _unpunctuated(clause)]
    return _without_empty([part for clause in cut for part in _run_on(clause)])


def _run_on(clause: Clause) -> list[Clause]:
    """Cut "opacity left mid zone small effusion right base": each finding has its own place."""
    terms = clause.terms
    kinds = [term.kind for term in terms]
    if Kind.FINDING not in kinds or Kind.OTHER not in kinds or clause.has(Kind.NOT, Kind.DOUBT):
        return [clause]
    finding, other = kinds.index(Kind.FINDING), kinds.index(Kind.OTHER)
    between, after = terms[finding + 1 : other], terms[other + 1 :]
    if not all(any(term.place for term in part) for part in (between, after)):
        return [clause]
    return [Clause(clause.opening, terms[:other]), Clause("comma", terms[other:])]


def _unpunctuated(clause: Clause) -> list[Clause]:
    """Cut "left clear right pneumonia" between what is clear and what is not."""
    terms = clause.terms
    clear = [n for n, term in enumerate(terms) if term.kind in (Kind.CLEAR, Kind.NORMAL)]
    seen = [n for n, term in enumerate(terms) if term.kind is Kind.FINDING]
    if len(clear) != 1 or not seen or clause.has(Kind.NOT, Kind.DOUBT, Kind.KEPT):
        return [clause]
    sided = [n for n, term in enumerate(terms) if term.place and term.place.sides]
    first, last = sorted((clear[0], seen[0]))
    if not any(n < first for n in sided) or not any(first < n < last for n in sided):
        return [clause]
    cut = max(n for n in sided if first < n < last)
    return [Clause(clause.opening, terms[:cut]), Clause("but", terms[cut:])]


def _stands_for_finding(after: Sequence[Term]) -> bool:
    """Whether another of the kind follows: "... and that in the right lower lobe has cleared"."""
    keys = [term.key for term in after[:2]]
    return keys[:1] in (["that"], ["those"]) and keys[1:] in (["in"], ["at"], ["on"])


def _nothing_there(before: Clause, after: Sequence[Term]) -> bool:
    """Whether something is elsewhere: "nothing on the left and a little pneumonia on the right"."""
    keys = {term.key for term in before.terms}
    finds = [n for n, term in enumerate(after) if term.kind is Kind.FINDING]
    none = {"nothing", "none", "nil"} & keys and any(term.place for term in before.terms)
    return bool(none and finds) and any(term.place for term in after[finds[0] :])


def _joins_findings(before: Clause, join: Term, after: Sequence[Term]) -> bool:
    placed = "with" in join.key.split() and any(term.place for term in before.terms)
    if not before.has(*_CONTENT, Kind.GONE_OF) and not placed:
        return _begins_anew(before, after)
    placed = False
    for number, term in enumerate(after):
        if term.kind is Kind.PAUSE or term.kind in _OPENS or (placed and term.kind is Kind.DOUBT):
            return False
        if placed and (term.kind is Kind.JOIN or term.key == "without"):
            return False  # that one joins them: "upper and lower lobes with no effusion"
        if term.kind is Kind.GONE_OF and _only_place(after[number + 1 :]):
            return True  # "... with clearing of the right base"
        if term.kind in _CONTENT:
            return not (placed and term.kind is Kind.CAUSE)  # "... lower zones, likely infective"
        placed |= bool(term.place)
    return False


def _begins_anew(before: Clause, after: Sequence[Term]) -> bool:
    """Whether a finding with its own place follows: "..., upper zone and opacity at the base"."""
    words = [term for term in after if term.kind is not Kind.PLAIN]
    first = words[0].kind if words else None
    return (
        any(term.place for term in before.terms)
        and first in (Kind.FINDING, Kind.OTHER)
        and any(term.place for term in words[1:])
    )


def _all_but(current: Clause, after: Sequence[Term]) -> bool:
    """Whether a place follows that is left out: "all but the upper zone is opacified"."""
    next_to = bool(current.terms) and current.terms[-1].kind is Kind.ALL
    return next_to or (current.has(Kind.ALL) and _only_place(after))


def _only_place(terms: Sequence[Term]) -> bool:
    return any(term.place for term in terms) and all(
        term.place or term.kind in (Kind.PLAIN, Kind.LUNG, Kind.JOIN) for term in terms
    )


def _resumes(current: Clause) -> bool:
    named = current.has(Kind.OTHER) or any(term.place for term in current.terms)
    return current.opening in ("spare", "except") and named


def _awaited(found: list[Clause]) -> bool:
    """Whether it is said of what stands before the exception: "all but the apex shows ..."."""
    current = found[-1]
    if len(found) < 2 or not _resumes(current) or found[-2].has(*_CONTENT):
        return False
    relative = {"which", "that", "where"} & set(current.keys)
    return not relative and any(key in _VERBS for key in current.keys[1:])


def _without_empty(found: list[Clause]) -> list[Clause]:
    """Drop empty clauses, keeping the stronger opening ("..., but" opens with but)."""
    kept: list[Clause] = []
    opening = ""
    for clause in found:
        if not clause.terms:
            opening = opening or clause.opening
            continue
        if opening and clause.opening in ("comma", "start"):
            clause.opening = opening
        opening = ""
        kept.append(clause)
    return kept
