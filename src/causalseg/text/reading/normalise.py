"""A text made plain: one spelling of spaces, dashes and abbreviations; then words and sentences.

Nothing is removed that carries meaning. Characters that look like Latin letters and are not
(Cyrillic and Greek ones pasted from elsewhere) are replaced, which is told in a note.
"""

import re
import unicodedata
from dataclasses import dataclass, field

# Cyrillic and Greek letters that are drawn like a Latin one.
_LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухԁԛԝһӏΑΒΕΖΗΙΚΜΝΟΡΤΥΧοιαρν",
    "ABESIJKMHOPCTYXaesijopcyxdqwhlABEZHIKMNOPTYXoiapv",
)
_DASHES = re.compile("[\u2010-\u2015\u2212\u00ad\u2043\ufe58\ufe63\uff0d]")
_APOSTROPHES = re.compile("[\u2018\u2019\u02bc\u00b4`]")
_HEIGHT = "upper|lower|middle|mid|bases|apices|apex|base|uz|mz|lz"
# Written short forms that the splitting into words would take apart.
_SHORT_FORMS = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"(?:^|(?<=[a-z.,;]\s))(lt|rt|l|r)\)(?=\s)", r" . \1:"),
        (r"(?<![\w/])b\s?/\s?l\b", "bilateral"),
        (r"\bw\s?/\s?o\b", "without"),
        (r"\bc\s?/\s?w\b|\bi\s?/\s?k\s?/\s?w\b", "consistent with"),
        (r"\bs\s?/\s?o\b", "suggestive of"),
        (r"\br\s?/\s?o\b", "rule out"),
        (r"\bh\s?/\s?o\b", "history of"),
        (r"\bf\s?/\s?u\b", "follow up"),
        (r"\bs\s?/\s?p\b", "after"),
        (r"\be\s?/\s?o\b", "evidence of"),
        (r"\bdouble pneumonia", "bilateral pneumonia"),
        (r"\bw\s?/(?=\s)", "with "),
        (r"\+\s?/\s?-|±", " possible "),
        (r"(?<!\w)-\s?ve\b", "negative"),
        (r"\+\s?ve\b", " positive"),
        (rf"\b({_HEIGHT})\s*>{{1,2}}\s*({_HEIGHT})\b", r"\1 greater than \2"),
        (r"\b(left|right|lt|rt|l|r)\s*>{1,2}\s*(left|right|lt|rt|l|r)\b", r"\1 greater than \2"),
        (r"\b(left|right|lt|rt|l|r)\s*<{1,2}\s*(left|right|lt|rt|l|r)\b", r"\1 less than \2"),
        (r"\bno (?:more|greater|larger|worse|denser)\b(?=[^.;:]*\bthan\b)", "no change in"),
        (r"\bcan'?t\b", "cannot"),
        (r"\bwon't\b", "will not"),
        (r"n't\b", " not"),
        (r"\bcant\b", "cannot"),
        (r"\b(could|did|does|do|is|are|was|were|has|have|had|would|should)nt\b", r"\1 not"),
        (r"\bcan not\b", "cannot"),
        (r"\b(?:full stop|(?:new|next) paragraph)\b", " . "),
        (r"\bcomma\b", ","),
        (r"'(?:s|ve|d|ll|re|m)\b", ""),
        (r"\bcovid\s?-?\s?(19|2019)\b", "covid"),
        (r"\bsars\s?-?\s?cov\s?-?\s?2\b", "covid"),
        (r"\bx\s?-?\s?rays?\b", "xray"),
        (r"\bcxrs?\b", "xray"),
        (r"\((l|r|lt|rt|left|right)\)", r" \1 "),
        (r"(?:^|(?<=[.;:]\s))(left|right|lt|rt|l|r)\s+-\s", r"\1: "),
        (r"(?<!\w)#(?=\s|$)", " fracture "),
        (r"\b(i|e)\.\s?(e|g)\.", "such as"),
        (r"\b(lt|rt|l|r)\.(?=\s+(?!(?:lt|rt|l|r|left|right|both)\b)\S)", r"\1"),
        (
            r"\b(bilat|vs|dr|approx|poss|prob|susp|consol|opac|infil|eff|post|ant|lat)\."
            r"(?=\s+\S)(?!\s+(?:l|r|lt|rt|left|right)\s*[-:)])",
            r"\1",
        ),
    )
)
# A list is written in lines or in one line; a dash within a sentence is no bullet.
_BULLET = re.compile(r"(?:^|\n)\s*(?:[-*\u2022\u00b7]|\(?\d{1,2}[.)])\s+(?=\D)")
_BULLET_INSIDE = re.compile(r"\s[-*\u2022\u00b7]\s+(?=[^\W\d])")
_WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[.,;:?!/+&<>()\n]")


