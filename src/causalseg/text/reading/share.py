"""Places and sides that findings named together have in common."""

from dataclasses import replace

from causalseg.text.reading.clauses import Clause
from causalseg.text.reading.places import region
from causalseg.text.reading.story import Mention, Story
from causalseg.text.reading.terms import Kind, Term

_OF_THE_LUNG = ("cavity", "atelectasis", "scarring", "bronchial thickening")


def share(parts: list[Clause], mine: list[Mention], story: Story) -> None:
    """Findings joined by "and" or "with" share a place that is said once."""
    mine.sort(key=lambda mention: mention.clause)
    for number, mention in enumerate(mine):
        if not mention.infection or mention.places:
            continue
        before = _leading(parts, mine[:number])
        after = mine[number + 1] if number + 1 < len(mine) else None
        opening = parts[mention.clause].opening
        if before and before.infection and before.places and opening in ("join", "with"):
            mention.places = list(before.places)  # it adds no zone, so that nothing need be told
            continue
        if before and before.places and opening in ("join", "with"):
            if before.kind is Kind.OTHER:
                mention.places = list(before.places)
        elif after and after.places and (after.kind is Kind.OTHER or _denies(parts[after.clause])):
            clause = parts[after.clause]
            without = clause.opening == "with" and _denies(clause)
            joined = (
                clause.opening == "join"
                or without
                or (clause.opening == "with" and after.term.value in _OF_THE_LUNG)
            )
            if joined and _trails(clause, after):
                mention.places = list(after.places)
                if clause.opening == "join":
                    continue  # "collapse and consolidation at the base" is of both
        if mention.places and mention.status != "absent":
            story.note("findings named together were given one place.")


def _leading(parts: list[Clause], before: list[Mention]) -> Mention | None:
    """The mention before, or the one before it whose place that one shares."""
    number = len(before) - 1
    while number > 0 and before[number].kind is Kind.OTHER and not before[number].places:
        if parts[before[number].clause].opening not in ("join", "with"):
            break
        number -= 1
    return before[number] if before else None


def _denies(clause: Clause) -> bool:
    return any(term.key in ("without", "no") for term in clause.terms[:2])


def _trails(clause: Clause, mention: Mention) -> bool:
    """Whether the place stands behind the finding ("... and effusion at the left base")."""
    found = [number for number, term in enumerate(clause.terms) if term is mention.term]
    places = [number for number, term in enumerate(clause.terms) if term.place]
    return bool(found) and all(number > found[0] for number in places)


def side_from_before(mention: Mention, mentions: list[Mention]) -> list[list[Term]]:
    """Places of the mention, with the side that a finding before it gives, where it has none."""
    found = region(mention.places)
    if found.zones or not (found.heights or mention.adjacent):
        return mention.places
    for before in reversed(mentions[: mentions.index(mention)]):
        near = before.sentence == mention.sentence or (
            mention.adjacent and before.sentence == mention.sentence - 1
        )
        if near and (before.kind is not Kind.CLEAR or mention.excepted):
            sides = [
                replace(term, place=replace(term.place, heights=(), both=False, default=None))
                for group in before.places
                for term in group
                if term.place and term.place.sides
            ]
            if sides and mention.adjacent and not found.heights:
                return before.places  # "Left basal effusion. Underlying pneumonia is possible."
            if sides:
                return [[*sides[-1:], *(term for group in mention.places for term in group)]]
    return mention.places
