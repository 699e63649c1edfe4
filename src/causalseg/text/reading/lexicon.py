"""The words and phrases that decide something, and the words that decide nothing."""

import tomllib
from functools import cache
from importlib.resources import files

from causalseg.text.grammar_lung import ZONES
from causalseg.text.reading.terms import BOTH, Kind, Place, Term, heights

_LOWER, _MIDDLE, _UPPER = (heights(name) for name in ("lower", "middle", "upper"))
_HEIGHT_NOUNS = "zones, lobes, fields, lungs, lung zones, lung fields, thirds, regions, portions"
_LEFT = "left, lt, l, lhs, left sided, leftsided, left hand side, left hand"
_BOTH = (
    "bilateral, bilaterally, bilat, bl, both, both sides, both lungs, either lung, each lung, "
    "either side, each side, two sided, bilateral lungs, both hemithoraces, left and right lungs, "
    "right and left lungs"
)
_BASE = (
    "low down, lower down, down low, lower, base, basis, basal, basally, basilar, inferior, "
    "inferiorly, infrahilar, costophrenic, "
    "costophrenic angle, costophrenic recess, costophrenic sulcus, cp angle, cardiophrenic, "
    "cardiophrenic angle, bottom, lowermost, posterobasal, lower third, lower half, lower halves, "
    "low zone, low lobe, low field, cpa, lung base, "
    "lz, ll, lower lobe, lower zone, supradiaphragmatic"
)
_APEX = (
    "high up, higher up, up high, upper, apex, apical, apically, superior, superiorly, "
    "suprahilar, top, uppermost, uz, ul, "
    "infraclavicular, subclavicular, paratracheal, upper third, upper half, "
    "upper halves, lung apex, "
    "upper lobe, upper zone"
)
_MID = (
    "half way up, halfway up, half way down, halfway down, "
    "mid, middle, midzone, midlung, mid lung, mid zone, middle zone, middle third, mid third, mz, "
    "perihilar, parahilar, peri hilar, para hilar, juxtahilar, hilar, paracardiac, para cardiac, "
    "midportion, mid portion, ml"
)
_BEHIND_HEART = (
    "retrocardiac, retro cardiac, retrocardiac region, behind the heart, behind heart, "
    "behind the cardiac silhouette, behind the cardiac shadow"
)

_AT_HILUM = (
    "from, to, towards, round, "
    "behind, involving, over, overlies, overlying, overlie, projected over, at, "
    "near, around, about, beside, adjacent to, next to, in, abutting, lateral to, inseparable from"
)


# Adverbs that may stand inside a phrase: "not yet completely resolved" is "not resolved".
FILLERS = frozenset(
    "entirely completely fully totally definitely definitively confidently reliably absolutely "
    "yet significantly substantially appreciably materially really quite very been be safely "
    "currently convincingly".split()
)

# What lies over the lungs and is not in them.
_SHADOWS = (
    "breast tissue, breast shadow, soft tissue, nipple, nipple shadow, skin fold, skin crease"
)
_CAUSED_BY = "due to, attributable to, attributed to, caused by, because of, secondary to, from"


def _split(text: str) -> list[str]:
    return [" ".join(entry.split()) for entry in text.split(",") if entry.strip()]


