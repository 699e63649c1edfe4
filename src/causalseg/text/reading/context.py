"""What a sentence takes from those around it: places, what "it" is, what is long past."""

from dataclasses import replace

from causalseg.text.grammar_lung import ZONES
from causalseg.text.reading.clause_places import has_place
from causalseg.text.reading.clauses import Clause
from causalseg.text.reading.mentions import is_aim
from causalseg.text.reading.passage import Passage
from causalseg.text.reading.place_doubts import is_idle
from causalseg.text.reading.places import region
from causalseg.text.reading.story import Mention
from causalseg.text.reading.terms import Kind, Term

_VAGUE = frozenset(
    "dense solid something stuff spot spots blob blobs changes change shadows patch patches foci "
    "focus area areas process white whitish whiter".split()
)
_TRENDS = frozenset(("worsening", "deterioration", "progression"))
_ILL = frozenset(("affected", "involved", "diseased", "sick"))
_OTHER_CHANGES = frozenset(
    "postoperative postsurgical degenerative postoperatively surgical chronic age arthritic "
    "radiotherapy postradiotherapy osteoarthritic postradiation radiation".split()
)
_DISEASES = frozenset(
    "pneumonia covid infection infections tb tuberculosis ards aspiration lrti pna coronavirus "
    "bronchopneumonia pneumonitis".split()
)
# Beside these a place in a sentence of its own is where the finding is.
_GOES_ON = frozenset(
    {Kind.AFFECTED, Kind.STILL, Kind.WORSE, Kind.MOSTLY, Kind.SPARED, Kind.NOT, Kind.EXCEPT}
)
_PAST = frozenset(("follow up", "followup", "history", "known", "treated", "background", "re"))


def name_vague(terms: list[Term], *, first: bool) -> list[Term]:
    """Take "the bilateral changes" for a finding where the sentence names no other.

    So is "affected" in the first sentence that could name one; later it speaks of the one before.
    """
    seen = (Kind.FINDING, Kind.OTHER, Kind.ABNORMAL, Kind.CAUSE)
    overlaid = any(term.kind is Kind.ARTEFACT for term in terms)
    if any(t.kind in seen or (t.kind is Kind.NOT_LUNG and not overlaid) for t in terms):
        return terms
    if any(term.kind is Kind.UNKNOWN or term.key in _OTHER_CHANGES for term in terms):
        return terms
    if not has_place(terms) and not any(term.kind is Kind.GONE for term in terms):
        return terms
    named = any(term.key in _VAGUE for term in terms)
    return [
        replace(term, kind=Kind.FINDING, value="" if term.key.startswith("white") else "vague")
        if (term.key in _VAGUE and term.kind is Kind.PLAIN)
        or (term.key == "patchy" and not named)
        or (term.key in _TRENDS and first and has_place(terms))
        or (first and term.key in _ILL)
        else term
        for term in terms
    ]


def without_quantifiers(terms: list[Term]) -> list[Term]:
    """Take "all opacities" and "where the lungs are infected" for no place of their own."""
    asks = any(term.key.startswith("where") for term in terms)
    found = []
    for number, term in enumerate(terms):
        following = terms[number + 1] if number + 1 < len(terms) else term
        seen = following.kind in (Kind.FINDING, Kind.ABNORMAL)
        counts = term.key in ("all", "every", "any") and seen
        if counts or (asks and term.key == "lungs"):
            term = replace(term, kind=Kind.PLAIN)
        found.append(term)
    return found


def mark_background(parts: list[Clause], mine: list[Mention]) -> None:
    """A disease without a place beside "history of" or "follow up" is not a finding."""
    keys = {key for part in parts for key in part.keys}
    heads = len(parts) > 1 and parts[1].opening == "colon" and not has_place(parts[0].terms)
    if not (keys & _PAST or heads) or keys & {"unchanged", "stable"}:
        return
    for mention in mine:
        denied = mention.status == "absent"
        if denied or mention.asked or not mention.infection or mention.term.key not in _DISEASES:
            continue
        rest = parts[mention.clause :]
        told = any(part.has(Kind.CLEAR, Kind.NORMAL) for part in rest[1:])
        placed = any(has_place(part.terms) for part in parts)
        names = heads and mention.clause == 0 and any(part.has(Kind.FINDING) for part in parts[1:])
        if not placed or names or (told and not has_place(rest[0].terms)):
            mention.background = True


def question_all(mine: list[Mention]) -> None:
    """What is asked is uncertain, whichever way it is asked: "are the lungs clear?"."""
    for mention in mine:
        if mention.status == "absent" and mention.kind is not Kind.OTHER:
            mention.status, mention.asked = "uncertain", True
            if mention.kind is Kind.CLEAR:
                mention.kind = Kind.ABNORMAL


