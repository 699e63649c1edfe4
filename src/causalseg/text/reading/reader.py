"""Reading a sentence, or a passage of a report: `read(text)`.

>>> read("Left base consolidation, right lung clear.").zones
(('left', 'lower'),)
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice

from causalseg.text.captions import parse
from causalseg.text.grammar_lung import ZONES, LungFinding
from causalseg.text.reading import frames, lexicon
from causalseg.text.reading.attach import attach
from causalseg.text.reading.clauses import clauses
from causalseg.text.reading.context import (
    look_ahead,
    look_back,
    mark_background,
    name_vague,
    question_all,
    without_quantifiers,
)
from causalseg.text.reading.crosscheck import disagreements
from causalseg.text.reading.languages import other_language
from causalseg.text.reading.mentions import assertions
from causalseg.text.reading.normalise import Plain, Word, plain
from causalseg.text.reading.passage import Passage, frame_of
from causalseg.text.reading.phrases import phrases, spelled
from causalseg.text.reading.reading import Reading, Sides, ordered
from causalseg.text.reading.spelling import mended
from causalseg.text.reading.story import ASKS
from causalseg.text.reading.summary import summary
from causalseg.text.reading.tagger import compared_sides, numbered, tagged
from causalseg.text.reading.terms import Kind, Term
from causalseg.text.words import CaptionError

MAX_WORDS = 400
"""Words of a text that are read; a longer one is told so."""
_HEADINGS = frozenset(
    "indication history reason clinical technique comparison hx request referral procedure".split()
)
_QUESTIONS = ("is", "are", "does", "any", "could", "can", "might", "has", "have", "do")
_DECISIVE = frozenset(
    {Kind.FINDING, Kind.OTHER, Kind.PLACE, Kind.LUNG, Kind.CLEAR, Kind.NORMAL, Kind.ABNORMAL}
    | {Kind.NOT_LUNG, Kind.STUDY, Kind.CAUSE, Kind.GONE}
)
_TELLING = _DECISIVE - {Kind.NOT_LUNG, Kind.STUDY}


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
        note = "the text is not in the Latin script: write it in English."
        return Reading(text, "unread", notes=(*words.notes, note), unread=tuple(text.split()))
    language = _language(words)
    if language:
        note = f"the text looks {language}: only English is read."
        return Reading(text, "unread", notes=(*words.notes, note), unread=tuple(text.split()))
    passage = Passage(text, frame_of(words, sides))
    for note in words.notes:
        passage.story.note(note)
    if passage.frame.unsure:
        passage.story.note(
            "left and right were taken as the patient's; captions of infected areas mean the "
            "viewer's."
        )
    count = 0
    for number, sentence in enumerate(words.sentences):
        count += len(sentence)
        if count > MAX_WORDS:
            passage.story.note(f"the text is long: only its first {MAX_WORDS} words were read.")
            break
        _read_sentence(passage, number, sentence)
    found = summary(passage)
    return replace(found, notes=(*found.notes, *islice(disagreements(passage, found), 1)))


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


def _read_sentence(passage: Passage, number: int, sentence: Sequence[Word]) -> None:
    words, corrected = spelled(sentence)
    found = phrases(words)
    terms = numbered(compared_sides(tagged(found)), start=len(passage.terms))
    unknown = [term.text for term in terms if term.kind is Kind.UNKNOWN]
    decisive = sum(term.kind in _DECISIVE for term in terms)
    near = any(term.kind in _TELLING for term in terms)
    (passage.unknown if near else passage.stray).extend(unknown)
    passage.sentences[number] = terms
    if not near and len(unknown) > 1:
        return
    guessed = {word for right in corrected.values() for word in right.split()}
    sure = sum(t.kind in _DECISIVE and not guessed & set(t.key.split()) for t in terms)
    if _is_nonsense(len(unknown), decisive) or (len(unknown) > 1 and not sure):
        passage.story.note(f"these words make no sense together: {' '.join(unknown)}.")
        return
    passage.corrections |= corrected
    if terms and words[0].key in _HEADINGS and _is_heading(words):
        if any(term.kind is Kind.FINDING or term.place for term in terms):
            passage.story.note("a heading or the reason for the study was skipped.")
        return
    if _elsewhere(terms):
        passage.story.note("a sentence about another part of the body was skipped.")
        return
    passage.phrases[number] = found
    terms = name_vague(without_quantifiers(terms), first=passage.story.last() is None)
    parts = clauses(terms)
    if passage.frame.mixed:
        for part in parts:
            theirs = frames.viewer_terms(part.keys)
            if theirs:
                part.terms = [
                    term
                    for at, term in enumerate(part.terms)
                    if not (at in theirs and _is_side(term))
                ]
                passage.story.note(
                    "both the patient's and the viewer's side are given: the patient's was taken."
                )
    passage.clauses[number] = parts
    question = _asks(words)
    # "Bilateral infiltrates, PCP?" asks for the cause only.
    states = words[-1].key == "?" and any(part.has(Kind.FINDING) for part in parts[:-1])
    asked = len(parts) - 1 if states and words[0].key not in _QUESTIONS else 0
    mine = assertions(parts, number, doubted_from=asked if question else len(parts))
    mark_background(parts, mine)
    before = len(passage.story.mentions)
    attach(parts, mine, passage.story, number)
    if question and mine:
        passage.story.note(ASKS)
        question_all([mention for mention in mine if mention.clause >= asked])
    look_ahead(passage, mine, number)
    look_back(passage, terms, mine, number)
    passage.story.mentions[before:] = mine


def _is_side(term: Term) -> bool:
    return bool(term.place and term.place.sides and not term.place.heights)


def _is_nonsense(unknown: int, decisive: int) -> bool:
    return unknown > max(2, decisive) or (unknown == 2 and decisive == 0)


def _asks(words: Sequence[Word]) -> bool:
    """Whether a sentence asks if there is something ("where is it" takes it for granted)."""
    keys = [word.key for word in words]
    if len(keys) > 1 and keys[0] in ("can", "could", "will", "would") and keys[1] == "you":
        return keys[2:3] in (["see"], ["tell"], ["say"]) and keys[-1] == "?"  # else a request
    asks = keys[0] in _QUESTIONS[:4] and keys[1:2] != ["not"]  # "Doesn't look infected."
    return (asks or keys[-1] == "?") and not {"where", "what", "which"} & set(keys[:2])


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
    if any(term.kind is Kind.LUNG and term.key != "quadrant" for term in terms):
        return False
    if any(term.key == "quadrant" for term in terms):
        return True  # of the belly
    if any(term.kind is Kind.OTHER and term.value == "device" for term in terms):
        return False
    sees = any(term.kind is Kind.FINDING for term in terms)
    return not (sees and any(term.place and term.place.heights for term in terms))
