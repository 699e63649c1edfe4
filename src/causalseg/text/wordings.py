"""Radiology wordings of a lung finding, drawn at random, to teach a text tower what they mean.

A caption grammar writes a finding in one way; people write it in many. `draw_pair` gives a
caption of the grammar and another sentence of the same meaning. The sentences are composed of
parts and are nobody's test set: the faithfulness suite's paraphrases are written elsewhere.
Sides are as in the captions, the viewer's, so that no word is used that only one lung can have
(lingula, right middle lobe).
"""

from collections.abc import Sequence

import numpy as np

from causalseg.text.grammar_lung import ZONES, lung_finding
from causalseg.text.words import OTHER_SIDE, SIDES, UNLOCATED

ABSENT = "no pulmonary infection."

_KINDS = (
    *("opacity", "opacities", "consolidation", "infiltrate", "infiltrates", "airspace disease"),
    *("airspace opacity", "air-space shadowing", "ground-glass opacity", "GGO", "pneumonia"),
    *(
        "infection",
        "hazy opacification",
        "opacification",
        "patchy consolidation",
        "ill-defined shadowing",
    ),
    *("COVID-19 pneumonia", "viral pneumonia", "confluent airspace change", "infective change"),
)
_HEDGES = ("", "", "", "", "", "possible ", "probable ", "likely ", "suspected ", "new ", "dense ")
_PLACED = (
    "{kind} in the {place}",
    "{kind} in the {place}",
    "there is {kind} in the {place}",
    "{kind} is seen in the {place}",
    "{kind} involving the {place}",
    "{kind} within the {place}",
    "{kind} noted in the {place}",
    "{kind} projected over the {place}",
    "{place}: {kind}",
    "the {place} shows {kind}",
    "{kind} affecting the {place}",
    "segment the {kind} in the {place}",
    "findings suggest {kind} in the {place}",
    "infected lung areas: {place}",
    "pulmonary infection is seen in the {place}",
)
_ADJECTIVE = ("{place} {kind}", "there is {place} {kind}", "{place} {kind} is present")
_ABSENT = (
    *(
        "lungs are clear",
        "the lungs are clear",
        "both lungs are clear",
        "clear lungs",
        "normal chest",
    ),
    *("normal chest radiograph", "no focal consolidation", "no consolidation", "no pneumonia"),
    *("no evidence of pneumonia", "no infiltrate", "no airspace opacity", "no opacities are seen"),
    *(
        "no acute cardiopulmonary process",
        "no acute cardiopulmonary abnormality",
        "unremarkable study",
    ),
    *("no focal consolidation, effusion or pneumothorax", "without focal airspace disease"),
    *("lungs are free of consolidation", "no active lung disease", "no infection of the lungs"),
    *("the lungs are well aerated and clear", "no sign of infection", "pneumonia has resolved"),
)
_UNLOCATED = (
    *("{kind}", "there is {kind}", "findings consistent with {kind}", "{kind} is present"),
    *("evidence of {kind}", "segment the {kind}", "appearances of {kind}"),
)
_ASIDES = (
    *(
        "no pleural effusion",
        "no pneumothorax",
        "heart size is normal",
        "no effusion or pneumothorax",
    ),
    *("the heart is not enlarged", "bones are intact", "no acute bony abnormality"),
)

_SHORT = {
    "left": ("left", "left", "left", "lt", "l"),
    "right": ("right", "right", "right", "rt", "r"),
}
_ONE_ZONE: dict[str, tuple[str, ...]] = {
    "upper": (
        *("{s} upper lobe", "{s} upper zone", "{i}UL", "{s} apex", "upper {s} lung"),
        *("upper zone of the {s} lung", "upper lobe of the {s} lung", "{s} apical region"),
    ),
    "middle": (
        *("{s} mid zone", "{s} middle zone", "{s} midlung", "middle {s} lung"),
        *("mid zone of the {s} lung", "{s} perihilar region"),
    ),
    "lower": (
        *("{s} lower lobe", "{s} lower zone", "{i}LL", "{s} base", "lower {s} lung"),
        *("{s} lung base", "base of the {s} lung", "lower zone of the {s} lung"),
        "{s} basal region",
    ),
}
_TWO_ZONES = (
    *("{s} {a} and {b} zones", "{a} and {b} {s} lung", "{a} {b} {s} lung", "{s} {a} and {b} lung"),
    *("{a} and {b} zones of the {s} lung", "{s} {a} zone and {s} {b} zone"),
)
_ALL_ZONES = (
    *("{s} lung", "whole {s} lung", "entire {s} lung", "all {s} lung", "{s} hemithorax"),
    "upper middle lower {s} lung",
)
_BOTH: dict[tuple[str, ...], tuple[str, ...]] = {
    ("lower",): ("both lung bases", "both bases", "both lower lobes", "both lower zones"),
    ("upper",): ("both apices", "both upper lobes", "both upper zones", "lung apices"),
    ("middle",): ("both mid zones", "both perihilar regions", "both middle zones"),
    ("upper", "middle"): ("both upper and mid zones", "upper and middle zones of both lungs"),
    ("middle", "lower"): ("both mid and lower zones", "mid and lower zones bilaterally"),
    ZONES: ("both lungs", "lungs bilaterally", "left and right lungs", "lungs diffusely"),
}
_BOTH_BEFORE: dict[tuple[str, ...], tuple[str, ...]] = {
    ("lower",): ("bibasilar", "bibasal", "bilateral lower lobe", "bilateral basal"),
    ("upper",): ("biapical", "bilateral upper lobe", "bilateral upper zone"),
    ("middle",): ("bilateral perihilar", "bilateral mid zone"),
    ZONES: (
        *("bilateral", "diffuse bilateral", "multifocal", "diffuse", "widespread", "b/l"),
        *("multifocal bilateral", "extensive bilateral"),
    ),
}

