"""A second, much cruder reading of a text, and where the first does not come to the same.

It knows no grammar: a sentence is cut at marks and at words of contrast, each piece has one role by
the words in it (stated, denied, clear, left out, another finding's), and a place counts where it
stands. Where the two do not agree, the answer has a note that says so; where they do, both may
still be wrong in the same way. What that finds and what it costs: docs/results/reading.md.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from causalseg.text.grammar_lung import ZONES
from causalseg.text.reading.passage import Passage
from causalseg.text.reading.places import EXTENDS, REACHES, Zone
from causalseg.text.reading.reading import Reading
from causalseg.text.reading.rough import CONTENT, DENIES, OTHER, SEEN, Part, cut
from causalseg.text.reading.terms import CAUSE_WORDS, Kind, Term
from causalseg.text.words import SIDES

_ADJECTIVES = frozenset("upper lower mid middle superior inferior apical basal".split())
_GLUE = frozenset("the a of in at on and or to its lung side".split())
# What may stand behind a place that is one, or beside it in a piece of its own.
_PLACED = frozenset(
    "zone zones lobe lobes part parts lung lungs half halves portion portions region regions area "
    "areas third thirds aspect segment segments in of on at the is are was were with to side sides "
    "field fields a an by for lateral medial posterior anterior level again also now has have as "
    "it there this that these one ones from be seen which predominant predominance distribution "
    "peripheral only too well patchy hazy likely probably most more mainly about both between "
    "than less lesser extent degree sided demonstrates shows contains near new small little so "
    "those changes change markings round main noted note visible periph predom patient my".split()
)
_NUMBERED = frozenset("zone zones segment segments region regions area areas field fields".split())
_UNITS = frozenset("mm cm cms day days week weeks month months hours x of".split())
# What the first reading may take for a finding where the text names no other.
_VAGUE = frozenset(
    "white whitish whiter change changes stuff spot spots patch patches area areas foci focus "
    "shadows sick".split()
)
_VAGUE_KINDS = (Kind.STILL, Kind.KEPT, Kind.AFFECTED, Kind.MOSTLY)


def disagreements(passage: Passage, reading: Reading) -> Iterator[str]:
    """Notes on what the cruder reading takes otherwise.

    Args:
        passage: the text, with the phrases of each sentence.
        reading: what the first reading came to.

    """
    if reading.status not in ("present", "absent", "other"):
        return
    texts = [cut(terms) for terms in passage.phrases.values()]
    if reading.status == "absent":
        yield from _not_all_denied(texts)
        yield from _turned(texts)
        return
    everything = [part for parts in texts for part in parts]
    if reading.status == "other":
        roles = {part.role for part in everything}
        if "clear" in roles or ("seen" in roles and not roles & {"denied", "either"}):
            yield "please check: the text says more of the lungs than the other finding."
        return
    yield from _not_stated(everything)
    yield from _misplaced(texts, set(reading.zones))
    yield from _strange_places(texts)
    yield from _numbered_places(everything)
    yield from _turned(texts)
    for parts in texts:
        shadow = next((t for part in parts for t in part.terms if t.kind is Kind.ARTEFACT), None)
        if shadow and any(part.has(*SEEN) for part in parts):
            yield f"please check: {shadow.text!r} was read as nothing to do with the finding."


def _not_all_denied(texts: list[list[Part]]) -> Iterator[str]:
    """What seems to be left where the text was read as saying that there is nothing."""
    everything = [part for parts in texts for part in parts]
    open_ones = [p for p in everything if p.role == "either" and p.has(*SEEN)]
    if open_ones and not any(part.role in ("denied", "clear") for part in everything):
        word = next(term.text for term in open_ones[0].terms if term.kind in SEEN)
        yield f"please check: {word!r} was read as denied."
    for parts in texts:
        for number, part in enumerate(parts):
            finding = next((one for one in part.terms if one.kind is Kind.FINDING), None)
            covid = finding is not None and finding.key.startswith("covid") and not part.places
            if finding and not covid and part.role == "seen" and not part.has(Kind.KEPT):
                yield f"please check: {finding.text!r} was read as denied."
            denied = any(one.role == "denied" for one in parts[:number])
            goes_on = part.has(Kind.STILL, Kind.KEPT) and not part.has(*DENIES)
            contrast = part.opening == "but" and not part.has(*DENIES, *CONTENT)
            if part.places and denied and (goes_on or contrast or part.terms[-1].kind is Kind.NOT):
                yield f"please check: {part.placed[0].text!r} was read as a place with nothing."
        terms = [term for part in parts if part.role != "other" for term in part.terms]
        says = sum(part.has(*DENIES, Kind.CLEAR, Kind.NORMAL) for part in parts)
        if any(part.has(*SEEN) for part in parts) and _groups(terms) > says:
            yield "please check: more places are named than are said to be clear."


def _groups(terms: Sequence[Term]) -> int:
    """How many places stand apart from each other."""
    kinds = (Kind.LUNG, Kind.JOIN, Kind.SEGMENT, Kind.ALL, Kind.PAUSE)
    count, inside = 0, False
    for term in terms:
        if term.place and not term.place.weak:
            count += not inside
            inside = True
        elif term.kind not in kinds and term.key not in _GLUE:
            inside = False
    return count


def _not_stated(parts: list[Part]) -> Iterator[str]:
    """What is denied or another finding's, where the text was read as stating something."""
    roles = {part.role for part in parts}
    vague = any(part.has(*_VAGUE_KINDS) or part.keys & _VAGUE for part in parts)
    if not roles & {"seen", "mixed", "either"} and not vague:
        yield "please check: a finding was read as stated beside words that deny or clear."
    for part in parts:
        if part.role != "mixed" or "seen" in roles or part.has(Kind.CAUSE):
            continue
        seen = [n for n, term in enumerate(part.terms) if term.kind in SEEN]
        other = [n for n, term in enumerate(part.terms) if term.kind in OTHER]
        infected = any(CAUSE_WORDS & set(part.terms[n].key.split()) for n in seen)
        if seen and other and not infected and min(abs(a - b) for a in seen for b in other) > 1:
            words = f"{part.terms[seen[0]].text!r} and {part.terms[other[0]].text!r}"
            yield f"please check: {words} were read as two findings."


