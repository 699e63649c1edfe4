"""A sentence that is read, near to one that is not: what to write instead."""

from functools import cache

from causalseg.text.grammar_lung import ZONES
from causalseg.text.words import SIDES

_EXAMPLE = "Consolidation in the left lower lobe."
# The likeness (0 to 100) from which a sentence is offered for its own sake.
_LIKE = 55


@cache
def _sentences() -> list[str]:
    """Plain sentences for every place, each read without a note but for a zone's own rule."""
    places = [f"{side} {zone} zone" for side in SIDES for zone in ZONES]
    places += [*(f"{side} lung" for side in SIDES), "both lungs", "both lung bases"]
    found = [f"{word} in the {place}." for place in places[:8] for word in ("Opacity", "Pneumonia")]
    found += [f"{word} in {place}." for place in places[8:] for word in ("Opacities", "Pneumonia")]
    return [*found, "Pneumonia.", "Lungs are clear.", "No consolidation.", _EXAMPLE]


def nearest_readable(text: str) -> str:
    """The readable sentence that is most like a text; a plain example where none is."""
    from rapidfuzz import fuzz, process

    best = process.extractOne(text.lower(), _sentences(), scorer=fuzz.token_set_ratio,
                              processor=str.lower, score_cutoff=_LIKE)  # fmt: skip
    return _EXAMPLE if best is None else str(best[0])
