"""From the mentions of a text to its reading."""

from causalseg.text.grammar_lung import ZONES
from causalseg.text.reading.answer import assembled, is_where, result
from causalseg.text.reading.context import answered
from causalseg.text.reading.doubts import doubts
from causalseg.text.reading.leftovers import tell_leftovers
from causalseg.text.reading.passage import Passage
from causalseg.text.reading.places import region
from causalseg.text.reading.reading import Reading, Status
from causalseg.text.reading.story import ASKS, Mention
from causalseg.text.reading.terms import Kind, Term
from causalseg.text.words import SIDES


def summary(passage: Passage) -> Reading:
    """Sum up what a text says."""
    mentions = passage.story.mentions
    _artefacts(passage)
    _later_clear(passage)
    for name in answered(mentions):
        passage.story.note(
            f"{name!r} was read as the reason for the study: the lungs are said to be clear."
        )
    infections = [one for one in mentions if one.infection and not one.background]
    named = [one for one in infections if one.kind is not Kind.CAUSE] or infections
    present = [one for one in named if one.status == "present"]
    doubtful = [one for one in infections if one.status == "uncertain"]
    absent = [
        one
        for one in mentions
        if one.status == "absent" and one.kind is not Kind.OTHER and not one.background
    ]
    other = [one for one in mentions if one.kind is Kind.OTHER and one.status == "present"]
    limited = [one for one in mentions if one.kind is Kind.LIMITED]
    status: Status
    if present:
        status, chosen = "present", present
        stated = region([group for one in present for group in one.places]).zones
        if all(not one.asked or not one.places for one in doubtful):
            passage.story.notes.pop(ASKS, None)  # it answers what it asks
        if any(region(one.places).zones - stated for one in doubtful):
            passage.story.note("a doubtful finding elsewhere in the text was left out.")
    elif doubtful:
        status, chosen = "uncertain", doubtful
    elif (absent or other) and any(one.places for one in limited):
        status, chosen = "uncertain", limited
        passage.story.note("no finding is stated, but a place could not be judged.")
    elif passage.story.alone and absent and all(_of_places(one) for one in absent):
        status, chosen = "present", [_found_at(passage)]  # "Left: lower zone. Right: none."
    elif absent and not (other and all(_rather(one) for one in absent)):
        status, chosen = "absent", absent
    elif other:
        status, chosen = "other", other
    else:
        return _rest(passage, limited)
    if status == "uncertain" and ASKS not in passage.story.notes:
        passage.story.note("the text is not sure that there is a finding.")
    tell_leftovers(passage)
    for note in doubts(passage, status, chosen):
        passage.story.note(note)
    return result(passage, status, chosen, other)


def _of_places(mention: Mention) -> bool:
    """Whether it only says of a place that there is nothing."""
    denies = bool(mention.why) and mention.why[0].kind is Kind.NOT
    return mention.kind is Kind.CLEAR and denies and bool(mention.places)


def _found_at(passage: Passage) -> Mention:
    """An infection at the places of a text that names none."""
    passage.story.note(_ONLY_A_PLACE)
    groups, passage.story.alone = passage.story.alone, []
    found = Mention(Kind.ABNORMAL, groups[0][0], "present", 0, 0, list(groups))
    passage.story.mentions.append(found)
    return found


def _rather(mention: Mention) -> bool:
    """Whether it is only the less likely cause: "atelectasis over pneumonia"."""
    return any(term.kind is Kind.RATHER for term in mention.why)


def _artefacts(passage: Passage) -> None:
    """An opacity that could be an artefact is uncertain."""
    hedges = {Kind.DOUBT, Kind.MAYBE, Kind.DOUBTED}
    by_words = {
        "looked",
        "likely",
        "probably",
        "or",
        "real",
        "due to",
        "versus",
        "vs",
        "favoured",
        "favored",
    }
    for number, terms in passage.sentences.items():
        artefact = next((term for term in terms if term.kind is Kind.ARTEFACT), None)
        if artefact is None or not any(t.kind in hedges or t.key in by_words for t in terms):
            continue
        for mention in passage.story.mentions:
            if mention.sentence == number and mention.infection and mention.status == "present":
                mention.status = "uncertain"
                mention.why.append(artefact)


