"""Sides that a caption names in other words than "left" and "right".

A mirrored training image needs a mirrored caption. `captions.mirror_caption` can trade "left" and
"right"; of "RLL", "Lt. base", "rigth lung" or "linke Lunge" it cannot write the mirror image, and
an image flipped under such a caption would teach the model the wrong side. This module only finds
them. It prefers a false alarm (the image is then not flipped) to an overlooked side.
"""

import re
import unicodedata

_WORD = re.compile(r"\w+")
# L, Lt, LUL, LLZ, LLQ, LHS ... and the same of R.
_SHORT = re.compile(r"[lr](?:[ht]|ft|gt|hs|[umlbi]?[lzqfb]|[uml])?")
_SHORT_WORDS = re.compile(
    # Heart chambers, vessels and projections; eyes; German, Italian, Spanish, Portuguese, French.
    "la|ra|lv|rv|lvh|rvh|lad|lca|rca|lcx|lao|rao|lpo|rpo|lld|rld|lmb|rmb|lmca|od|os|"
    "li|re|sx|dx|sin|dex|dext|izq|izda|izdo|izqdo|izqda|der|dcho|dcha|esq|dir|gche|dte|dta"
)
# French and Spanish: gauche and droit, and lobes such as LSD (superieur droit, superior derecho).
_CAPITALS = re.compile("[GD]|[HP][GD]|L[SIM][GDEI]")
_FOREIGN = re.compile(
    r"link(?:s|e|er|en|es|em)|links\w+|linker\w*|recht(?:s|e|er|en|es|em)|rechts\w+|rechter\w*|"
    r"gauches?|droite?s?|izquierd\w*|derech\w*|esquerd\w*|esquerr\w*|direit[ao]s?|dret[ae]?s?|"
    r"sinistr\w*|mancin\w+|destr[aoie]|dexter|dextr\w*|lew(?:y|a|e|ej|ego|ym|ych|o|ostronn\w*)|"
    r"praw(?:y|a|e|ej|ego|ym|ych|o|ostronn\w*)|vanster|hoger|venstre|hojre|hoyre|"
    r"vasen|vasem\w+|oikea\w*|oikeass\w*|(?:sol|sag)(?:da|daki|dan)?|kiri|kanan|kaliwa|trai|phai|bal|balra|baloldali|"
    r"jobb|jobbra|jobboldali|lev[aeiouy]|lev\w{0,2}stran\w*|(?:na|v)(?:lev|prav)[aeo]|li?jev\w{1,3}|prav[aeiouy]|desn[aeiou]|stang[aiu]?|"
    r"drept|dreapta|aristera|dexia|hidari|migi|kushoto|kulia|kair\w+|desin\w+|kreis\w+|"
    r"laba(?:is|ja)?|vasak\w*|parem\w*|majtas|majte|djathtas|djathte|ezkerr\w+|eskuin\w+|chwith|dde|"
    r"deas|cle|vinstri|haegri|regter\w*|xellug|lemin|(?:mal)?dekstr\w*|port|starboard"
)
# English words one letter away from "left" or "right".
_ENGLISH = re.compile(
    "light|might|night|sight|fight|tight|eight|lest|lent|lift|loft|deft|heft|weft|let"
)
_SIDES = ("left", "right")


def names_foreign_side(word: str) -> bool:
    """Whether a word means left or right in another language."""
    return _FOREIGN.fullmatch(_plain(word)) is not None


def unmirrored_side(text: str) -> str | None:
    """The first word that names a side, or may, which trading "left" and "right" would not mirror.

    Abbreviations ("L", "Rt.", "LUL"), slips of the pen (one letter from "left" or "right", or the
    word broken in two), other languages, and any word with letters outside ASCII, which may be
    another language or a letter that only looks Latin. Linear in the text's length.

    Returns:
        The word as written; None where there is none.

    """
    previous = ""
    for match in _WORD.finditer(text):
        word = match[0]
        lower = _plain(word)
        broken = previous + lower in _SIDES and previous != ""
        if broken or _CAPITALS.fullmatch(word) or _names_side(word, lower):
            return word
        previous = lower if len(lower) < len("right") else ""
    return None


def _plain(word: str) -> str:
    """Lower case without accents."""
    if word.isascii():
        return word.lower()
    split = unicodedata.normalize("NFKD", word.casefold())
    return "".join(c for c in split if not unicodedata.combining(c))


def _names_side(word: str, lower: str) -> bool:
    if any(c.isalpha() and not c.isascii() for c in word):
        return True
    if lower in _SIDES or _ENGLISH.fullmatch(lower):
        return False
    if _SHORT.fullmatch(lower) or _SHORT_WORDS.fullmatch(lower) or _FOREIGN.fullmatch(lower):
        return True
    return any(_one_slip(lower, side) for side in _SIDES)


def _one_slip(word: str, side: str) -> bool:
    """Whether one letter added, missing or wrong, or two swapped, makes `word` of `side`."""
    if abs(len(word) - len(side)) > 1:
        return False
    start = 0
    while start < min(len(word), len(side)) and word[start] == side[start]:
        start += 1
    rest, goal = word[start:], side[start:]
    if len(word) != len(side):
        return rest[1:] == goal or rest == goal[1:]
    return rest[1:] == goal[1:] or (rest[:2] == goal[1::-1] and rest[2:] == goal[2:])
