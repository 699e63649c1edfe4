"""A reading put together: zones, evidence and notes of the mentions that decided it."""

from causalseg.text.grammar_lung import ZONES
from causalseg.text.reading.context import sums_up
from causalseg.text.reading.passage import Passage
from causalseg.text.reading.places import region
from causalseg.text.reading.reading import Reading, Status, ordered
from causalseg.text.reading.share import side_from_before
from causalseg.text.reading.story import Mention
from causalseg.text.reading.terms import Kind, Term
from causalseg.text.words import SIDES


def result(
    passage: Passage, status: Status, chosen: list[Mention], other: list[Mention]
) -> Reading:
    """The reading by the mentions that decided it."""
    zones: set[tuple[str, str]] = set()
    open_heights: set[str] = set()
    words: list[str] = []
    if status in ("present", "uncertain"):
        for mention in chosen:
            found, spared = _region(passage, mention)
            zones |= found
            open_heights |= set(spared)
            words += [t.text for group in mention.places for t in group if is_where(t)]
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
    return assembled(passage, status, zones, open_heights, evidence, other)


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


def assembled(
    passage: Passage,
    status: Status,
    zones: set[tuple[str, str]],
    open_heights: set[str],
    evidence: dict[str, list[str]],
    other: list[Mention],
) -> Reading:
    """The reading with what is told beside it."""
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


def is_where(term: Term) -> bool:
    """Whether a term says where."""
    return bool(term.place) or term.kind in (Kind.ALL, Kind.LUNG)
