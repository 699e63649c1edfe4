"""Statements that the rules took one way on little ground: the answer has a note that says so.

A rule that reads on over words that it does not model is right most of the time. Where that decides
whether there is a finding, or leaves a place out, the answer must not be silent about it. Each
function here looks for one construction in which the rules are known to guess.
"""

from collections.abc import Iterator

from causalseg.text.reading.mentions import CLEARING_OF
from causalseg.text.reading.passage import Passage
from causalseg.text.reading.place_doubts import OTHER_SUBJECTS, clause_of, is_idle, place_doubts
from causalseg.text.reading.reading import Status
from causalseg.text.reading.story import Mention
from causalseg.text.reading.terms import CAUSE_WORDS, Kind, Term

_TRENDS = frozenset(
    "improved improving improvement worsening worsened worse progressing progressed progression "
    "increasing increased increase decreasing decreased decrease enlarging resolving clearing "
    "larger smaller bigger regressed regressing regression reduction reduced change changed".split()
)
_WHOLLY = frozenset("complete completely interval full fully total totally again also all".split())
_BEFORE_NOW = frozenset(
    "previous previously prior earlier had formerly former treated history once old post "
    "initially initial".split()
)
_PUTS_DOWN = frozenset(
    "likely probably presumably due from favoured favored versus vs consistent keeping suspicious "
    "compatible represent represents representing possibly "
    "suggestive suggesting suggests indicating indicative".split()
)
# Abbreviations of something else as well (an apical cap, a septal defect).
_MANY_SENSES = frozenset(("cap", "asd"))
_OVER = frozenset("treated cured healed ago".split())
_OF_THE_PATIENT = frozenset(
    "positive negative swab swabs pcr test tested tests antigen contact exposed exposure screen "
    "suspected admitted treated treatment antibiotics symptoms vaccinated vaccine known".split()
)
DISEASES = frozenset(
    "pneumonia covid infection infections tb tuberculosis ards aspiration lrti pna coronavirus "
    "bronchopneumonia pneumonitis cap hap vap".split()
)


def doubts(passage: Passage, status: Status, chosen: list[Mention]) -> Iterator[str]:
    """Notes on what was decided without firm ground.

    Args:
        passage: the text.
        status: what it was read as.
        chosen: the mentions that decided it.

    """
    mentions = [one for one in passage.story.mentions if not one.background]
    denied = [one for one in mentions if one.status == "absent" and one.infection]
    for mention in denied:
        yield from _denied_over(passage, mention)
        yield from _denied_behind(passage, mention)
        yield from _gone_somehow(passage, mention)
        yield from _trend(passage, mention)
    if status == "present":
        yield from _clear_too(mentions, chosen)
        yield from _denied_too(denied, chosen)
        for mention in [one for one in chosen if one.places] or chosen:
            yield from _clearing(passage, mention)
            yield from _of_the_past(passage, mention)
            yield from _of_the_patient(passage, mention)
            yield from _other_cause(passage, mention)
            if mention.term.value == "vague" or mention.term.key in _MANY_SENSES:
                yield f"{mention.term.text!r} was read as an opacity."
    yield from _exceptions(passage)
    yield from _contrasts(passage)
    yield from place_doubts(passage, status, chosen)


def _sentence(passage: Passage, mention: Mention) -> list[Term]:
    return passage.sentences.get(mention.sentence, [])


def _denied_over(passage: Passage, mention: Mention) -> Iterator[str]:
    """Words of their own between the denial and the finding: "no trouble with the opacity"."""
    if not mention.why:
        return
    first, last = sorted((mention.why[0].at, mention.term.at))
    between = [term for term in _sentence(passage, mention) if first < term.at < last]
    strange = [term.text for term in between if is_idle(term)]
    if strange:
        words = " ".join(strange)
        yield f"{mention.why[0].text!r} was read as denying {mention.term.text!r}, over {words!r}."
    after = [term for term in clause_of(passage, mention) if term.at == mention.term.at + 1]
    if mention.kind is Kind.ABNORMAL and after and is_idle(after[0]):
        yield f"{mention.term.text!r} was read as denied, whatever {after[0].text!r} adds to it."


def _denied_behind(passage: Passage, mention: Mention) -> Iterator[str]:
    """A finding with a place, and a denial behind both: "is present on the right and in none"."""
    for term in mention.why:
        behind = term.kind is Kind.NOT and term.at > mention.term.at and not mention.distant
        between = [t for t in clause_of(passage, mention) if mention.term.at < t.at < term.at]
        if behind and any(one.place or one.kind is Kind.AFFECTED for one in between):
            yield f"{term.text!r} was read as denying {mention.term.text!r} before it."


def _gone_somehow(passage: Passage, mention: Mention) -> Iterator[str]:
    """A word of its own before "resolved", or "that was" before "not seen": how far is it gone?"""
    sentence = _sentence(passage, mention)
    gone = [term for term in mention.why if term.kind in (Kind.GONE, Kind.GONE_OF)]
    for term in gone:
        before = [one for one in sentence if 0 < term.at - one.at <= 2]
        strange = [one.text for one in before if is_idle(one) and one.key not in _WHOLLY]
        if strange and not mention.distant:
            yield f"{term.text!r} was read as denying, whatever {strange[-1]!r} says of it."
        if term.key.startswith("not ") and {"that", "which"} & {one.key for one in before}:
            yield f"{term.text!r} was read as denying {mention.term.text!r} now."