def answered(mentions: list[Mention]) -> list[str]:
    """Leave out what the text answers by saying later that the lungs are clear.

    Returns:
        Diseases that were taken for the reason for the study ("COVID swab positive; chest clear").

    """
    reasons: list[str] = []
    for number, mention in enumerate(mentions):
        later = mentions[number + 1 :]
        clear = any(one.kind is Kind.CLEAR and not one.rest and _whole(one) for one in later)
        nothing = any(one.infection and one.status == "absent" and not one.places for one in later)
        if not mention.infection or mention.background:
            continue
        if mention.asked and mention.status == "uncertain" and (clear or nothing):
            mention.background = True
        elif mention.status == "present" and mention.term.key in _DISEASES and not mention.places:
            acute = any(one.kind is Kind.ABNORMAL and one.status == "absent" for one in later)
            if (clear or acute) and not any(
                one.infection and one.status == "present" for one in later
            ):
                mention.background = True
                reasons.append(mention.term.text)
    return reasons


def _whole(mention: Mention) -> bool:
    found = region(mention.places)
    return not found.heights and len(found.zones) in (0, 2 * len(ZONES))


def sums_up(mention: Mention, mentions: list[Mention]) -> bool:
    """Whether it only names the disease whose places are given: "... , multifocal pneumonia"."""
    terms = [term for group in mention.places for term in group]
    if mention.term.key not in _DISEASES or any(term.place for term in terms):
        return False
    return any(
        one is not mention
        and one.infection
        and one.status == "present"
        and any(term.place and term.place.heights for group in one.places for term in group)
        for one in mentions
    )


def look_ahead(passage: Passage, mine: list[Mention], number: int) -> None:
    """Read "Location: left base. Finding: opacity": the place came a sentence before."""
    before, passage.placed = passage.placed, None
    if passage.story.alone and not mine:
        passage.placed = number
    infections = [mention for mention in mine if mention.infection]
    limited = [
        one
        for one in passage.story.mentions
        if one.kind is Kind.LIMITED and one.sentence == number - 1 and one.places
    ]
    doubtful = [one for one in infections if one.status == "uncertain" and not _height(one)]
    if limited and doubtful:
        groups = [*limited[-1].places, *doubtful[0].places]  # "... cannot be excluded on the right"
        doubtful[0].places = [[term for group in groups for term in group]]
        passage.story.note("the place was taken from the sentence before.")
        return
    if before != number - 1 or not infections or passage.story.last():
        return
    if not any(mention.places for mention in mine):
        infections[0].places, passage.story.alone = passage.story.alone, []
        if infections[0].status != "absent":
            passage.story.note("the place was taken from the sentence before.")


def _height(mention: Mention) -> bool:
    return any(term.place and term.place.heights for group in mention.places for term in group)


def look_back(passage: Passage, terms: list[Term], mine: list[Mention], number: int) -> None:
    """Sentences that speak of a finding named before: "It has resolved", "It occupies ..."."""
    last = passage.story.last()
    if last is None or any(one.infection and one.status != "absent" for one in mine):
        return
    kinds = {term.kind for term in terms}
    alone, passage.story.alone = passage.story.alone, []
    answer = {"yes", "no"} & {term.key for term in terms[:3]}
    if last.asked and last.status == "uncertain" and answer and not mine:
        last.status = "present" if "yes" in answer else "absent"
        last.places += alone
        return
    seen = any(one.kind in (Kind.FINDING, Kind.CLEAR) for one in mine)
    aim = any(term.kind is Kind.GONE and is_aim(terms[:n]) for n, term in enumerate(terms))
    if aim:
        return
    if Kind.GONE in kinds and not seen and Kind.OTHER not in kinds:
        gone = next(term for term in terms if term.kind is Kind.GONE)
        if alone:
            mine.append(Mention(Kind.CLEAR, gone, "absent", number, 0, alone, why=[gone]))
            return
        for mention in passage.story.mentions:
            if mention.infection and mention.status == "present":
                mention.status = "absent"
                mention.why.append(gone)
    elif Kind.DOUBTED in kinds and not mine:
        doubted = next(term for term in terms if term.kind is Kind.DOUBTED)
        if last.status == "present":
            last.status = "uncertain"
            last.why.append(doubted)
    elif alone and not mine and Kind.OTHER not in kinds and Kind.NOT_LUNG not in kinds:
        new = any(term.key == "new" for term in terms)
        if last.status == "absent" and (new or kinds & {Kind.STILL, Kind.AFFECTED, Kind.WORSE}):
            # "It has resolved on the left; on the right it persists", "... there is a new one"
            mine.append(Mention(Kind.FINDING, last.term, "present", number, 0, alone))
            return
        if last.status == "absent":
            passage.story.note("a place in a sentence of its own was read as clear.")
        heads = len(terms) > 1 and terms[1].key == ":"  # "Location: left base"
        if not heads and not kinds & _GOES_ON and any(is_idle(term) for term in terms):
            passage.story.note("a place in a sentence of its own was read as the finding's.")
        _extend(last, alone)
    else:
        passage.story.alone = alone


def _extend(last: Mention, alone: list[list[Term]]) -> None:
    found, had = region(alone), region(last.places)
    if (
        not found.zones
        and had.zones
        and not any(term.place and term.place.heights for group in last.places for term in group)
    ):
        last.places += alone  # "on the left. The lower lobe is affected"
    elif found.zones or found.heights:
        last.places = [*last.places, [Term(Kind.JOIN, "and", key="and")], *alone]