def _turned(texts: list[list[Part]]) -> Iterator[str]:
    """A bare "not", and a place alone behind a contrast: often taken wrongly."""
    for parts in texts:
        for part in parts:
            about = part.places or part.has(*SEEN, Kind.LUNG)
            if about and any(term.kind is Kind.NOT and term.key == "not" for term in part.terms):
                yield "please check what 'not' was taken to deny."
            whole = part.has(*SEEN, Kind.CLEAR, Kind.NORMAL)
            if part.opening == "but" and part.places and not whole:
                yield f"please check: {part.placed[0].text!r} stands behind a contrast."


def _strange_places(texts: list[list[Part]]) -> Iterator[str]:
    """A place before another noun ("a sharp lower margin"), or in a piece with words of its own."""
    before: list[Part] = []
    for part in [part for parts in texts for part in parts]:
        said = part.opening in ("start", "colon") or part.has(Kind.AFFECTED, Kind.STILL)
        for term, following in pairwise(part.terms):
            place = term.place
            adjective = place and (term.key in _ADJECTIVES or len(place.sides) == 1)
            strange = _strange(following) or (place and place.sides and following.key.isdecimal())
            if adjective and not (place and place.sides and place.heights) and strange:
                yield f"please check: {term.text!r} before {following.text!r} was read as a place."
        if (
            "it" in part.keys
            and "also" not in part.keys
            and part.placed
            and any(one.heights for one in before)
        ):
            yield f"please check: {part.placed[0].text!r} was read as a place too."
        before += [part] if part.role == "seen" else []
        words = [term.text for term in part.terms if _strange(term)]
        if (
            part.placed
            and part.alone
            and part.role == "seen"
            and not said
            and not part.loose
            and words
        ):
            yield f"please check: {part.placed[0].text!r} was read as a place, beside {words[0]!r}."