def _later_clear(passage: Passage) -> None:
    """Read "There was ... . The lungs are now clear": what was, is gone."""
    everywhere = frozenset((side, zone) for side in SIDES for zone in ZONES)
    for number, clear in enumerate(passage.story.mentions):
        if clear.kind is not Kind.CLEAR or clear.rest:
            continue
        zones = region(clear.places).zones or everywhere
        terms = passage.sentences[clear.sentence]
        now = [t.at for t in terms if t.kind is Kind.NOW or (t is clear.term and "now" in t.key)]
        for mention in passage.story.mentions[:number]:
            if not mention.infection or mention.excepted:
                continue
            earlier = bool(now) and mention.term.at < now[0] <= clear.term.at
            if earlier and (region(mention.places).zones or everywhere) <= zones:
                mention.status = "absent"
                passage.story.note(f"{mention.term.text!r} was read as gone: it is clear now.")
            elif mention.past and zones == everywhere:
                mention.status = "absent"


def _rest(passage: Passage, limited: list[Mention]) -> Reading:
    """What is left when no finding is named."""
    groups = [*passage.story.alone, *(g for one in limited for g in one.places)]
    if limited:
        passage.story.note("the text says that something could not be judged.")
        return result(passage, "uncertain", limited, [])
    place, asks = _is_place(passage, groups), _asks_of_a_place(passage)
    found = region(groups)
    if (place or asks) and (found.zones or found.heights):
        passage.story.note(ASKS if asks else _ONLY_A_PLACE)
        mention = Mention(Kind.ABNORMAL, passage.story.alone[0][0], "present", 0, 0, groups)
        mention.spared = passage.story.excepted
        passage.story.mentions.append(mention)
        return result(passage, "uncertain" if asks else "present", [mention], [])
    if [term.key for term in passage.terms] in (
        ["nothing"],
        ["none"],
        ["nil"],
        ["findings", ":", "none"],
    ):
        passage.story.note("the text says nothing but that there is nothing.")
        evidence = {"status": [passage.terms[0].text]}
        return assembled(passage, "absent", set(), set(), evidence, [])
    denied = [one for one in passage.story.mentions if one.kind is Kind.OTHER]
    if any(one.status == "absent" for one in denied):
        passage.story.note(
            "only findings of another kind are denied; nothing is said of infection."
        )
        return result(passage, "absent", denied, [])
    if any(one.status == "uncertain" for one in denied):
        return result(passage, "other", denied, denied)
    known = [one for one in passage.story.mentions if one.infection and one.background]
    if passage.same is not None and known:
        return result(passage, "present", known, [])
    if passage.same is not None and not passage.unknown:
        passage.story.note("the text only compares and names no finding.")
        return assembled(passage, "uncertain", set(), set(), {"status": [passage.same.text]}, [])
    passage.story.note("no lung finding was understood.")
    return assembled(passage, "unread", set(), set(), {}, [])


_ONLY_A_PLACE = "only a place is named: an infection there is looked for."


def _asks_of_a_place(passage: Passage) -> bool:
    """Whether a text only asks about a place: "what about the right lung?"."""
    kinds = {term.kind for term in passage.terms}
    other = {Kind.NOT_LUNG, Kind.ELSEWHERE, Kind.NOT, Kind.UNKNOWN}
    asks = any(terms and terms[-1].key == "?" for terms in passage.sentences.values())
    return asks and not kinds & other and not passage.story.mentions


_SMALL = frozenset("the a of in on at only just part side my this".split())


def _is_place(passage: Passage, groups: list[list[Term]]) -> bool:
    """Whether a text without a finding is a place to look at, and not words in a heap."""
    if passage.unknown or not groups or passage.story.mentions:
        return False
    kinds = {term.kind for term in passage.terms}
    if kinds & {Kind.NOT_LUNG, Kind.ELSEWHERE, Kind.NOT, Kind.ARTEFACT}:
        return False
    if any(term.place and term.place.weak for term in passage.terms):
        return False
    keys = [term.key for term in passage.terms if term.place]
    if any(keys.count(key) > 2 for key in keys) or (len(keys) > 3 and len(set(keys)) < 3):
        return False
    named = [t for t in passage.terms if is_where(t) or t.kind in (Kind.JOIN, Kind.ASK)]
    passed = _SMALL if Kind.ASK in kinds else frozenset()  # "segment only the upper part of ..."
    said = [t for t in passage.terms if t.kind is not Kind.PAUSE and t.key not in passed]
    return 2 * len(named) >= len(said)
