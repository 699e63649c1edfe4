"""From the mentions of a text to its reading."""

from causalseg.text.grammar_lung import ZONES
from causalseg.text.reading.context import answered, sums_up
from causalseg.text.reading.doubts import doubts
from causalseg.text.reading.leftovers import tell_leftovers
from causalseg.text.reading.passage import Passage
from causalseg.text.reading.places import region
from causalseg.text.reading.reading import Reading, Status, ordered
from causalseg.text.reading.share import side_from_before
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
    return _result(passage, status, chosen, other)


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
    for number, clear in enumerate(passage.story.mentions):
        if clear.kind is not Kind.CLEAR or clear.rest or region(clear.places).zones not in (
            frozenset(), frozenset((s, z) for s in SIDES for z in ZONES)
        ):  # fmt: skip
            continue
        for mention in passage.story.mentions[:number]:
            if mention.infection and mention.past and not mention.excepted:
                mention.status = "absent"


def _result(
    passage: Passage, status: Status, chosen: list[Mention], other: list[Mention]
) -> Reading:
    zones: set[tuple[str, str]] = set()
    open_heights: set[str] = set()
    words: list[str] = []
    if status in ("present", "uncertain"):
        for mention in chosen:
            found, spared = _region(passage, mention)
            zones |= found
            open_heights |= set(spared)
            words += [t.text for group in mention.places for t in group if _is_where(t)]
        zones -= _clear_zones(passage, zones)
    if zones:
        lost = sorted(height for height in open_heights if height not in {z for _, z in zones})
        if lost:
            passage.story.note(f"a zone without a side was left out: {' and '.join(lost)}.")
        open_heights = set()
    if open_heights:
        passage.story.note(
            f"no side is given for the {' and '.join(z for z in ZONES if z in open_heights)} "
            "zone: it was taken as both lungs'."
        )
    evidence = {
        "status": [
            text for one in chosen for text in (one.term.text, *(why.text for why in one.why))
        ],
        "zones": words,
        "sides": [passage.frame.why] if passage.frame.why else [],
        "other": [one.term.text for one in other],
    }
    return _make(passage, status, zones, open_heights, evidence, other)


def _region(passage: Passage, mention: Mention) -> tuple[set[tuple[str, str]], tuple[str, ...]]:
    if sums_up(mention, passage.story.mentions):
        return set(), ()
    groups = side_from_before(mention, passage.story.mentions)
    if groups is not mention.places:
        passage.story.note("the side was taken from the finding named before.")
    found = region(groups)
    for note in found.notes:
        passage.story.note(note)
    zones = set(found.zones)
    heights = found.heights
    for group in mention.spared:
        spared = region([group])
        if not zones and not heights:
            zones = {(side, zone) for side in SIDES for zone in ZONES}
        zones -= set(spared.zones)
        zones = {zone for zone in zones if zone[1] not in spared.heights}
    if found.zones and not zones:
        passage.story.note(
            "the text spares a part of the only place it names: all of it was taken."
        )
        return set(found.zones), heights
    return zones, heights


def _clear_zones(passage: Passage, zones: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Zones that the text says are clear, unless that would leave nothing."""
    gone: set[tuple[str, str]] = set()
    for mention in passage.story.mentions:
        if mention.kind is Kind.CLEAR and not mention.rest:
            # "throughout the left lung with only the apex aerated": the side is the finding's.
            clear = region(side_from_before(mention, passage.story.mentions))
            if len(clear.zones) < 2 * len(ZONES):
                gone |= clear.zones
    if gone >= zones:
        if gone and zones:
            passage.story.note(
                "the text says of one place both that it is clear and that it is not."
            )
        return set()
    return gone


def _rest(passage: Passage, limited: list[Mention]) -> Reading:
    """What is left when no finding is named."""
    groups = [*passage.story.alone, *(g for one in limited for g in one.places)]
    if limited:
        passage.story.note("the text says that something could not be judged.")
        return _result(passage, "uncertain", limited, [])
    if _is_place(passage, groups):
        found = region(groups)
        if found.zones or found.heights:
            passage.story.note("only a place is named: an infection there is looked for.")
            mention = Mention(Kind.ABNORMAL, passage.story.alone[0][0], "present", 0, 0, groups)
            mention.spared = passage.story.excepted
            passage.story.mentions.append(mention)
            return _result(passage, "present", [mention], [])
    denied = [one for one in passage.story.mentions if one.kind is Kind.OTHER]
    if any(one.status == "absent" for one in denied):
        passage.story.note(
            "only findings of another kind are denied; nothing is said of infection."
        )
        return _result(passage, "absent", denied, [])
    if any(one.status == "uncertain" for one in denied):
        return _result(passage, "other", denied, denied)
    known = [one for one in passage.story.mentions if one.infection and one.background]
    if passage.same is not None and known:
        return _result(passage, "present", known, [])
    if passage.same is not None and not passage.unknown:
        passage.story.note("the text only compares and names no finding.")
        return _make(passage, "uncertain", set(), set(), {"status": [passage.same.text]}, [])
    passage.story.note("no lung finding was understood.")
    return _make(passage, "unread", set(), set(), {}, [])


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
    if any(keys.count(key) > 2 for key in keys):
        return False
    named = [t for t in passage.terms if _is_where(t) or t.kind in (Kind.JOIN, Kind.ASK)]
    passed = _SMALL if Kind.ASK in kinds else frozenset()  # "segment only the upper part of ..."
    said = [t for t in passage.terms if t.kind is not Kind.PAUSE and t.key not in passed]
    return 2 * len(named) >= len(said)


def _make(
    passage: Passage,
    status: Status,
    zones: set[tuple[str, str]],
    open_heights: set[str],
    evidence: dict[str, list[str]],
    other: list[Mention],
) -> Reading:
    for wrong, right in passage.corrections.items():
        passage.story.note(f"{wrong!r} was read as {right!r}.")
    unread = list(dict.fromkeys(passage.unknown))
    if status != "present":
        # A strange word far from the finding that is stated changes nothing; here it could.
        unread = list(dict.fromkeys([*passage.unknown, *passage.stray]))
    if status == "unread":
        unread = unread or [term.text for term in passage.terms if term.kind is not Kind.PAUSE]
    elif unread:
        passage.story.note(f"not understood: {', '.join(unread)}.")
    decided = {word for words in evidence.values() for word in words}
    idle = [
        term.text
        for term in passage.terms
        if term.kind not in (Kind.PAUSE, Kind.UNKNOWN, Kind.JOIN)
        and term.text not in decided
        and len(term.text) > 3
    ]
    kinds = {_other_name(one) for one in other}
    return Reading(
        passage.text,
        status,
        ordered(zones),
        passage.frame.sides,
        passage.frame.said,
        tuple(height for height in ZONES if height in open_heights),
        tuple(sorted(kinds)),
        diffuse=status in ("present", "uncertain")
        and any(term.kind is Kind.ALL for term in passage.terms),
        evidence={part: tuple(dict.fromkeys(words)) for part, words in evidence.items() if words},
        corrections=dict(passage.corrections),
        unread=tuple(unread),
        idle=tuple(dict.fromkeys(idle)),
        notes=tuple(passage.story.notes),
    )


def _other_name(mention: Mention) -> str:
    return mention.term.value or "opacity of another cause"


def _is_where(term: Term) -> bool:
    return bool(term.place) or term.kind in (Kind.ALL, Kind.LUNG)
