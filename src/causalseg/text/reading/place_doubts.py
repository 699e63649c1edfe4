"""Places that the rules gave to a finding, or left out, on little ground: a note says so.

What matters most is that no word that says where is lost or moved in silence. So each place is
accounted for: it is the finding's, or another's, or it is named in a note.
"""

from collections.abc import Iterator

from causalseg.text.reading.clause_places import of_something_else
from causalseg.text.reading.clear import NOT_AIR
from causalseg.text.reading.passage import Passage
from causalseg.text.reading.places import region
from causalseg.text.reading.reading import Status
from causalseg.text.reading.story import Mention
from causalseg.text.reading.terms import Kind, Term

OTHER_SUBJECTS = (Kind.NOT_LUNG, Kind.ELSEWHERE, Kind.OTHER)
# What may stand between a denial and what it denies.
_MODIFIERS = frozenset(
    "a an the any this that these in at on of to for from with within by is are was were has have "
    "had been be being now there it which since evidence sign signs feature features finding "
    "findings indication suggestion suggest indicate appearance appearances radiographic "
    "radiological radiographically radiologically imaging film today focal active acute confluent "
    "significant definite convincing obvious clear gross overt frank discrete new newly recent "
    "further other additional noted described identified visualised visualized visible seen shown "
    "demonstrated reported mentioned known lobar segmental patchy dense large small subtle tiny "
    "recurrence superimposed thoracic intrathoracic parenchymal typical bacterial viral fungal "
    "last week month day days weeks ago yesterday either both likely specific particular true "
    "established clearly".split()
)
# Words that say where, and name no zone.
_ROUGHLY_WHERE = frozenset(
    "low high down up below above beneath level halfway half third quarter rib interspace".split()
) | {"one lung", "one side"}
_OF_THE_PICTURE = frozenset(
    "picture image screen photo monitor viewer observer onlooker facing mirror mirrored flipped "
    "inverted looking display corner".split()
)


def place_doubts(passage: Passage, status: Status, chosen: list[Mention]) -> Iterator[str]:
    """Notes on places that were decided without firm ground.

    Args:
        passage: the text.
        status: what it was read as.
        chosen: the mentions that decided it.

    """
    mentions = [one for one in passage.story.mentions if not one.background]
    for mention in mentions:
        if mention.status == "absent":
            yield from _denied_elsewhere(passage, mention)
    if status == "present":
        for mention in [one for one in chosen if one.places] or chosen:
            yield from _of_another_clause(passage, mention)
            yield from _added_height(passage, mention)
        if not any(one.places for one in chosen):
            yield from _place_elsewhere(mentions, chosen)
        yield from _not_only(passage, chosen)
    if status in ("present", "uncertain"):
        yield from _beside(passage, [one for one in chosen if not _placed(one)])
    if status in ("present", "absent"):
        yield from _compared(passage)
    if status in ("present", "uncertain"):
        yield from _shown(passage)
    if status != "other":
        yield from _places_left(passage)


def clause_of(passage: Passage, mention: Mention) -> list[Term]:
    """The terms of the clause that a mention stands in."""
    parts = passage.clauses.get(mention.sentence, [])
    return parts[mention.clause].terms if mention.clause < len(parts) else []


def is_idle(term: Term) -> bool:
    """Whether a term is a word of its own that decides nothing, and no mere modifier."""
    return term.kind is Kind.PLAIN and term.key.isalpha() and term.key not in _MODIFIERS


def _denied_elsewhere(passage: Passage, mention: Mention) -> Iterator[str]:
    """A place outside the clause of its denial, beside its own words: "..., sick on the right"."""
    parts = passage.clauses.get(mention.sentence, [])
    for group in mention.places:
        places = [term for term in group if term.place]
        clause = next((part for part in parts if places and places[0] in part.terms), None)
        if clause is None or clause is parts[min(mention.clause, len(parts) - 1)]:
            continue
        words = [term.text for term in clause.terms if is_idle(term)]
        if words:
            named = " ".join(term.text for term in places)
            yield f"{named!r} was read as denied too, beside {words[0]!r}."


def _placed(mention: Mention) -> bool:
    """Whether a height is said."""
    return any(term.place and term.place.heights for group in mention.places for term in group)


def _beside(passage: Passage, chosen: list[Mention]) -> Iterator[str]:
    """A side or a neighbour ("next to the heart") of a finding that was given no place."""
    for mention in chosen:
        words = [
            term.text
            for term in clause_of(passage, mention)
            if (term.place and not mention.places)
            or (term.kind is Kind.NOT_LUNG and term.at > mention.term.at)
            or term.key in _ROUGHLY_WHERE
        ]
        if words:
            yield f"{' '.join(words)!r} was not read as a place of {mention.term.text!r}."


def _shown(passage: Passage) -> Iterator[str]:
    """A word of the picture or of whoever looks at it, where the sides are taken by default."""
    if passage.frame.said:
        return
    for terms in passage.sentences.values():
        words = [term.text for term in terms if term.key in _OF_THE_PICTURE]
        if words and _sides(terms):
            yield (
                f"left and right were taken as the {passage.frame.sides}'s, though the text says "
                f"{words[0]!r}."
            )


def _of_another_clause(passage: Passage, mention: Mention) -> Iterator[str]:
    """A place from a clause before, beside one of its own on another side."""
    own = {term.at for term in clause_of(passage, mention)}
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


def _not_only(passage: Passage, chosen: list[Mention]) -> Iterator[str]:
    """A word that limits a finding to its place, beside another with more: "residual ... left"."""
    for mention in chosen:
        limits = [t for t in clause_of(passage, mention) if t.key in ("only", "solely", "residual")]
        zones = region(mention.places).zones
        before = (one for one in chosen if one.term.at < mention.term.at)
        if limits and zones and any(region(one.places).zones - zones for one in before):
            yield f"{limits[0].text!r} was not taken to limit what was named before."


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
        words = [term.text for term in clause.terms if is_idle(term)]
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


def _places_left(passage: Passage) -> Iterator[str]:
    """Places that went to no finding and are no other organ's."""
    story = passage.story
    groups = [group for one in story.mentions for group in (*one.places, *one.spared)]
    used = {term.at for group in (*groups, *story.alone) for term in group}
    left = []
    for parts in passage.clauses.values():
        for part in parts:
            if part.has(*OTHER_SUBJECTS, Kind.UNLIKE, Kind.WORSE, Kind.NO_PLACE):
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
