"""Mentions of findings in a text: what is said of each, and which words say so.

The scope rules are those of ConText (Harkema et al. 2009) in outline: a term of negation or doubt
governs what follows or precedes it up to the end of its clause, some look like negation and are
none ("no change in"), and a list carries the scope on.
"""

import itertools
import re

from causalseg.text.reading.causes import deny_cause, deny_cause_later, put_down
from causalseg.text.reading.clauses import Clause
from causalseg.text.reading.story import Mention
from causalseg.text.reading.terms import Kind, Term

_SIGHT = (Kind.FINDING, Kind.CAUSE, Kind.OTHER, Kind.ABNORMAL)
# A clause that begins so does not go on with a list of what is denied.
_STARTS_ANEW = frozenset(
    "a an there some mild small minor moderate severe stable new old minimal trace patchy subtle "
    "large marked the increased increasing".split()
)
CLEARING_OF = ("clearing of", "interval clearing of")
"""Of a finding it may be going on."""
_YEAR = re.compile(r"(?:19|20)\d\d")
_AIMS = frozenset("to ensure document confirm until for check assess exclude demonstrate".split())
_WITHIN = frozenset("within inside in of around overlying".split())
_ENSURES = frozenset("ensure document confirm until".split())
_REAL = frozenset("present seen there developing real evident visible forming exist".split())


def assertions(parts: list[Clause], sentence: int, *, doubted_from: int) -> list[Mention]:
    """The mentions of one sentence with their status; places are not attached yet.

    Args:
        parts: the sentence's clauses.
        sentence: its number.
        doubted_from: the clause from which on the sentence is a question.

    """
    found: list[Mention] = []
    keeps = _neither_has_changed(parts)
    denied: Term | None = None
    denied_places = False
    doubt: Term | None = None
    for number, clause in enumerate(parts):
        carried = bool(denied) and _carries(parts, number, denied_places)
        carried |= bool(denied) and clause.opening == "colon" and parts[number - 1].has(Kind.GONE)
        denied = denied if carried else None
        doubt = doubt if doubt and _doubt_carries(clause, doubt) else None
        places = any(term.place for term in clause.terms)
        mine: list[Mention] = []
        doubted = number >= doubted_from
        cause_denied = False
        for position, term in enumerate(clause.terms):
            following = clause.terms[position + 1 :]
            if term.kind is Kind.NOT and not keeps:
                targets = mine or _same_sentence(found)
                elsewhere = not mine and _own_place(parts, targets, clause)  # "none on the right"
                alone = clause.opening == "colon" and len(clause.terms) == 1
                none = alone or (term.key in ("none", "nil", "absent") and not _sees(following))
                if none and targets and not elsewhere:
                    _deny(targets, term, distant=not mine)  # "Consolidation: none."
                    continue
                denied, denied_places = term, places
            elif term.kind is Kind.GONE_OF and not is_aim(clause.terms[:position]):
                if term.key in CLEARING_OF and _sees(following):
                    continue  # of a finding it may be going on
                denied, denied_places = term, True
            elif term.kind is Kind.DOUBT and mine and _said_of_before(term, following):
                _doubt(mine, term)
            elif term.kind is Kind.DOUBT:
                doubt = term
            elif term.kind is Kind.RATHER:
                denied, denied_places = term, False
            elif term.kind is Kind.MAYBE:
                mine_before = [mention for mention in mine if mention.infection]
                if mine_before and not _sees(following) and _real(following):
                    _doubt(mine_before, term)
                doubt = term
            elif term.kind is Kind.LIMITED and _sees(following) and following[0].key != "by":
                if not any(one.place and one.place.weak for one in following[:2]):
                    doubt = term  # and not "obscured left heart border suggesting consolidation"
            elif term.kind is Kind.GONE:
                if is_aim(clause.terms[:position]) or was_new(term, following):
                    continue
                targets = mine or _same_sentence(found)
                if not mine and _own_place(parts, targets, clause):
                    continue  # "... but the left has cleared": a place of its own
                if not targets and _heads(parts, number):
                    denied, denied_places = term, True  # "Resolved: right lower lobe opacity."
                elif targets and doubt and doubt.key.endswith(("whether", "if")):
                    _doubt(targets, doubt)  # "unclear whether it has resolved"
                elif targets:
                    open_ones = [one for one in targets if one.status != "absent"]
                    _deny(open_ones, term, distant=not mine)
                elif _sees(following):
                    denied, denied_places = term, places
            elif term.kind is Kind.DOUBTED:
                targets = mine or _same_sentence(found)
                if not mine and _sees(following):
                    doubt = term  # "pneumonia, less likely atelectasis"
                elif targets:
                    _doubt([one for one in targets if one.status == "present"], term)
                elif _sees(following):
                    doubt = term
            elif term.kind is Kind.ABNORMAL and _of_another_part(clause):
                continue  # "no acute bony abnormality"
            elif term.kind in _SIGHT:
                if denied and mine and _is_known(clause.terms[:position]):
                    denied = None
                if _goes_on(mine, term, denied, doubt or (term if doubted else None)):
                    continue
                mention = Mention(term.kind, term, "present", sentence, number)
                if denied:
                    _deny([mention], denied)
                elif doubt or doubted:
                    _doubt([mention], doubt or term)
                    mention.asked = doubted or (doubt is not None and _is_query(doubt))
                before = clause.terms[:position]
                mention.past = any(one.kind is Kind.PAST for one in before) and not clause.has(
                    Kind.STILL
                )
                mention.adjacent = any(
                    one.key in ("overlying", "underlying", "adjacent to", "adjacent", "associated")
                    for one in before
                )
                mention.excepted = clause.opening == "except"
                mention.background = cause_denied
                cause_denied = False
                mine.append(mention)
            if term.kind is Kind.RATHER or (term.kind is Kind.NOT and term.key == "not"):
                cause_denied = deny_cause([*found, *mine], following, term)
        found += mine
    deny_cause_later(parts, found)
    put_down(parts, found)
    return found


