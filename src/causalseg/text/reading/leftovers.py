"""What stood beside a finding and decided nothing, though it could have: it is told.

The rules model so much of English and no more. Whatever they did not use of the words that can turn
a statement round (negations, doubts, "clear", "cannot", "instead of") or that say where is named
in a note, so that a sentence which the rules take wrongly is not answered without one.
"""

from collections.abc import Iterator

from causalseg.text.reading import lexicon
from causalseg.text.reading.clauses import Clause
from causalseg.text.reading.clear import NOT_AIR
from causalseg.text.reading.mentions import CLEARING_OF, is_aim, was_new
from causalseg.text.reading.passage import Passage
from causalseg.text.reading.terms import Kind, Term

_TURNING = frozenset(
    {Kind.NOT, Kind.GONE, Kind.GONE_OF, Kind.RATHER, Kind.DOUBT, Kind.DOUBTED}
    | {Kind.LIMITED, Kind.CLEAR, Kind.NORMAL}
)
_FINDINGS = (Kind.FINDING, Kind.CAUSE, Kind.ABNORMAL)
_OTHER_SUBJECTS = (Kind.OTHER, Kind.NOT_LUNG, Kind.ELSEWHERE, Kind.STUDY)


def tell_leftovers(passage: Passage) -> None:
    """Note the words near a finding or a place that were not used in deciding."""
    used = _used(passage)
    told: list[Term] = []
    for number, clauses in passage.clauses.items():
        if not _tells(clauses):
            continue
        doubtful = any(
            one.sentence == number and one.status == "uncertain" for one in passage.story.mentions
        )
        for clause in clauses:
            told += [term for term in _turning(clause, doubtful=doubtful) if term.at not in used]
    if told:
        words = ", ".join(dict.fromkeys(repr(term.text) for term in told))
        passage.story.note(f"understood but not used in deciding: {words}.")
    for mention in passage.story.mentions:
        if mention.distant and mention.infection:
            passage.story.note(
                f"{mention.distant.text!r} was read as denying {mention.term.text!r} before it."
            )
        if mention.put_down:
            passage.story.note(
                f"{mention.term.text!r} is attributed to another finding and was read as that."
            )
    places = [term.text for group in passage.story.alone for term in group if term.place]
    if places:
        passage.story.note(f"a place without a finding was left out: {' '.join(places)}.")


def _used(passage: Passage) -> set[int]:
    return set(passage.story.used) | {
        term.at
        for mention in passage.story.mentions
        for term in (mention.term, *mention.why, *_flat(mention.places), *_flat(mention.spared))
    }


def _flat(groups: list[list[Term]]) -> Iterator[Term]:
    for group in groups:
        yield from group


def _turning(clause: Clause, *, doubtful: bool) -> Iterator[Term]:
    """The terms of a clause that could turn a statement round, if it is about the lungs."""
    about = _FINDINGS if clause.has(Kind.LUNG) else _FINDINGS[:2]
    if clause.has(*_OTHER_SUBJECTS) and not clause.has(*about):
        return  # it has a subject of its own: "heart not enlarged", "no acute bony abnormality"
    angles = any(term.key.startswith(NOT_AIR) for term in clause.terms)
    for number, term in enumerate(clause.terms):
        following = clause.terms[number + 1].key if number + 1 < len(clause.terms) else ""
        if (
            (term.kind in (Kind.DOUBT, Kind.DOUBTED) and doubtful)
            or (term.kind is Kind.GONE and was_new(term, clause.terms[number + 1 :]))
            or (term.kind is Kind.LIMITED and following == "by")
            or (term.kind in (Kind.GONE, Kind.GONE_OF) and is_aim(clause.terms[:number]))
            or (term.key in CLEARING_OF and clause.has(*_FINDINGS))
            or (term.key == "only" and (clause.has(*_FINDINGS) or clause.opening == "spare"))
            or (term.kind in (Kind.CLEAR, Kind.NORMAL) and (angles or clause.has(Kind.PAST)))
        ):
            continue
        idle = term.kind is Kind.PLAIN and term.key in lexicon.turning_words()
        if term.kind in _TURNING or idle or term.key in ("<", ">"):
            yield term


def _tells(clauses: list[Clause]) -> bool:
    """Whether a sentence speaks of a finding or of the lungs."""
    return any(
        clause.has(*_FINDINGS, Kind.LUNG) or any(term.place for term in clause.terms)
        for clause in clauses
    )
