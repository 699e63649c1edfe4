"""Reading a sentence, or a passage of a report: `read(text)`.

>>> read("Left base consolidation, right lung clear.").zones
(('left', 'lower'),)
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from causalseg.text.captions import parse
from causalseg.text.grammar_lung import ZONES, LungFinding
from causalseg.text.reading import frames, lexicon
from causalseg.text.reading.attach import Story, attach, has_place, side_from_before
from causalseg.text.reading.clauses import clauses
from causalseg.text.reading.languages import other_language
from causalseg.text.reading.mentions import Mention, assertions, is_aim
from causalseg.text.reading.normalise import Plain, Word, plain
from causalseg.text.reading.places import region
from causalseg.text.reading.reading import Reading, Sides, Status, ordered
from causalseg.text.reading.spelling import mended
from causalseg.text.reading.tagger import compared_sides, spelled, tagged
from causalseg.text.reading.terms import Kind, Term
from causalseg.text.words import SIDES, CaptionError

MAX_WORDS = 400
"""Words of a text that are read; a longer one is told so."""
_HEADINGS = frozenset(
    "indication history reason clinical technique comparison hx request referral procedure".split()
)
_VAGUE = frozenset("changes change shadows patch patches foci focus area areas process".split())
_DISEASES = frozenset(
    "pneumonia covid infection infections tb tuberculosis ards aspiration lrti pna coronavirus "
    "bronchopneumonia pneumonitis".split()
)
_DECISIVE = frozenset(
    {Kind.FINDING, Kind.OTHER, Kind.PLACE, Kind.LUNG, Kind.CLEAR, Kind.NORMAL, Kind.ABNORMAL}
    | {Kind.NOT_LUNG, Kind.STUDY, Kind.CAUSE, Kind.GONE}
)


@lru_cache(maxsize=4096)
def read(text: str, sides: Sides | None = None) -> Reading:
    """Read what a text says about infection of the lungs.

    Args:
        text: a sentence or several, in the English of chest reports.
        sides: whose left is meant where the text does not say so itself. By default the
            patient's, as in reports; in the wording of QaTa-COV19's captions the viewer's.

    Returns:
        The reading. It never raises for a text: what is not understood has status "unread".

    """
    template = _caption(text, sides)
    if template is not None:
        return template
    words = plain(text)
    if words.foreign_script:
        note = "the text is in another script than the Latin one: write it in English."
        return Reading(text, "unread", notes=(*words.notes, note), unread=tuple(text.split()))
    language = _language(words)
    if language:
        note = f"the text looks {language}: only English is read."
        return Reading(text, "unread", notes=(*words.notes, note), unread=tuple(text.split()))
    return _Reader(text, words, sides).reading()


def _caption(text: str, sides: Sides | None) -> Reading | None:
    """A caption in the fixed wording, which has a grammar of its own."""
    try:
        finding = parse(text)
    except CaptionError:
        return None
    if not isinstance(finding, LungFinding):
        return None
    whose = sides or "viewer"
    if finding.absent:
        return Reading(text, "absent", sides=whose, evidence={"status": ("no",)})
    zones = {
        (side, height)
        for side, lung in (("left", finding.left), ("right", finding.right))
        if lung is not None
        for height in lung.zones or ZONES
    }
    words = {"status": ("infection",), "zones": tuple(text.lower().rstrip(".").split(", ")[2:])}
    return Reading(text, "present", ordered(zones), whose, sides_said=sides is None, evidence=words)


def _language(words: Plain) -> str | None:
    keys = [word.key for sentence in words.sentences for word in sentence if word.key.isalpha()]
    known = {key for key in keys if len(key) > 1 and (lexicon.known(key) or mended(key))}
    return other_language(keys, known)


class _Reader:
    """One text on its way to a reading."""

    def __init__(self, text: str, words: Plain, sides: Sides | None) -> None:
        self.text, self.words = text, words
        self.story = Story()
        self.corrections: dict[str, str] = {}
        self.terms: list[Term] = []
        self.unknown: list[str] = []
        self.same: Term | None = None
        self.placed: int | None = None
        self.sides, self.sides_said, self.sides_why = self._frame(sides)
        for note in words.notes:
            self.story.note(note)

    def _frame(self, sides: Sides | None) -> tuple[Sides, bool, str]:
        plain_text = " . ".join(
            " ".join(word.key for word in sentence if word.key != ",")
            for sentence in self.words.sentences
        )
        patient, viewer = frames.patient_words(plain_text), frames.viewer_words(plain_text)
        template = frames.template_words(plain_text)
        other = any(frames.contradicted(part) for part in plain_text.split(" . "))
        self.mixed = bool(viewer) and (bool(patient) or other)
        if self.mixed and not patient:
            return "patient", True, viewer
        if patient:
            return "patient", True, patient
        if viewer:
            return "viewer", True, viewer
        if sides is None and template:
            return "viewer", True, template
        return sides or "patient", False, ""

    def reading(self) -> Reading:
        """Read sentence by sentence, then sum up."""
        count = 0
        for number, sentence in enumerate(self.words.sentences):
            count += len(sentence)
            if count > MAX_WORDS:
                self.story.note(f"the text is long: only its first {MAX_WORDS} words were read.")
                break
            self._sentence(number, sentence)
        return self._sum()

    def _sentence(self, number: int, sentence: Sequence[Word]) -> None:
        words, corrected = spelled(sentence)
        terms = compared_sides(tagged(words))
        unknown = [term.text for term in terms if term.kind is Kind.UNKNOWN]
        decisive = sum(term.kind in _DECISIVE for term in terms)
        self.unknown += unknown
        self.terms += terms
        if _is_nonsense(len(unknown), decisive):
            self.story.note(f"these words make no sense together: {' '.join(unknown)}.")
            return
        self.corrections |= corrected
        if terms and words[0].key in _HEADINGS and _is_heading(words):
            self.story.note("a heading or the reason for the study was passed over.")
            return
        if _elsewhere(terms):
            self.story.note("a sentence about another part of the body was passed over.")
            return
        terms = self._named_vague(terms)
        parts = clauses(terms)
        if self.mixed:
            for part in parts:
                if frames.viewer_words(" ".join(part.keys)):
                    part.terms = [term for term in part.terms if not _is_side(term)]
                    self.story.note("both the patient's and the viewer's side are said: the "
                                    "patient's is taken.")  # fmt: skip
        question = _asks(words)
        mine = assertions(parts, number, doubted=question)
        if question and mine:
            self.story.note("the text asks: what it asks for was read as uncertain.")
        self._background(terms, mine)
        before = len(self.story.mentions)
        attach(parts, mine, self.story, number)
        self._look_ahead(mine, number)
        self._look_back(terms, mine, number)
        self.story.mentions[before:] = mine
        self.same = self.same or next((t for t in terms if t.kind is Kind.SAME), None)
        if not self.same:
            self.same = next(
                (t for t in terms if t.key.startswith(("unchanged", "no change", "stable"))), None
            )

    def _named_vague(self, terms: list[Term]) -> list[Term]:
        """Take "the bilateral changes" for a finding where the sentence names no other."""
        seen = (Kind.FINDING, Kind.OTHER, Kind.ABNORMAL, Kind.CAUSE)
        if any(term.kind in seen or term.kind is Kind.NOT_LUNG for term in terms):
            return terms
        if not has_place(terms) and not any(term.kind is Kind.GONE for term in terms):
            return terms
        return [
            replace(term, kind=Kind.FINDING)
            if term.key in _VAGUE and term.kind is Kind.PLAIN
            else term
            for term in terms
        ]

    def _background(self, terms: list[Term], mine: list[Mention]) -> None:
        """A disease without a place beside "history of" or "follow up" is no finding."""
        keys = {term.key for term in terms}
        if not keys & {"follow up", "followup", "history", "known", "treated", "background", "re"}:
            return
        if has_place(terms) or keys & {"unchanged", "stable"}:
            return
        for mention in mine:
            if mention.infection and mention.term.key in _DISEASES:
                mention.background = True

    def _look_ahead(self, mine: list[Mention], number: int) -> None:
        """Read "Location: left base. Finding: opacity": the place came a sentence before."""
        before, self.placed = self.placed, None
        if self.story.alone and not mine:
            self.placed = number
        infections = [mention for mention in mine if mention.infection]
        limited = [
            one
            for one in self.story.mentions
            if one.kind is Kind.LIMITED and one.sentence == number - 1 and one.places
        ]
        doubtful = [one for one in infections if one.status == "uncertain" and not one.places]
        if limited and doubtful:
            doubtful[0].places = list(limited[-1].places)
            self.story.note("the place is that of the sentence before.")
            return
        if before != number - 1 or not infections or self.story.last():
            return
        if not any(mention.places for mention in mine):
            infections[0].places, self.story.alone = self.story.alone, []
            self.story.note("the place is that of the sentence before.")

    def _look_back(self, terms: list[Term], mine: list[Mention], number: int) -> None:
        """Sentences that speak of a finding named before: "It has resolved", "It occupies ..."."""
        last = self.story.last()
        if last is None or any(one.infection and one.status != "absent" for one in mine):
            return
        kinds = {term.kind for term in terms}
        alone, self.story.alone = self.story.alone, []
        seen = any(one.kind is Kind.FINDING for one in mine)
        aim = any(term.kind is Kind.GONE and is_aim(terms[:n]) for n, term in enumerate(terms))
        if aim:
            return
        if Kind.GONE in kinds and not seen and Kind.OTHER not in kinds:
            gone = next(term for term in terms if term.kind is Kind.GONE)
            if alone:
                mine.append(Mention(Kind.CLEAR, gone, "absent", number, 0, alone, why=[gone]))
                return
            for mention in self.story.mentions:
                if mention.infection and mention.status == "present":
                    mention.status = "absent"
                    mention.why.append(gone)
        elif Kind.DOUBTED in kinds and not mine:
            doubted = next(term for term in terms if term.kind is Kind.DOUBTED)
            if last.status == "present":
                last.status = "uncertain"
                last.why.append(doubted)
        elif alone and not mine and Kind.OTHER not in kinds and Kind.NOT_LUNG not in kinds:
            self._extend(last, alone)
        else:
            self.story.alone = alone

    def _extend(self, last: Mention, alone: list[list[Term]]) -> None:
        found, had = region(alone), region(last.places)
        if (
            not found.zones
            and had.zones
            and not any(
                term.place and term.place.heights for group in last.places for term in group
            )
        ):
            last.places += alone  # "on the left. The lower lobe is affected"
        elif found.zones or found.heights:
            last.places = [*last.places, [Term(Kind.JOIN, "and", key="and")], *alone]

    def _sum(self) -> Reading:
        mentions = self.story.mentions
        self._artefacts()
        self._later_clear()
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
            if doubtful and any(one.places for one in doubtful):
                self.story.note("a doubtful finding elsewhere in the text was left out.")
        elif doubtful:
            status, chosen = "uncertain", doubtful
        elif absent and any(one.places for one in limited):
            status, chosen = "uncertain", limited
            self.story.note("no finding is stated, but a place could not be judged.")
        elif absent:
            status, chosen = "absent", absent
        elif other:
            status, chosen = "other", other
        else:
            return self._rest(limited)
        if status == "uncertain":
            self.story.note("the text is not sure that there is a finding.")
        return self._result(status, chosen, other)

    def _artefacts(self) -> None:
        """An opacity that could be an artefact is uncertain."""
        hedges = {Kind.DOUBT, Kind.MAYBE, Kind.DOUBTED}
        by_words = {"likely", "probably", "or", "real"}
        position = 0
        for number, sentence in enumerate(self.words.sentences):
            terms = []
            used = 0
            while position < len(self.terms) and used < len(sentence):
                terms.append(self.terms[position])
                used += len(self.terms[position].text.split())
                position += 1
            artefact = next((term for term in terms if term.kind is Kind.ARTEFACT), None)
            if artefact is None or not any(t.kind in hedges or t.key in by_words for t in terms):
                continue
            for mention in self.story.mentions:
                if mention.sentence == number and mention.infection and mention.status == "present":
                    mention.status = "uncertain"
                    mention.why.append(artefact)

    def _later_clear(self) -> None:
        """Read "There was ... . The lungs are now clear": what was, is gone."""
        for number, clear in enumerate(self.story.mentions):
            if clear.kind is not Kind.CLEAR or clear.rest or region(clear.places).zones not in (
                frozenset(), frozenset((s, z) for s in SIDES for z in ZONES)
            ):  # fmt: skip
                continue
            for mention in self.story.mentions[:number]:
                if mention.infection and mention.past and mention.sentence < clear.sentence:
                    mention.status = "absent"

    def _result(self, status: Status, chosen: list[Mention], other: list[Mention]) -> Reading:
        zones: set[tuple[str, str]] = set()
        open_heights: set[str] = set()
        words: list[str] = []
        if status in ("present", "uncertain"):
            for mention in chosen:
                found, spared = self._region(mention)
                zones |= found
                open_heights |= set(spared)
                words += [t.text for group in mention.places for t in group if _is_where(t)]
            zones -= self._clear_zones(zones)
        if zones:
            open_heights = set()
        if open_heights:
            self.story.note(
                f"no side is said for the {' and '.join(z for z in ZONES if z in open_heights)} "
                "zone: in both lungs it is."
            )
        evidence = {
            "status": [
                text for one in chosen for text in (one.term.text, *(why.text for why in one.why))
            ],
            "zones": words,
            "sides": [self.sides_why] if self.sides_why else [],
            "other": [one.term.text for one in other],
        }
        return self._make(status, zones, open_heights, evidence, other)

    def _region(self, mention: Mention) -> tuple[set[tuple[str, str]], tuple[str, ...]]:
        groups = side_from_before(mention, self.story.mentions)
        if groups is not mention.places:
            self.story.note("the side is that of the finding named before.")
        found = region(groups)
        for note in found.notes:
            self.story.note(note)
        zones = set(found.zones)
        heights = found.heights
        for group in mention.spared:
            spared = region([group])
            if not zones and not heights:
                zones = {(side, zone) for side in SIDES for zone in ZONES}
            zones -= set(spared.zones)
            zones = {zone for zone in zones if zone[1] not in spared.heights}
        return zones, heights

    def _clear_zones(self, zones: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Zones that the text says are clear, unless that would leave nothing."""
        gone: set[tuple[str, str]] = set()
        for mention in self.story.mentions:
            if mention.kind is Kind.CLEAR and not mention.rest:
                clear = region(mention.places)
                if len(clear.zones) < 2 * len(ZONES):
                    gone |= clear.zones
        if gone >= zones:
            if gone and zones:
                self.story.note("the text says of one place both that it is clear and that not.")
            return set()
        return gone

    def _rest(self, limited: list[Mention]) -> Reading:
        """What is left when no finding is named."""
        groups = [*self.story.alone, *(g for one in limited for g in one.places)]
        if limited:
            self.story.note("the text says that it could not be judged.")
            return self._result("uncertain", limited, [])
        if self._is_place(groups):
            found = region(groups)
            if found.zones or found.heights:
                self.story.note("only a place is named: an infection there is looked for.")
                mention = Mention(Kind.ABNORMAL, self.story.alone[0][0], "present", 0, 0, groups)
                self.story.mentions.append(mention)
                return self._result("present", [mention], [])
        denied = [one for one in self.story.mentions if one.kind is Kind.OTHER]
        if any(one.status == "absent" for one in denied):
            self.story.note(
                "only findings of another kind are denied; of infection nothing is said."
            )
            return self._result("absent", denied, [])
        if any(one.status == "uncertain" for one in denied):
            return self._result("other", denied, denied)
        known = [one for one in self.story.mentions if one.infection and one.background]
        if self.same is not None and known:
            return self._result("present", known, [])
        if self.same is not None and not self.unknown:
            self.story.note("the text compares, and names no finding.")
            return self._make("uncertain", set(), set(), {"status": [self.same.text]}, [])
        self.story.note("no finding of the lungs was understood.")
        return self._make("unread", set(), set(), {}, [])

    def _is_place(self, groups: list[list[Term]]) -> bool:
        """Whether a text without a finding is a place to look at, and not words in a heap."""
        if self.unknown or not groups or self.story.mentions:
            return False
        kinds = {term.kind for term in self.terms}
        if kinds & {Kind.NOT_LUNG, Kind.ELSEWHERE, Kind.NOT, Kind.ARTEFACT}:
            return False
        if any(term.place and term.place.weak for term in self.terms):
            return False
        keys = [term.key for term in self.terms if term.place]
        if any(keys.count(key) > 2 for key in keys):
            return False
        named = [t for t in self.terms if _is_where(t) or t.kind in (Kind.JOIN, Kind.ASK)]
        return 2 * len(named) >= len([t for t in self.terms if t.kind is not Kind.PAUSE])

    def _make(
        self,
        status: Status,
        zones: set[tuple[str, str]],
        open_heights: set[str],
        evidence: dict[str, list[str]],
        other: list[Mention],
    ) -> Reading:
        for wrong, right in self.corrections.items():
            self.story.note(f"{wrong!r} was read as {right!r}.")
        unread = list(dict.fromkeys(self.unknown))
        if status == "unread":
            unread = unread or [term.text for term in self.terms if term.kind is not Kind.PAUSE]
        elif unread:
            self.story.note(f"not understood: {', '.join(unread)}.")
        decided = {word for words in evidence.values() for word in words}
        idle = [
            term.text
            for term in self.terms
            if term.kind not in (Kind.PAUSE, Kind.UNKNOWN, Kind.JOIN)
            and term.text not in decided
            and len(term.text) > 3
        ]
        kinds = {_other_name(one) for one in other}
        return Reading(
            self.text,
            status,
            ordered(zones),
            self.sides,
            self.sides_said,
            tuple(height for height in ZONES if height in open_heights),
            tuple(sorted(kinds)),
            diffuse=status in ("present", "uncertain")
            and any(term.kind is Kind.ALL for term in self.terms),
            evidence={
                part: tuple(dict.fromkeys(words)) for part, words in evidence.items() if words
            },
            corrections=dict(self.corrections),
            unread=tuple(unread),
            idle=tuple(dict.fromkeys(idle)),
            notes=tuple(self.story.notes),
        )


