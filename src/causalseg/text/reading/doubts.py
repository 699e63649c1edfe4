"""Statements that the rules took one way on little ground: the answer has a note that says so.

A rule that reads on over words that it does not model is right most of the time. Where that decides
whether there is a finding, or leaves a place out, the answer must not be silent about it. Each
function here looks for one construction in which the rules are known to guess.
"""

from collections.abc import Iterator

from causalseg.text.reading.attach import NOT_AIR, of_something_else
from causalseg.text.reading.passage import Passage
from causalseg.text.reading.reading import Status
from causalseg.text.reading.story import Mention
from causalseg.text.reading.terms import Kind, Term

# What may stand between a denial and what it denies.
_MODIFIERS = frozenset(
    "a an the any this that these in at on of to for from with within by is are was were has have "
    "had been be being now there it which since evidence sign signs feature features finding "
    "findings indication suggestion suggest indicate appearance appearances radiographic "
    "radiological radiographically radiologically imaging film today focal active acute confluent "
    "significant definite convincing obvious clear gross overt frank discrete new newly recent "
    "further other additional noted described identified visualised visualized visible seen shown "
    "demonstrated reported mentioned known lobar segmental patchy dense large small subtle tiny "
    "recurrence thoracic intrathoracic parenchymal typical bacterial viral fungal last week month "
    "day days weeks ago yesterday either both likely specific particular true established "
    "clearly".split()
)
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
_OVER = frozenset("treated cured healed".split())
_OF_THE_PATIENT = frozenset(
    "positive negative swab swabs pcr test tested tests antigen contact exposed exposure screen "
    "suspected admitted treated treatment antibiotics symptoms vaccinated vaccine known".split()
)
DISEASES = frozenset(
    "pneumonia covid infection infections tb tuberculosis ards aspiration lrti pna coronavirus "
    "bronchopneumonia pneumonitis cap hap vap".split()
)
_OTHER_SUBJECTS = (Kind.NOT_LUNG, Kind.ELSEWHERE, Kind.OTHER)


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
        yield from _gone_somehow(passage, mention)
        yield from _trend(passage, mention)
    if status == "present":
        yield from _clear_too(mentions, chosen)
        yield from _denied_too(denied, chosen)
        for mention in [one for one in chosen if one.places] or chosen:
            yield from _of_another_clause(passage, mention)
            yield from _added_height(passage, mention)
            yield from _of_the_past(passage, mention)
            yield from _of_the_patient(passage, mention)
            if mention.term.value == "vague":
                yield f"{mention.term.text!r} was read as an opacity."
        if not any(one.places for one in chosen):
            yield from _place_elsewhere(mentions, chosen)
    if status in ("present", "absent"):
        yield from _compared(passage)
    yield from _exceptions(passage)
    yield from _contrasts(passage)
    yield from _places_left(passage)


def _sentence(passage: Passage, mention: Mention) -> list[Term]:
    return passage.sentences.get(mention.sentence, [])


def _clause(passage: Passage, mention: Mention) -> list[Term]:
    parts = passage.clauses.get(mention.sentence, [])
    return parts[mention.clause].terms if mention.clause < len(parts) else []


def _denied_over(passage: Passage, mention: Mention) -> Iterator[str]:
    """Words of their own between the denial and the finding: "no trouble with the opacity"."""
    if not mention.why:
        return
    first, last = sorted((mention.why[0].at, mention.term.at))
    between = [term for term in _sentence(passage, mention) if first < term.at < last]
    strange = [term.text for term in between if _is_idle(term)]
    if strange:
        words = " ".join(strange)
        yield f"{mention.why[0].text!r} was read as denying {mention.term.text!r}, over {words!r}."
    after = [term for term in _clause(passage, mention) if term.at == mention.term.at + 1]
    if mention.kind is Kind.ABNORMAL and after and _is_idle(after[0]):
        yield f"{mention.term.text!r} was read as denied, whatever {after[0].text!r} adds to it."


def _is_idle(term: Term) -> bool:
    return term.kind is Kind.PLAIN and term.key.isalpha() and term.key not in _MODIFIERS


def _gone_somehow(passage: Passage, mention: Mention) -> Iterator[str]:
    """A word of its own before "resolved", or "that was" before "not seen": how far is it gone?"""
    sentence = _sentence(passage, mention)
    gone = [term for term in mention.why if term.kind in (Kind.GONE, Kind.GONE_OF)]
    for term in gone:
        before = [one for one in sentence if 0 < term.at - one.at <= 2]
        strange = [one.text for one in before if _is_idle(one) and one.key not in _WHOLLY]
        if strange and not mention.distant:
            yield f"{term.text!r} was read as denying, whatever {strange[-1]!r} says of it."
        if term.key.startswith("not ") and {"that", "which"} & {one.key for one in before}:
            yield f"{term.text!r} was read as denying {mention.term.text!r} now."


