"""Which finding a place belongs to, clause by clause and from sentence to sentence."""

from causalseg.text.reading.clause_places import has_place, place_terms
from causalseg.text.reading.clauses import Clause, spares_next
from causalseg.text.reading.clear import clear_mention, said_clear
from causalseg.text.reading.share import share
from causalseg.text.reading.story import Mention, Story
from causalseg.text.reading.terms import BOTH, Kind, Term

_BETTER = frozenset("better clearer".split())
_NEW = frozenset("new fresh another second appeared developed".split())
_ONE = frozenset("one area patch focus".split())


def attach(parts: list[Clause], mine: list[Mention], story: Story, sentence: int) -> None:
    """Give the mentions of a sentence their places; places alone go to what was spoken of."""
    pending: list[list[Term]] = []
    previous: Mention | None = None
    for number, clause in enumerate(parts):
        here = [mention for mention in mine if mention.clause == number]
        here += said_clear(parts, number, sentence, story)
        limited = clause.has(Kind.LIMITED) and not here
        places = place_terms(clause, story)
        named = has_place(places)
        if limited and not named and "underlying" in clause.keys and previous:
            places = [term for group in previous.places for term in group]
            named = has_place(places)
        if limited:
            named = named and any(term.place for term in places)
            here = [
                Mention(Kind.LIMITED, clause.of(Kind.LIMITED)[0], "uncertain", sentence, number)
            ]
        mine += [mention for mention in here if mention not in mine]
        if clause.opening == "unlike":
            if named:
                story.note("a place named only for comparison was left out.")
            continue
        if clause.has(Kind.THERE) and not named and story.places:
            places, named = story.places[-1], has_place(story.places[-1])
        if clause.has(Kind.REST) and clause.has(Kind.FINDING) and not named and story.excepted:
            places = [term for term in story.excepted[-1] if term.place and term.place.sides]
            named = bool(places)  # "on the right the apex is spared but the rest is consolidated"
        if here:
            excepted, story.excepted = story.excepted, []
            if excepted and here[-1].kind is Kind.CLEAR:
                story.note("an unnamed exception to clear lungs was read as an opacity.")
                term = excepted[0][0]
                mine.append(Mention(Kind.ABNORMAL, term, "present", sentence, number, [*excepted]))
                excepted = []
            _to_mentions(here, places if named else [], pending, clause, excepted)
            pending = []
            previous = here[-1]
        elif named and clause.has(Kind.CLEAR, Kind.NORMAL):
            continue  # "the costophrenic angles are clear": nothing is said of the lungs there
        elif named and clause.terms[0].key == "clearing" and _has_own_place(parts, number):
            story.note("a place that is clearing was read as clear.")
            mine.append(clear_mention(clause.terms[0], [places], sentence, number))
        elif named and _only_changes(clause, previous):
            word = next(t.text for t in clause.terms if t.kind is Kind.STILL or t.key in _BETTER)
            if previous and previous.infection:
                story.note(f"{word!r} was read as saying where it has changed, not where it is.")
        elif named and _goes_on_sparing(parts, number, places):
            spared = previous.spared if previous else story.excepted
            last = spared.pop() if spared else []
            spared.append([*last, Term(Kind.JOIN, "and", key="and"), *places])
        elif named:
            previous = _spoken_of(previous, mine, clause)
            colon = number + 1 < len(parts) and parts[number + 1].opening == "colon"
            previous = _place_alone(
                clause, places, None if colon else previous, pending, story, (sentence, number)
            )
            if previous and previous not in mine and previous.sentence == sentence:
                mine.append(previous)
        elif clause.has(Kind.NOT) and pending and not parts[number].has(Kind.FINDING):
            mine.append(clear_mention(clause.of(Kind.NOT)[0], pending, sentence, number))
            pending = []
        if named:
            story.places.append(places)
    _under_a_heading(parts, mine, story)
    share(parts, mine, story)
    story.alone += pending


def _under_a_heading(parts: list[Clause], mine: list[Mention], story: Story) -> None:
    """Give heights the side of the heading: "Left lung: upper zone clear, opacity in the lower"."""
    if len(parts) < 2 or parts[1].opening != "colon" or parts[0].has(Kind.FINDING):
        return
    heading = place_terms(parts[0], story)
    said = [term.place for term in heading if term.place]
    if not any(place.sides for place in said) or any(place.heights for place in said):
        return
    for mention in mine:
        own = [term.place for group in mention.places for term in group if term.place]
        if own and not any(place.sides for place in own):
            mention.places = [[*heading, *group] for group in mention.places]


def _spoken_of(previous: Mention | None, mine: list[Mention], clause: Clause) -> Mention | None:
    """Pass over what is only denied in between: "an opacity, not a mass, in the left lung"."""
    if previous is None or previous.status != "absent" or clause.opening != "comma":
        return previous
    open_ones = [one for one in mine if one.infection and one.status == "present"]
    return open_ones[-1] if open_ones and not open_ones[-1].places else previous