def _other_name(mention: Mention) -> str:
    return mention.term.value or "opacity of another cause"


def _is_where(term: Term) -> bool:
    return bool(term.place) or term.kind in (Kind.ALL, Kind.LUNG)


def _is_side(term: Term) -> bool:
    return bool(term.place and term.place.sides and not term.place.heights)


def _is_nonsense(unknown: int, decisive: int) -> bool:
    return unknown > max(2, decisive) or (unknown == 2 and decisive == 0)


def _asks(words: Sequence[Word]) -> bool:
    """Whether a sentence asks if there is something ("where is it" takes it for granted)."""
    keys = [word.key for word in words]
    asks = keys[0] in ("is", "are", "does", "do", "any", "has", "have", "can", "could")
    return (asks or keys[-1] == "?") and "where" not in keys


def _is_heading(words: Sequence[Word]) -> bool:
    """Whether a sentence that begins with such a word is a heading: "Indication: cough"."""
    first = words[0].key
    if first in ("indication", "technique", "comparison", "hx"):
        return True
    return any(word.key == ":" for word in words[:4]) or (first == "history" and len(words) > 1)


def _elsewhere(terms: Sequence[Term]) -> bool:
    """Whether a sentence is about another part of the body."""
    if not any(term.kind is Kind.ELSEWHERE for term in terms):
        return False
    if any(term.kind is Kind.LUNG for term in terms):
        return False
    if any(term.kind is Kind.OTHER and term.value == "device" for term in terms):
        return False
    sees = any(term.kind is Kind.FINDING for term in terms)
    return not (sees and any(term.place and term.place.heights for term in terms))
