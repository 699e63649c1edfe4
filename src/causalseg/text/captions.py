"""Captions as data: read into a typed finding, written back, mirrored.

>>> parse("Unilateral pulmonary infection, one infected area, all left lung.").zones
frozenset({('left', 'upper'), ('left', 'middle'), ('left', 'lower')})
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from causalseg.text import grammar_lung, grammar_nuclei, grammar_polyp
from causalseg.text.grammar_lung import LungFinding
from causalseg.text.grammar_nuclei import NucleiFinding
from causalseg.text.grammar_polyp import PolypFinding, PolypPrompt
from causalseg.text.sides import unmirrored_side
from causalseg.text.words import CaptionError, Cursor, StopError

Finding = LungFinding | PolypFinding | PolypPrompt | NucleiFinding

GRAMMARS: tuple[tuple[Callable[[Cursor], Finding], frozenset[str]], ...] = (
    (grammar_lung.parse_lung, grammar_lung.VOCABULARY),
    (grammar_polyp.parse_polyp, grammar_polyp.VOCABULARY),
    (grammar_polyp.parse_prompt, grammar_polyp.VOCABULARY),
    (grammar_nuclei.parse_nuclei, grammar_nuclei.VOCABULARY),
)


@lru_cache(maxsize=4096)
def parse(text: str) -> Finding:
    """Read a caption in any of the known wordings; case and spacing do not count.

    Raises:
        CaptionError: no grammar reads it. Its `words` are, for the grammar that got furthest, the
            words outside its vocabulary, or else all words from where it stopped.

    """
    furthest, words, expected, known = -1, [""], "a known caption", frozenset[str]()
    for read, vocabulary in GRAMMARS:
        cursor = Cursor(text)
        try:
            return read(cursor)
        except StopError as stop:
            if stop.position > furthest:
                furthest, expected, known = stop.position, stop.expected, vocabulary
                words = cursor.words
    if furthest == 0:
        raise CaptionError(text, tuple(words), "a caption of lungs, polyps or nuclei")
    strange = tuple(word for word in words if word.lower() not in known)
    raise CaptionError(text, strange or tuple(words[furthest:]), expected)


def parse_all(texts: Iterable[str]) -> tuple[list[Finding | None], list[CaptionError]]:
    """Read many captions: a finding or None for each, and the errors of the others, in order."""
    findings: list[Finding | None] = []
    errors: list[CaptionError] = []
    for text in texts:
        try:
            findings.append(parse(text))
        except CaptionError as error:
            findings.append(None)
            errors.append(error)
    return findings, errors


_SIDE = re.compile("left|right", re.IGNORECASE)
_TURNED = re.compile(r"o.?clock|clockwise|dextr|l(a?)evo|sinist", re.IGNORECASE)
# What mirrors onto the like on the other side. A heart chamber or the liver does not.
_MIRRORED = re.compile(
    "lungs?|sided?|half|part|region|area|zones?|field|hemithorax|thorax|chest|base|apex|hilum|"
    "perihilar|upper|middle|lower|top|bottom|quadrant|corner|border|edge|breast|kidney|eye|"
    "hemisphere|hip|knee|shoulder|polyp|nodule|opacity|lesion|infection|consolidation"
)
_WORD = re.compile(r"\w+")
_CONNECTING = re.compile("and|or|of|in|is|are|with")
_BEFORE = re.compile("the|upper|middle|lower|top|bottom|center|and|or")
# Parts that one lung alone has.
_UNMIRRORED = re.compile(r"middle\s+lobe|lingula|(minor|horizontal)\s+fissure", re.IGNORECASE)
_ENDS_BEFORE = re.compile(r"[\s(,;:/]")
_STARTS_AFTER = re.compile(r"\Z|-sided\b|[\s),.;:/]")
_FOLLOWER = re.compile(r"[\s-]++(\w++)")


def mirror_caption(text: str) -> str | None:
    """The caption of the horizontally mirrored image.

    A caption that a grammar reads and writes back unchanged is mirrored as a finding and composed
    again in canonical order (left lung first), which is exact and its own inverse. In any other
    text the words left and right change places, case kept, when every one of them is safe: a word
    by itself, in lower, upper or title case, that stands before something which mirrors ("left
    lung", "right-sided opacity") or ends a phrase after "the" or a position ("in the left.").
    Anything else ("left ventricle", "right-handed", "leftover", "3 o'clock") is not safe, and
    neither is "middle lobe", which has no mirror image, nor a side in other words ("RLL",
    "rigth", "links"; see `causalseg.text.sides`). Linear in the text's length.

    Returns:
        The swapped text; the text itself where it names no side; None where it is not safe.

    """
    try:
        finding = parse(text)
    except CaptionError:
        finding = None
    if finding is not None and finding.compose() == text:
        return finding.swapped().compose()
    if _TURNED.search(text) or _UNMIRRORED.search(text) or unmirrored_side(text):
        return None
    previous, start = "", 0  # the last word before `start`
    for match in _SIDE.finditer(text):
        words = _WORD.findall(text, start, match.start())
        previous = words[-1].lower() if words else previous
        start = match.end()
        if not _is_safe(text, match, previous if _follows(text, match) else ""):
            return None
        previous = match[0].lower()
    return _SIDE.sub(lambda match: _swap_word(match[0]), text)


swap_sides = mirror_caption
"""The name before, which programs outside this repository import."""


def _follows(text: str, match: re.Match[str]) -> bool:
    """Whether only white space stands between the side and the word before it."""
    place = match.start()
    while place > 0 and text[place - 1].isspace():
        place -= 1
    return 0 < place < match.start() and bool(_WORD.match(text[place - 1]))


def _is_safe(text: str, match: re.Match[str], previous: str) -> bool:
    word, start, end = match[0], match.start(), match.end()
    if word not in (word.lower(), word.upper(), word.capitalize()):
        return False
    if (start and not _ENDS_BEFORE.match(text, start - 1)) or not _STARTS_AFTER.match(text, end):
        return False
    follower = _FOLLOWER.match(text, end)
    if follower and _MIRRORED.fullmatch(follower[1].lower()):
        return True
    ends = follower is None or bool(_CONNECTING.fullmatch(follower[1].lower()))
    return ends and bool(_BEFORE.fullmatch(previous))


def _swap_word(word: str) -> str:
    other = "right" if word.lower() == "left" else "left"
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other