Zones = tuple[tuple[str, ...], tuple[str, ...]]
"""The zones named of the left and of the right lung, each in the order upper, middle, lower."""


def draw_pair(rng: np.random.Generator) -> tuple[str, str]:
    """A sentence and the caption that says the same in SGSeg's wording."""
    kind = rng.random()
    if kind < 0.08:
        return _finish(rng, _pick(rng, _ABSENT), ()), ABSENT
    if kind < 0.16:
        sentence = _pick(rng, _UNLOCATED).format(kind=_finding(rng))
        return _finish(rng, sentence, _ASIDES), UNLOCATED
    zones = draw_zones(rng)
    return located(rng, zones), lung_finding(*zones).compose()


def draw_zones(rng: np.random.Generator) -> Zones:
    """One lung, both alike, or both at random."""
    kind = rng.random()
    first = _subset(rng)
    if kind < 0.45:
        return (first, ()) if rng.random() < 0.5 else ((), first)
    return (first, first) if kind < 0.75 else (first, _subset(rng))


def located(rng: np.random.Generator, zones: Zones) -> str:
    """A sentence that names these zones."""
    left, right = zones
    kind = _finding(rng)
    both = _both(rng, left) if left == right and rng.random() < 0.6 else None
    if both is not None:
        place, adjective = both
        form = _pick(rng, _ADJECTIVE if adjective else _PLACED)
        return _finish(rng, form.format(kind=kind, place=place), _ASIDES)
    named = [(side, z) for side, z in zip(SIDES, zones, strict=True) if z]
    if rng.random() < 0.3:
        named.reverse()
    asides: Sequence[str] = _ASIDES
    if len(named) == 1:
        other = OTHER_SIDE[named[0][0]]
        asides = (*_ASIDES, *(f"the {x} lung is clear" for x in (other, "other", other, other)))
    elif rng.random() < 0.25:  # a sentence for each lung
        # Without hedges: what is possible beside what is certain may be left out.
        parts = [
            _pick(rng, _PLACED).format(kind=_pick(rng, _KINDS), place=_one(rng, *n)) for n in named
        ]
        return _finish(rng, _pick(rng, (". ", "; ", ", and ")).join(parts), asides)
    place = " and ".join(_one(rng, side, z) for side, z in named)
    if len(named) == 2 and rng.random() < 0.3:
        place = place.replace(" and ", ", ", 1) if place.count(" and ") == 1 else place
    form = _pick(rng, _PLACED if len(named) == 2 or rng.random() < 0.6 else _ADJECTIVE)
    return _finish(rng, form.format(kind=kind, place=place), asides)


def _finding(rng: np.random.Generator) -> str:
    return _pick(rng, _HEDGES) + _pick(rng, _KINDS)


def _one(rng: np.random.Generator, side: str, zones: tuple[str, ...]) -> str:
    """Some zones of one lung."""
    words = {"s": _pick(rng, _SHORT[side]), "i": side[0].upper()}
    if zones == ZONES:
        return _pick(rng, _ALL_ZONES).format(**words)
    if len(zones) == 2:
        a, b = (_pick(rng, ("mid", "middle")) if z == "middle" else z for z in zones)
        return _pick(rng, _TWO_ZONES).format(**words, a=a, b=b)
    return _pick(rng, _ONE_ZONE[zones[0]]).format(**words)


def _both(rng: np.random.Generator, zones: tuple[str, ...]) -> tuple[str, bool] | None:
    """The same zones of both lungs, and whether the words stand before the finding."""
    before = zones in _BOTH_BEFORE and rng.random() < 0.5
    choices = (_BOTH_BEFORE if before else _BOTH).get(zones)
    return (_pick(rng, choices), before) if choices else None


def _finish(rng: np.random.Generator, sentence: str, asides: Sequence[str]) -> str:
    """Sometimes an aside or a typing error; usually a capital and a full stop."""
    if asides and rng.random() < 0.2:
        sentence = f"{sentence}. {_pick(rng, asides)}"
    if rng.random() < 0.08:
        sentence = _mistyped(rng, sentence)
    return sentence[:1].upper() + sentence[1:] + ("." if rng.random() < 0.7 else "")


def _mistyped(rng: np.random.Generator, sentence: str) -> str:
    """One letter of one word of five letters or more left out, doubled, or exchanged."""
    words = sentence.split(" ")
    long = [i for i, word in enumerate(words) if len(word) >= 5 and word.isalpha()]
    if not long:
        return sentence
    i = long[int(rng.integers(len(long)))]
    word, at = words[i], int(rng.integers(1, len(words[i]) - 1))
    slips = (word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:])
    words[i] = _pick(rng, (*slips, word[:at] + word[at + 1] + word[at] + word[at + 2 :]))
    return " ".join(words)


def _subset(rng: np.random.Generator) -> tuple[str, ...]:
    sets = (("lower",), ("upper",), ("middle",), ("middle", "lower"), ("upper", "middle"))
    chances = (0.26, 0.14, 0.14, 0.16, 0.08, 0.04, 0.18)
    return (*sets, ("upper", "lower"), ZONES)[int(rng.choice(7, p=chances))]


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
