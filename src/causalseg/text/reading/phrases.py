"""Words to phrases: the longest entry of the lexicon at each place, typing errors mended."""

from collections.abc import Sequence
from dataclasses import replace

from causalseg.text.reading import lexicon
from causalseg.text.reading.normalise import Word
from causalseg.text.reading.spelling import mended, parted
from causalseg.text.reading.terms import Kind, Term

_PAUSES = frozenset(",:()")


def spelled(sentence: Sequence[Word]) -> tuple[list[Word], dict[str, str]]:
    """The words with typing errors mended, and what was mended into what."""
    corrections: dict[str, str] = {}
    found: list[Word] = []
    for word in sentence:
        two = parted(word.key)
        if two:
            corrections[word.text] = " ".join(two)
            found += [Word(part, part) for part in two]
            continue
        better = mended(word.key)
        if better is not None:
            corrections[word.text] = better
            word = replace(word, key=better)
        found.append(word)
    return found, corrections


def phrases(sentence: Sequence[Word]) -> list[Term]:
    """The terms of a sentence as the lexicon has them, in order, full stops left out."""
    found: list[Term] = []
    position = 0
    while position < len(sentence):
        term, used = _longest(sentence, position)
        found.append(term)
        position += used
    return [term for term in found if term.key not in (".", ";", "!")]


def _longest(sentence: Sequence[Word], start: int) -> tuple[Term, int]:
    table = lexicon.terms()
    best: tuple[Term, int] | None = None
    keys: list[str] = []
    position = start
    # Fillers are passed over only inside a phrase, so the number of words looked at is bounded.
    while position < len(sentence) and len(keys) < lexicon.longest():
        word = sentence[position].key
        position += 1
        if keys and word in lexicon.FILLERS:
            continue
        keys.append(word)
        term = table.get(tuple(keys)) or _singular(table, keys)
        if term is not None:
            best = term, position - start
    if best is None:
        return _single(sentence[start], last=start + 1 == len(sentence)), 1
    term, used = best
    text = " ".join(word.text for word in sentence[start : start + used])
    return replace(term, text=text), used


def _singular(table: dict[tuple[str, ...], Term], keys: list[str]) -> Term | None:
    last = keys[-1]
    if not last.endswith("s") or len(last) < 4:
        return None
    term = table.get((*keys[:-1], last[:-1]))
    if term is None:
        return None
    place = term.place
    if place and place.heights and not place.sides and _noun(last):
        term = replace(term, place=replace(place, both=True))
    return replace(term, key=" ".join(keys))


def _noun(word: str) -> bool:
    return word in ("lobes", "zones", "bases")


def _single(word: Word, *, last: bool) -> Term:
    if word.key in _PAUSES:
        return Term(Kind.PAUSE, word.text, key=word.key)
    if word.key in ("+", "/", "&"):
        return Term(Kind.JOIN, word.text, key=word.key)
    if word.key == "?":
        return Term(Kind.PLAIN if last else Kind.DOUBT, word.text, key="?")
    if not word.key.isalpha() or len(word.key) == 1 or lexicon.idle(word.key):
        return Term(Kind.PLAIN, word.text, key=word.key)
    return Term(Kind.UNKNOWN, word.text, key=word.key)