def _carries(parts: list[Clause], number: int, denied_places: bool) -> bool:
    """Whether a negation goes on into a clause: "no consolidation, effusion or pneumothorax"."""
    clause = parts[number]
    places = any(term.place for term in clause.terms)
    if not clause.has(*_SIGHT) or clause.has(Kind.CLEAR):
        return False
    first = clause.terms[0].key
    if clause.opening == "join":
        return first in ("or", "nor", "and/or", "/") or not places or denied_places
    if clause.opening != "comma":
        return False
    listed = any(
        later.opening == "join" and later.terms[0].key in ("or", "nor", "and/or")
        for later in parts[number:]
    ) or first in ("or", "nor")
    if places:
        return denied_places and listed
    return listed or not (first in _STARTS_ANEW or clause.has(Kind.AFFECTED, Kind.STILL))


def _doubt_carries(clause: Clause, doubt: Term) -> bool:
    if "whether" in doubt.key:
        return True
    return clause.opening == "join" and not any(term.place for term in clause.terms)


def _neither_has_changed(parts: list[Clause]) -> bool:
    """Whether it denies a change: "neither A nor B has changed" denies the change, not A and B."""
    terms = [term for clause in parts for term in clause.terms]
    for number, term in enumerate(terms):
        if term.key in ("neither", "no", "none"):
            later = terms[number:]
            sees = [n for n, one in enumerate(later) if one.kind in _SIGHT]
            ends = [
                n
                for n, one in enumerate(later)
                if one.key in ("changed", "improved", "worsened", "progressed", "altered")
                or (term.key == "neither" and one.kind is Kind.GONE)
            ]
            if sees and ends and ends[-1] > sees[0]:
                return True
    return False


def _heads(parts: list[Clause], number: int) -> bool:
    return number + 1 < len(parts) and parts[number + 1].opening == "colon"


def _is_known(before: list[Term]) -> bool:
    """Whether a finding is spoken of as known: "no bronchogram within the left basal opacity"."""
    near = itertools.takewhile(lambda term: term.kind not in _SIGHT, reversed(before[-6:]))
    words = [term.key for term in near]
    return bool({"the", "this", "that"} & set(words) and _WITHIN & set(words))


def _of_another_part(clause: Clause) -> bool:
    """Whether an abnormality that is not named is one of the bones, the heart or the like."""
    lung = clause.has(Kind.LUNG, Kind.FINDING) or any(term.place for term in clause.terms)
    return clause.has(Kind.NOT_LUNG, Kind.ELSEWHERE) and not lung


def _own_place(parts: list[Clause], targets: list[Mention], clause: Clause) -> bool:
    """Whether a clause and the one with the finding before it each name a side."""
    return bool(targets) and all(
        any(term.place and term.place.sides and not term.place.weak for term in one.terms)
        for one in (clause, parts[targets[0].clause])
    )


def _is_query(doubt: Term) -> bool:
    return doubt.key in ("?", "query", "exclude", "consider") or doubt.key.endswith(
        (" for", "rule out", "ruling out", " about", "to exclude", "clinical suspicion of")
    )


def _sees(terms: list[Term]) -> bool:
    return any(term.kind in _SIGHT for term in terms)


def _said_of_before(doubt: Term, following: list[Term]) -> bool:
    """Whether it is what stands before that is doubted: "pneumonia? right"."""
    where = all(term.place or term.kind is Kind.LUNG for term in following)
    hard = doubt.key.startswith(("difficult ", "hard ", "impossible "))
    return (doubt.key == "?" and where) or (hard and not _sees(following))


def _real(terms: list[Term]) -> bool:
    return any(term.key in _REAL for term in terms[:3])


def is_aim(before: list[Term]) -> bool:
    """Whether it is only aimed at: "repeat to ensure resolution" says nothing of now."""
    ensures = any(term.key in _ENSURES for term in before)
    return ensures or any(term.key in _AIMS for term in before[-3:])


def was_new(term: Term, following: list[Term]) -> bool:
    """Whether it was absent before: "not seen on the previous study" is new."""
    seen = [number for number, one in enumerate(following) if one.kind in _SIGHT]
    rest = following[: seen[0]] if seen else following
    then = any(
        one.kind is Kind.PAST or one.key in ("ago", "before") or _YEAR.fullmatch(one.key)
        for one in rest
    )
    return term.key.startswith("not ") and then


def _same_sentence(found: list[Mention]) -> list[Mention]:
    """What a predicate in a clause of its own speaks of: the mention before, if any."""
    return [mention for mention in found[-1:] if mention.kind in _SIGHT]


def _deny(mentions: list[Mention], term: Term, *, distant: bool = False) -> None:
    for mention in mentions:
        mention.status = "absent"
        mention.distant = term if distant else None
        mention.why.append(term)


def _doubt(mentions: list[Mention], term: Term) -> None:
    for mention in mentions:
        if mention.status == "present":
            mention.status = "uncertain"
            mention.why.append(term)


def _goes_on(mine: list[Mention], term: Term, denied: Term | None, doubt: Term | None) -> bool:
    """Whether a term only goes on with the finding before it ("ground-glass opacity")."""
    if not mine or term.kind not in (Kind.FINDING, Kind.CAUSE) or mine[-1].kind is not Kind.FINDING:
        return False
    status = "absent" if denied else "uncertain" if doubt else "present"
    return mine[-1].status == status