def _only_changes(clause: Clause, previous: Mention | None) -> bool:
    """Whether a place is where something changed: "in both lungs, improved at the right apex"."""
    both = previous and any(
        term.place and term.place.sides == BOTH for group in previous.places for term in group
    )
    changes = clause.has(Kind.STILL) or bool(_BETTER & set(clause.keys))
    gone = previous is not None and previous.status == "absent"
    return bool(both) and not gone and clause.opening in ("comma", "but") and changes


def _has_own_place(parts: list[Clause], number: int) -> bool:
    """Whether a finding with its own place follows: "clearing left, opacity right"."""
    return any(
        part.has(Kind.FINDING) and any(term.place for term in part.terms)
        for part in parts[number + 1 :]
    )


def _goes_on_sparing(parts: list[Clause], number: int, places: list[Term]) -> bool:
    """Whether a place only adds a height: "sparing the right lung, lower zone"."""
    if number == 0 or parts[number].opening != "comma":
        return False
    sided = any(term.place and term.place.sides for term in places)
    if parts[number].has(Kind.MOSTLY) or "predominant" in parts[number].keys:
        return False  # "sparing the periphery, upper zones predominant"
    before = parts[number - 1]
    if before.terms[0].key == "not of":
        return False  # "in the left, not the right, lower lobe"
    finds = before.has(Kind.FINDING, Kind.ABNORMAL, Kind.OTHER)
    return before.opening in ("spare", "except") and not sided and not finds


def _to_mentions(
    here: list[Mention],
    places: list[Term],
    pending: list[list[Term]],
    clause: Clause,
    excepted: list[list[Term]],
) -> None:
    for mention in here:
        mention.places += [*pending, *([places] if places else [])]
        mention.spared += excepted
        if clause.opening == "except" and mention.kind in (Kind.CLEAR,):
            mention.rest = True
        spared = clause.of(Kind.SPARED)
        if spared and not spares_next(spared[0]) and places:
            mention.spared.append(places)
            mention.places.remove(places)


def _place_alone(
    clause: Clause,
    places: list[Term],
    previous: Mention | None,
    pending: list[list[Term]],
    story: Story,
    position: tuple[int, int],
) -> Mention | None:
    """A clause with a place and no finding: whose place is it?"""
    spared = clause.has(Kind.SPARED) or clause.opening == "spare"
    target = previous or (story.last() if spared else None)
    denied = bool(target and target.infection and target.status == "absent")
    does = clause.terms[-1].key in ("does", "do", "is", "are") or (
        not clause.has(Kind.NOT) and (clause.has(Kind.AFFECTED) or "one" in clause.keys)
    )
    gone_not = clause.terms[-1].kind is Kind.NOT and denied and target and _went(target)
    stays = clause.opening == "but" and clause.has(Kind.STILL) and not clause.has(Kind.NOT)
    new = bool(_NEW & set(clause.keys)) and bool(_ONE & set(clause.keys))
    says = clause.terms[-1].key == "yes" or (clause.opening == "but" and does) or stays or new
    if target and denied and (clause.opening == "except" or says):
        # "No opacity other than at the left base"; "... but the left lower lobe does"; "left yes"
        return Mention(Kind.FINDING, target.term, "present", *position, [places])
    if target and gone_not:  # "It has gone on the right, the one on the left has not"
        return Mention(Kind.FINDING, target.term, "present", *position, [places])
    if clause.opening == "except" and target and target.kind is Kind.CLEAR:
        # "Clear except the left base": something is there, and it is not named.
        story.note("an unnamed exception to clear lungs was read as an opacity.")
        return Mention(Kind.ABNORMAL, clause.terms[0], "present", *position, [places])
    if spared or clause.opening == "except":
        (target.spared if target else story.excepted).append(places)
        return previous
    gone = clause.of(Kind.GONE_OF, Kind.GONE)
    if gone and all(term.place.weak for term in places if term.place):
        return previous  # a border that is not seen
    if gone:
        return clear_mention(gone[0], [places], *position)
    if clause.has(Kind.NOT) and not clause.has(Kind.RATHER):
        last = story.last()
        term = clause.of(Kind.NOT)[0]
        before = previous or (story.mentions[-1] if story.mentions else None)
        if before and before.kind is Kind.CLEAR and clause.terms[-1] is term:
            story.note("a place said not to be clear was read as an opacity there.")
            return Mention(Kind.ABNORMAL, term, "present", *position, [places])
        if not previous and last and last.status != "absent":
            last.spared.append(places)  # "The lower lobe is affected; the upper lobe is not."
            story.used.add(term.at)
            return None
        return clear_mention(term, [places], *position)
    if previous and previous.kind is Kind.CLEAR and previous.term.key == "not":
        # "Not the left lung, the right one"
        story.note("only a place is named: an infection there is looked for.")
        return Mention(Kind.ABNORMAL, places[0], "present", *position, [places])
    if previous is not None:
        previous.places.append(places)
        return previous
    pending.append(places)
    return None


def _went(mention: Mention) -> bool:
    return any(term.kind is Kind.GONE for term in mention.why)