def _trend(passage: Passage, mention: Mention) -> Iterator[str]:
    """A word of change beside a denial: is the finding denied, or its change?"""
    words = [
        term.text
        for term in _clause(passage, mention)
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


def _of_the_past(passage: Passage, mention: Mention) -> Iterator[str]:
    """A finding said to be of before, with no word of what is there now."""
    sentence = _sentence(passage, mention)
    again = {"is", "are", "has", "have"} & {term.key for term in sentence}
    if again or any(term.kind in (Kind.STILL, Kind.NOW, Kind.WORSE) for term in sentence):
        return
    for term in sentence:
        scar = term.value == "scarring" and term.at == mention.term.at + 1
        if scar or (term.key in _OVER and term.at > mention.term.at):
            yield _past_note(mention, term)
        if term.kind is Kind.PAST and 0 < mention.term.at - term.at <= 4:
            words = set(term.key.split()) & _BEFORE_NOW
            if words and (words != {"post"} or mention.term.key in DISEASES):
                yield _past_note(mention, term)


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


def _of_another_clause(passage: Passage, mention: Mention) -> Iterator[str]:
    """A place from a clause before, beside one of its own on another side."""
    own = {term.at for term in _clause(passage, mention)}
    groups = [[term for term in group if term.place] for group in mention.places]
    mine = [term for group in groups for term in group if term.at in own]
    for group in groups:
        before = bool(group) and group[0].at < min(own, default=0)
        if before and _sides(mine) and _sides(group) and not _sides(mine) & _sides(group):
            yield f"{group[0].text!r} was read as a place of {mention.term.text!r} too."


def _sides(terms: list[Term]) -> set[str]:
    return {side for term in terms if term.place for side in term.place.sides}


def _place_elsewhere(mentions: list[Mention], chosen: list[Mention]) -> Iterator[str]:
    """A finding without a place in a sentence whose place went to another finding."""
    for mention in chosen:
        for one in mentions:
            if one.sentence == mention.sentence and one is not mention and one.places:
                yield (
                    f"{one.places[0][0].text!r} was read as the place of {one.term.text!r}, not "
                    f"of {mention.term.text!r}."
                )


def _added_height(passage: Passage, mention: Mention) -> Iterator[str]:
    """A height in a clause with words of its own behind a full place: "..., bounded below by"."""
    parts = passage.clauses.get(mention.sentence, [])
    first, *rest = mention.places or [[]]
    if not any(t.place and t.place.heights for t in first) or not any(
        t.place and t.place.sides for t in first
    ):
        return
    for group in rest:
        places = [term for term in group if term.place]
        if not places or any(term.place and term.place.sides for term in places):
            continue
        clause = next((part for part in parts if places[0] in part.terms), None)
        if clause is None or clause.opening not in ("comma", "with"):
            continue
        words = [term.text for term in clause.terms if _is_idle(term)]
        if words:
            named = " ".join(term.text for term in places)
            yield f"{named!r} was read as a place too, beside {words[0]!r}."


def _compared(passage: Passage) -> Iterator[str]:
    """How clear one place is beside another."""
    for parts in passage.clauses.values():
        for part in parts:
            keys = part.keys
            than = keys.index("than") if "than" in keys else len(keys)
            other = any(term.place for term in part.terms[than:])
            less = "less" in keys and other and part.has(Kind.FINDING)
            if less or (part.has(Kind.CLEAR) and {"less", "more", "than", "better"} & set(keys)):
                yield "a comparison of two places was not used."


def _exceptions(passage: Passage) -> Iterator[str]:
    for parts in passage.clauses.values():
        for part in parts:
            told = part.has(Kind.FINDING, Kind.CAUSE, Kind.ABNORMAL, Kind.CLEAR, *_OTHER_SUBJECTS)
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
            if not part.has(*_OTHER_SUBJECTS) and all(one.clause != at for one in mine):
                words = " ".join(term.text for term in part.terms)
                yield f"a contrast was not understood: {words!r}."


def _places_left(passage: Passage) -> Iterator[str]:
    """Places that went to no finding and are no other organ's."""
    story = passage.story
    groups = [group for one in story.mentions for group in (*one.places, *one.spared)]
    used = {term.at for group in (*groups, *story.alone) for term in group}
    left = []
    for parts in passage.clauses.values():
        for part in parts:
            if part.has(*_OTHER_SUBJECTS, Kind.UNLIKE, Kind.WORSE, Kind.NO_PLACE):
                continue
            if any(key.startswith(NOT_AIR) or key.endswith("angles") for key in part.keys):
                continue
            left += [
                term.text
                for at, term in enumerate(part.terms)
                if term.place
                and not term.place.weak
                and term.at not in used
                and not of_something_else(part.terms, at)
            ]
    if left:
        yield f"left out of the places: {' '.join(left)!r}."
