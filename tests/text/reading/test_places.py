"""Every set of zones in many ways of naming it, and in the suite's paraphrases."""

from collections.abc import Callable
from itertools import combinations

import pytest

from causalseg.text.grammar_lung import ZONES, lung_finding
from causalseg.text.paraphrases import paraphrases
from causalseg.text.reading import read

Heights = tuple[str, ...]
Lungs = list[tuple[str, Heights]]
SUBSETS = [zones for count in range(4) for zones in combinations(ZONES, count)]
WORDS = {"upper": "upper", "middle": "mid", "lower": "lower"}
LETTERS = {"upper": "UZ", "middle": "MZ", "lower": "LZ"}


def words(heights: Heights, last: str = " and ") -> str:
    *first, end = (WORDS[height] for height in heights)
    return last.join([", ".join(first), end]) if first else end


def zone(heights: Heights) -> str:
    return "zone" if len(heights) == 1 else "zones"


def each(form: Callable[[str, Heights], str], joint: str) -> Callable[[Lungs], str]:
    return lambda lungs: joint.join(form(side, heights) for side, heights in lungs)


STYLES: dict[str, Callable[[Lungs], str]] = {
    "Opacities in the {}": each(lambda s, h: f"{words(h)} {s} lung", " and "),
    "Opacities in the {}.": each(lambda s, h: f"{words(h)} {zone(h)} of the {s} lung", " and the "),
    "There are opacities in the {}.": each(
        lambda s, h: f"{s} {words(h)} {zone(h)}", " and in the "
    ),
    "Consolidation, {}": each(lambda s, h: f"{s} {words(h)} {zone(h)}", ", "),
    "Opacities: {}": each(lambda s, h: f"on the {s} in the {words(h)} {zone(h)}", ", "),
    "Seen {}.": each(lambda s, h: f"on the {s} opacity in the {words(h)} {zone(h)}", "; "),
    "GGO {}": each(lambda s, h: ", ".join(f"{s[0].upper()}{LETTERS[x]}" for x in h), ", "),
    "GGO: {}": each(lambda s, h: "/".join(f"{s[0].upper()}{LETTERS[x]}" for x in h), "/"),
    "Opacities seen in the {}": each(lambda s, h: f"{words(h)} {zone(h)} on the {s}", " and "),
    "Consolidation in the {}": each(
        lambda s, h: " and ".join(f"{s} {WORDS[x]} zone" for x in h), " and "
    ),
    "{}": each(lambda s, h: f"{s} lung: opacity in the {words(h)} {zone(h)}.", " "),
    "{}.": each(lambda s, h: f"{words(h)} zone opacity on the {s}", ". "),
    "Opacities are seen in the {}": each(lambda s, h: f"{s} lung ({words(h)} {zone(h)})", " and "),
    "Airspace disease involving the {}": each(
        lambda s, h: f"{words(h)} lobes on the {s} side", " as well as the "
    ),
    "Patchy consolidation in the {}": each(
        lambda s, h: f"whole of the {s} lung" if len(h) == 3 else f"{s} {words(h, ', and ')} zones",
        " and the ",
    ),
    "The {} are opacified.": each(lambda s, h: f"{words(h)} {zone(h)} of the {s} lung", " and "),
    "Infection is seen in the {}.": each(
        lambda s, h: ", the ".join(f"{WORDS[x]} {s} lung" for x in h), ", the "
    ),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("right_first", [False, True])
def test_every_set_of_zones(style: str, right_first: bool) -> None:
    for left in SUBSETS:
        for right in SUBSETS:
            lungs = [(side, heights) for side, heights in (("left", left), ("right", right))]
            named = [lung for lung in lungs if lung[1]]
            if not named:
                continue
            text = style.format(STYLES[style](named[::-1] if right_first else named))
            found = read(text)
            assert found.status == "present", text
            wanted = {(side, height) for side, heights in named for height in heights}
            assert set(found.zones) == wanted, text


@pytest.mark.parametrize("wording", ["sgseg", "lvit"])
def test_paraphrases_of_captions(wording: str) -> None:
    for left in SUBSETS:
        for right in SUBSETS:
            finding = lung_finding(left, right, wording)  # type: ignore[arg-type]
            for text in (finding.compose(), *paraphrases(finding)):
                found = read(text, "viewer")
                assert found.status == ("absent" if finding.absent else "present"), text
                assert frozenset(found.zones) == finding.zones, text
                assert found.canonical() == lung_finding(left, right).compose(), text