@dataclass(frozen=True)
class Word:
    """One word or mark of the text."""

    text: str
    """As it stands in the text after the replacements of this module."""
    key: str
    """Lower case, and after the correction of typing errors: what is looked up."""


@dataclass(frozen=True)
class Plain:
    """A text made plain."""

    sentences: tuple[tuple[Word, ...], ...]
    notes: tuple[str, ...] = field(default=())
    foreign_script: bool = False
    """Most letters belong to another script than the Latin one."""


def plain(text: str) -> Plain:
    """Split a text into sentences of words, with invisible and look-alike characters mended."""
    notes: list[str] = []
    shown = "".join(c for c in text if unicodedata.category(c) != "Cf")
    if shown != text:
        notes.append("invisible characters were removed.")
    shown = unicodedata.normalize("NFKC", shown)
    latin = sum("LATIN" in unicodedata.name(c, "") for c in shown)
    letters = sum(c.isalpha() for c in shown)
    if letters and latin < letters / 2 and not _disguised(shown):
        return Plain((), tuple(notes), foreign_script=True)
    mended = "".join(_mended(part) for part in re.split(r"(\W+)", shown))
    if mended != shown:
        notes.append("letters of another script were read as the Latin letters they look like.")
    mended = _APOSTROPHES.sub("'", _DASHES.sub("-", mended))
    if _BULLET.match(re.sub(r"^\s*[A-Za-z]+:", "", mended)):
        mended = _BULLET_INSIDE.sub(" . ", mended)
    mended = _BULLET.sub(" . ", mended)
    for pattern, replacement in _SHORT_FORMS:
        mended = pattern.sub(replacement, mended)
    # A line of dictation ends a sentence only where the next one starts like a sentence.
    mended = (
        re.sub(r"\n+(?=\s*[A-Z])", " . ", mended)
        .replace("\n", " ")
        .replace(" - ", " , ")
        .replace("-", " ")
    )
    return Plain(_sentences(mended), tuple(notes))


def _disguised(text: str) -> bool:
    """Whether every foreign letter looks like a Latin one."""
    return all(
        "LATIN" in unicodedata.name(c, "") for c in text.translate(_LOOK_ALIKES) if c.isalpha()
    )


def _mended(word: str) -> str:
    if word.isascii():
        return word
    replaced = word.translate(_LOOK_ALIKES)
    return replaced if _disguised(word) else word


def _sentences(text: str) -> tuple[tuple[Word, ...], ...]:
    sentences: list[tuple[Word, ...]] = []
    words: list[Word] = []
    for match in _WORD.finditer(text):
        mark = match.group()
        if mark in ".!;" or (mark == "?" and _ends(text, match.end())):
            words.append(Word(mark, mark))
            sentences.append(tuple(words))
            words = []
        else:
            words.append(Word(mark, mark.lower()))
    if words:
        sentences.append(tuple(words))
    return tuple(one for one in sentences if any(word.key.isalnum() for word in one))


def _ends(text: str, end: int) -> bool:
    """Whether a question mark ends a question, rather than to stand before what is doubted."""
    rest = text[end:]
    before = text[: end - 1]
    attached = rest[:1].isalnum() or rest.lstrip()[:1].islower()  # "? infective"
    starts = not before.strip() or before.rstrip()[-1:] in ",.;:("
    return not attached and not starts
