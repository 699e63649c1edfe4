"""An opacity whose cause the text denies, or puts down to a finding of another kind."""

from itertools import pairwise

from causalseg.text.reading.clauses import Clause
from causalseg.text.reading.story import Mention
from causalseg.text.reading.terms import CAUSE_WORDS, Kind, Term

_LINKS = frozenset(
    "due to|secondary to|because of|represents|represent|representing|reflects|reflecting|from|"
    "likely|caused|keeping|consistent|compatible".split("|")
)
_DUE_TO = tuple(
    "due to|secondary to|because of|caused by|resulting from|produced by|explained by|"
    "attributed to|attributable to|ascribed to|not in the|not within|outside the|external".split(
        "|"
    )
)
_TAKEN_FOR = frozenset("keeping consistent compatible suspicious representing represents".split())
_SAME_AS = frozenset(
    "suggestive suggesting suggests keeping consistent compatible representing represents".split()
)
# No picture tells it from an infection.
_ALIKE = ("atelectasis",)
_OR = frozenset(("or", "versus", "vs", "likely", "probably", "possibly"))
# Findings that an opacity is not, even where infection is not denied.
_NEVER_INFECTION = ("nodule", "scarring", "artefact")


def put_down(parts: list[Clause], found: list[Mention]) -> None:
    """Read "haze due to effusion" and "density suspicious for a neoplasm" as the other finding; the
    answer has a note that says so.
    """
    for mention, cause in pairwise(found):
        begins = parts[cause.clause].terms[0].key
        between = {
            term.key
            for part in parts[mention.clause : cause.clause + 1]
            for term in part.terms
            if mention.term.at < term.at < cause.term.at
        }
        never = cause.term.value in _NEVER_INFECTION
        infection = any(one.infection for one in found[found.index(cause) :])
        same = between & _SAME_AS and not between & _OR and cause.term.value not in _ALIKE
        same = same and not infection
        taken = between & _TAKEN_FOR if never else same
        if (
            (taken or begins in _DUE_TO or cause.term.key.startswith(_DUE_TO))
            and cause.kind is Kind.OTHER
            and {mention.status, cause.status} == {"present"}
            and mention.kind is Kind.FINDING
            and cause.clause - mention.clause in (0, 1, 2)
            and not set(mention.term.key.split()) & (CAUSE_WORDS | {"consolidation", "collapse"})
        ):
            mention.kind = Kind.OTHER
            mention.put_down = True
            mention.why.append(parts[cause.clause].terms[0])


def deny_cause_later(parts: list[Clause], found: list[Mention]) -> None:
    """Read "opacity due to atelectasis, infection is not suspected": it is of another kind."""
    denied = [one for one in found if one.status == "absent" and one.term.key in CAUSE_WORDS]
    others = [one for one in found if one.kind is Kind.OTHER and one.status == "present"]
    if not denied or not others:
        return
    linked = any(_LINKS & set(clause.keys) for clause in parts[: others[0].clause + 1])
    for mention in found:
        if linked and mention.infection and mention.status == "present":
            mention.kind = Kind.OTHER
            mention.why.append(denied[0].term)
            denied[0].background = True


def deny_cause(before: list[Mention], following: list[Term], term: Term) -> bool:
    """Deny the cause, as in "opacity ... rather than infection": it is of another kind."""
    cause = next((one for one in following if one.kind is not Kind.PLAIN), None)
    other = any(mention.kind is Kind.OTHER and mention.status == "present" for mention in before)
    words = CAUSE_WORDS | {"consolidation"} if other else CAUSE_WORDS  # "... collapse rather than"
    if cause is None or not words & set(cause.key.split()):
        return False
    seen = [mention for mention in before if mention.infection and mention.status == "present"]
    for mention in seen:
        mention.kind = Kind.OTHER
        mention.why.append(term)
    return bool(seen)