def _clearing(passage: Passage, mention: Mention) -> Iterator[str]:
    """Read "interval clearing of": it may be going on, or be over."""
    for term in clause_of(passage, mention):
        if term.key in CLEARING_OF and term.kind is Kind.GONE_OF and term.at < mention.term.at:
            yield (
                f"{term.text!r} was read as going on, so that {mention.term.text!r} is still "
                "there: if nothing is left, write 'resolved'."
            )


def _trend(passage: Passage, mention: Mention) -> Iterator[str]:
    """A word of change beside a denial: is the finding denied, or its change?"""
    words = [
        term.text
        for term in clause_of(passage, mention)
        if set(term.key.split()) & _TRENDS and term not in (mention.term, *mention.why)
    ]
    if words:
        yield f"{mention.term.text!r} was read as denied, whatever {words[0]!r} says of it."


def _clear_too(mentions: list[Mention], chosen: list[Mention]) -> Iterator[str]:
    clear = [
        one
        for one in mentions
        if one.kind is Kind.CLEAR
        and not one.rest
        and not any(term.place for group in one.places for term in group)
    ]
    if clear and not any(one.excepted for one in chosen):
        word = clear[0].term.text
        yield f"the text names a finding and also says {word!r}: the finding was taken."


def _denied_too(denied: list[Mention], chosen: list[Mention]) -> Iterator[str]:
    for mention in denied:
        if not mention.places and any(one.term.key == mention.term.key for one in chosen):
            yield f"{mention.term.text!r} is both stated and denied: it was taken as stated."
            continue
        if not mention.places and not any(one.places for one in chosen):
            yield f"{chosen[0].term.text!r} is stated and {mention.term.text!r} denied."


def _of_the_past(passage: Passage, mention: Mention) -> Iterator[str]:
    """A finding said to be of before, with no word of what is there now."""
    sentence = _sentence(passage, mention)
    again = {"is", "are", "has", "have"} & {term.key for term in sentence}
    site = any(term.key == "site" for term in sentence)  # "at the site of the previous pneumonia"
    now = any(term.kind in (Kind.STILL, Kind.NOW, Kind.WORSE) for term in sentence)
    if again or (now and not site):
        return
    for term in sentence:
        scar = term.value == "scarring" and term.at == mention.term.at + 1
        if scar or (term.key in _OVER and term.at > mention.term.at):
            yield _past_note(mention, term)
        if term.kind is Kind.PAST and 0 < mention.term.at - term.at <= 4:
            words = set(term.key.split()) & _BEFORE_NOW
            if words and (words != {"post"} or mention.term.key in DISEASES):
                yield _past_note(mention, term)


def _other_cause(passage: Passage, mention: Mention) -> Iterator[str]:
    """What the text may put an opacity down to: "... , likely a healing fracture"."""
    after = [term for term in _sentence(passage, mention) if term.at > mention.term.at]
    if any(set(term.key.split()) & (CAUSE_WORDS | {"consolidation"}) for term in after):
        return
    for number, term in enumerate(after):
        if term.key in ("due to", "secondary to", "because of"):
            yield f"{mention.term.text!r} was read as one of infection type, whatever its cause."
            return
        if term.kind in (Kind.OTHER, Kind.ARTEFACT):
            if _PUTS_DOWN & {word for one in after[:number] for word in one.key.split()}:
                yield (
                    f"{mention.term.text!r} was read as one of infection type, though the text "
                    f"speaks of {term.text!r}."
                )
            return


def _past_note(mention: Mention, term: Term) -> str:
    return f"{mention.term.text!r} was read as present now, though the text says {term.text!r}."


def _of_the_patient(passage: Passage, mention: Mention) -> Iterator[str]:
    """A disease without a place beside words of the clinic: "COVID swab positive"."""
    if mention.places or mention.term.key not in DISEASES:
        return
    words = [t.text for t in _sentence(passage, mention) if set(t.key.split()) & _OF_THE_PATIENT]
    if words:
        yield (
            f"{mention.term.text!r} was read as a finding of the image, though {words[0]!r} may "
            "refer to the patient."
        )


def _exceptions(passage: Passage) -> Iterator[str]:
    for parts in passage.clauses.values():
        for part in parts:
            told = part.has(Kind.FINDING, Kind.CAUSE, Kind.ABNORMAL, Kind.CLEAR, *OTHER_SUBJECTS)
            placed = any(term.place or term.kind is Kind.LUNG for term in part.terms)
            if part.opening in ("spare", "except") and not told and not placed:
                words = " ".join(term.text for term in part.terms)
                yield f"an exception was not understood: {words!r}."


def _contrasts(passage: Passage) -> Iterator[str]:
    """A contrast to a denial that says nothing understood: "..., but the other one is"."""
    for number, parts in passage.clauses.items():
        mine = [one for one in passage.story.mentions if one.sentence == number]
        denied = [one.clause for one in mine if one.status == "absent"]
        for at, part in enumerate(parts):
            if part.opening not in ("but", "except") or not denied or at <= min(denied):
                continue
            if part.terms[0].key == "despite":
                continue
            if not part.has(*OTHER_SUBJECTS) and all(one.clause != at for one in mine):
                words = " ".join(term.text for term in part.terms)
                yield f"a contrast was not understood: {words!r}."