def _places() -> dict[str, Place]:
    """Every phrase that names a place. What it leaves open, its neighbours say."""
    found: dict[str, Place] = {}

    def add(phrases: str, place: Place) -> None:
        found.update(dict.fromkeys(_split(phrases), place))

    add(_LEFT, Place(("left",)))
    add(_LEFT.replace("left", "right").replace("lt, l, lhs", "rt, r, rhs"), Place(("right",)))
    add(_BOTH, Place(BOTH))
    for phrases, zone in ((_BASE, _LOWER), (_APEX, _UPPER), (_MID, _MIDDLE)):
        add(phrases, Place((), zone))
    for names, zone in (
        ("upper, apical, superior", _UPPER),
        ("mid, middle", _MIDDLE),
        ("lower, basal, basilar, inferior", _LOWER),
    ):
        for name in _split(names):
            for noun in _split(_HEIGHT_NOUNS):
                add(f"{name} {noun}", Place((), zone, both=True))
    add(
        "bases, lung bases, lzs, costophrenic angles, cp angles, costophrenic recesses",
        Place((), _LOWER, both=True),
    )
    add("apices, apexes, lung apices, uzs", Place((), _UPPER, both=True))
    add("midzones, mzs", Place((), _MIDDLE, both=True))
    add("bibasal, bibasilar, bibasally, bi basal, bi basilar", Place(BOTH, _LOWER))
    add("biapical, biapically, bi apical", Place(BOTH, _UPPER))
    add("biperihilar", Place(BOTH, _MIDDLE))
    add("lingula, lingular, lingular segment, lingula segment", Place(("left",), _MIDDLE))
    add("each lower lobe, each lower zone, each base, each lung base", Place(BOTH, _LOWER))
    add("each upper lobe, each upper zone, each apex, each lung apex", Place(BOTH, _UPPER))
    add("middle lobe, mid lobe, medium lobe, median lobe", Place((), _MIDDLE, default="right"))
    add(_BEHIND_HEART, Place((), _LOWER, default="left"))
    add("behind the left heart, behind the left side of the heart", Place(("left",), _LOWER))
    add("apex to base, base to apex, top to bottom, upper to lower", Place((), ZONES))
    add("lower two thirds, mid to lower, middle to lower", Place((), heights("middle", "lower")))
    add("upper two thirds, upper to mid, upper to middle", Place((), heights("upper", "middle")))
    for letter, side in zip("lr", BOTH, strict=True):
        for codes, zone in (("ul uz", _UPPER), ("ml mz", _MIDDLE), ("ll lz", _LOWER)):
            for code in codes.split():
                add(f"{letter}{code}, {letter}{code}s", Place((side,), zone))
            add(f"{letter}{codes[0]} zone", Place((side,), zone))
        for near in _split(_AT_HILUM):
            add(f"{near} both hila, {near} the hila", Place(BOTH, _MIDDLE))
            add(f"{near} {side} hilum, {near} the {side} hilum", Place((side,), _MIDDLE))
        for border in ("heart border", "cardiac border", "heart margin"):
            add(f"{side} {border}", Place((side,), _MIDDLE, weak=True))
        for name in ("hemidiaphragm", "diaphragm", "hemi diaphragm"):
            add(f"{side} {name}", Place((side,), _LOWER, weak=True))
    for zone, numbers in ((_UPPER, "123"), (_MIDDLE, "45"), (_LOWER, ("6", "7", "8", "9", "10"))):
        for number in numbers:
            add(f"s {number}", Place((), zone))
    add("bll, blz", Place(BOTH, _LOWER))
    add("bul", Place(BOTH, _UPPER))
    return found


@cache
def terms() -> dict[tuple[str, ...], Term]:
    """Phrases, as tuples of words, with what they stand for."""
    tables = tomllib.loads((files(__package__) / "lexicon.toml").read_text(encoding="utf-8"))
    found: dict[tuple[str, ...], Term] = {}

    def add(phrase: str, kind: Kind, value: str = "", place: Place | None = None) -> None:
        words = phrase.split()
        key = tuple(word for word in words if word not in FILLERS) or tuple(words)
        found.setdefault(key, Term(kind, phrase, value, place, " ".join(key)))

    for phrase, place in _places().items():
        add(phrase, Kind.PLACE, place=place)
    for value, text in tables.pop("other").items():
        for phrase in _split(text):
            add(phrase, Kind.OTHER, value)
            for noun in ("hemidiaphragm", "hilum"):
                for side in BOTH if phrase.endswith(f" {noun}") else ():
                    add(phrase.replace(noun, f"{side} {noun}"), Kind.OTHER, value)
    for cause in _split(_CAUSED_BY):
        for shadow in _split(_SHADOWS):
            add(f"{cause} {shadow}", Kind.OTHER, "artefact")
    for name, text in tables.items():
        for phrase in _split(text):
            kind = Kind(name.replace("_", " "))
            add(phrase, kind)
            if phrase.startswith("not ") and kind is not Kind.NOT:
                add(f"but {phrase}", kind)  # longer than "but not", which spares a place
    return found


@cache
def longest() -> int:
    """Words of the longest phrase."""
    return max(map(len, terms()))


@cache
def words() -> frozenset[str]:
    """Every word of the lexicon's phrases."""
    return frozenset(word for phrase in terms() for word in phrase)


@cache
def idle_words() -> frozenset[str]:
    """Words that are understood and decide nothing."""
    text = (files(__package__) / "vocabulary.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return frozenset(" ".join(lines).replace("-", " ").split())


@cache
def turning_words() -> frozenset[str]:
    """Words that decide nothing by themselves and may turn round what stands beside them."""
    text = (files(__package__) / "turning.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if line[:1] != "#" for word in line.split())


@cache
def english_words() -> frozenset[str]:
    """English words spelled so nearly like a term that they would be taken for a typing error."""
    text = (files(__package__) / "near_words.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if line[:1] != "#" for word in line.split())


def known(word: str) -> bool:
    """Whether a word may be English at all: one of ours, or an adverb."""
    return listed(word) or (word.endswith("ly") and len(word) > 5)


def idle(word: str) -> bool:
    """Whether a word by itself is one that decides nothing; an adverb has to be listed."""
    return listed(word) or word in FILLERS


def listed(word: str) -> bool:
    """Whether a word is one of ours, or its plural is."""
    everything = (words(), idle_words(), turning_words())
    stems = (word, word[:-1] if word.endswith("s") else word)
    return any(stem in group for group in everything for stem in stems)
