"""Typing errors mended: a word that is not known becomes the nearest term, and that is shown."""

from functools import cache

from causalseg.text.reading.lexicon import english_words, listed, terms
from causalseg.text.reading.terms import Kind

# The shortest word that is mended, and from which length on two slips are allowed.
_SHORTEST, _TWO_SLIPS = 4, 8
# From which length on a word that was cut short ("opacif") is completed.
_CUT_SHORT = 5
# What a slip may lead to: the words that decide something, the likelier kinds first.
_KINDS = (
    *(Kind.PLACE, Kind.FINDING, Kind.OTHER, Kind.CLEAR, Kind.LUNG, Kind.CAUSE, Kind.GONE),
    *(Kind.NOT, Kind.NORMAL, Kind.DOUBT, Kind.SPARED, Kind.EXCEPT, Kind.ALL, Kind.STILL),
)
_PARTS = (
    "lobe lobes zone zones ground glass space airspace excluded exclude cannot cleared field "
    "fields hemithorax patchy lungs sided"
).split()

# Slips in words too short for the distance, and the usual short forms.
_SLIPS = dict(
    pair.split("=")
    for pair in (
        "bse=base lob=lobe lft=left rgt=right rigt=right teh=the zne=zone lng=lung acut=acute "
        "cons=consolidation upr=upper uppr=upper lwr=lower wrose=worse wrost=worst clr=clear "
        "lowr=lower rite=right leff=left bas=base bass=base "
        "lugs=lungs lun=lung zon=zone mdi=mid apx=apex bil=bilateral noraml=normal nromal=normal"
    ).split()
)
_JOINED = frozenset(
    "left right upper lower mid middle both bilateral lung lobe lobes zone zones base bases apex "
    "the patchy hazy no clear".split()
)


@cache
def _targets() -> list[str]:
    by_kind: dict[str, int] = {}
    for phrase, term in terms().items():
        if len(phrase) == 1 and term.kind in _KINDS and len(phrase[0]) >= _SHORTEST:
            by_kind[phrase[0]] = _KINDS.index(term.kind)
    by_kind |= {word: len(_KINDS) for word in _PARTS if word not in by_kind}
    return sorted(by_kind, key=lambda word: (by_kind[word], word))


@cache
def parted(word: str) -> tuple[str, str] | None:
    """The two words that were written as one ("lowerlobe", "leftbase"), or None."""
    if listed(word) or word in english_words():
        return None
    for cut in range(3, len(word) - 2):
        first, second = word[:cut], word[cut:]
        if first in _JOINED and (second in _JOINED or ((second,) in terms() and len(second) > 3)):
            return first, second
    return None


@cache
def mended(word: str) -> str | None:
    """The term that a lower-case word was meant to be, or None where it is none's near miss.

    A slip is a letter too many, missing or wrong, or two that changed places (optimal string
    alignment distance). One slip is mended from 4 letters, two from 8.
    """
    if word in _SLIPS:
        return _SLIPS[word]
    if len(word) < _SHORTEST or not word.isalpha() or listed(word) or word in english_words():
        return None
    if len(word) >= _CUT_SHORT:
        whole = next((target for target in _targets() if target.startswith(word)), None)
        if whole:
            return whole
    # Imported for a slip alone: most texts have none.
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    allowed = 2 if len(word) >= _TWO_SLIPS else 1
    found = process.extractOne(
        word, _targets(), scorer=OSA.distance, score_cutoff=allowed, processor=None
    )
    if found is None or len(found[0]) < _SHORTEST:
        return None
    if word.endswith(found[0]) and word.startswith(("un", "in", "ir", "non", "dis")):
        return None  # "unresolved" is not a slip for "resolved"
    return str(found[0])