def _numbered_places(parts: list[Part]) -> Iterator[str]:
    """A zone or segment given by its number, beside no place that has a name."""
    for part in parts:
        keys = [*(term.key for term in part.terms), ""]
        for number, term in enumerate(part.terms[:-1]):
            named = keys[number].split()[-1] in _NUMBERED and not part.heights
            if named and keys[number + 1].isdigit() and keys[number + 2] not in _UNITS:
                words = f"{term.text} {part.terms[number + 1].text}"
                yield f"please check: {words!r} was not read as a place."


def _strange(term: Term) -> bool:
    """Whether a word decides nothing and is not one of those that stand beside places."""
    plain = term.kind is Kind.PLAIN and term.key.isalpha() and len(term.key) > 1
    return plain and term.key not in _PLACED | _VAGUE


def _misplaced(texts: list[list[Part]], zones: set[Zone]) -> Iterator[str]:
    """Sides and heights that are named and not in the answer, and zones that nothing names."""
    everything = [part for parts in texts for part in parts]
    stated = [part for part in everything if part.role in ("seen", "mixed", "either")]
    firm = [part for part in stated if part.role != "mixed" and not part.loose]
    denied = [p for p in everything if p.role in ("denied", "clear", "except") and p.places]
    sides = {s for p in firm if not p.has(Kind.WORSE, Kind.OTHER) for s in p.single or p.sides}
    if not zones:
        if sides and any(part.places for part in stated):
            yield "please check: a side is named, and the answer has no place."
        return
    heights = {height for part in firm if not part.segment for height in part.heights}
    whole = {side for part in denied if not part.heights for side in part.sides}
    lost = [*sorted(sides - whole - {s for s, _ in zones})]
    lost += [height for height in ZONES if height in heights - {h for _, h in zones}]
    if lost:
        yield f"please check: no zone of the answer is {' or '.join(lost)}, which the text names."
    named = {zone for part in stated if part.heights for zone in part.zones}
    out = {zone for part in denied for zone in _left_out(part)} - named
    if zones & out:
        yield f"please check: {_names(zones & out)} may be where there is nothing."
    extra = zones - {zone for parts in texts for zone in _allowed(parts, everything)}
    if extra:
        yield f"please check: {_names(extra)} may not be meant."


def _left_out(part: Part) -> set[Zone]:
    sides = part.sides or (set(SIDES) if part.role == "except" else set())
    return {(side, height) for side in sides for height in part.heights or ZONES}


def _allowed(parts: list[Part], everything: list[Part]) -> set[Zone]:
    """The zones that one sentence could mean."""
    found: set[Zone] = set()
    here = {side for part in parts for side in part.sides}
    alls = {side for part in everything for side in part.sides}
    alone = {height for part in parts if part.alone for height in part.heights}
    last: set[str] = set()
    mostly = {h for part in parts if part.has(Kind.MOSTLY) for h in part.heights}
    for part in parts:
        if part.role not in ("seen", "mixed", "either"):
            continue
        usual = {place.default for place in part.places if place.default}
        sides = part.sides | usual or here or alls or set(SIDES)
        if part.has(Kind.WORSE) or (part.has(Kind.ALL) and not part.sides):
            sides = set(SIDES)
        continues = last if not part.has(Kind.LUNG, *SEEN) else alone
        heights = part.heights or continues or alone or set(ZONES)
        bare = sum(bool(p.sides) and not p.heights for p in part.places)
        more_sides = bare > sum(bool(place.heights) for place in part.places)
        lung = part.has(Kind.ALL, Kind.LUNG) and (more_sides or not (part.heights or alone))
        reaches = bare and part.keys & (EXTENDS | REACHES)  # "right-sided, extending to the apex"
        if part.has(Kind.ALL) and not part.places and found:
            continue  # "..., in keeping with multifocal infection" adds no place
        if mostly and not part.heights:
            continue
        if lung or reaches or part.loose or part.has(Kind.WORSE):
            heights = set(ZONES)
        last = part.heights or last
        found |= {(side, height) for side in sides for height in heights}
    return found


def _names(zones: set[Zone]) -> str:
    ordered = [(side, height) for side in SIDES for height in ZONES if (side, height) in zones]
    return " and ".join(f"the {side} {height} zone" for side, height in ordered)
