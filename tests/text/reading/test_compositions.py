"""Findings, places and what else reports say, put together in every combination: none misleads."""

from itertools import cycle

import pytest

from causalseg.text.grammar_lung import ZONES
from causalseg.text.reading import read
from causalseg.text.words import SIDES

ALL = frozenset((side, zone) for side in SIDES for zone in ZONES)
CODES = {"L": "left", "R": "right", "U": "upper", "M": "middle", "D": "lower"}
PLACES = {
    "the left lower lobe": "LD",
    "the right base": "RD",
    "the LLL": "LD",
    "the right mid zone": "RM",
    "the left upper zone": "LU",
    "the right apex": "RU",
    "the left lung": "LU LM LD",
    "both bases": "LD RD",
    "the lower zones bilaterally": "LD RD",
    "the right middle lobe": "RM",
    "the lingula": "LM",
    "the right upper and middle lobes": "RU RM",
    "the left mid and lower zones": "LM LD",
    "the right upper lobe and left lower lobe": "RU LD",
    "the left upper lobe and the right lung base": "LU RD",
    "the RUL and RML": "RU RM",
    "the right lung, upper zone": "RU",
    "the right perihilar region": "RM",
    "all zones of the right lung": "RU RM RD",
    "the retrocardiac region": "LD",
    "the upper and lower zones of the left lung": "LU LD",
    "the base of the right lung": "RD",
    "the mid zones of both lungs": "LM RM",
    "the right hemithorax": "RU RM RD",
    "the superior segment of the left lower lobe": "LD",
}
FINDINGS = (
    *("consolidation", "patchy airspace opacities", "pneumonia", "ground-glass opacity"),
    *("hazy shadowing", "airspace disease", "new opacification", "infective change"),
)
BESIDE = (
    *("", "The heart size is normal.", "No pleural effusion or pneumothorax."),
    *("Endotracheal tube in satisfactory position.", "Old right rib fractures."),
    *("Right subclavian line tip in the SVC.", "Small left effusion.", "Comparison: none."),
)
PRESENT = (
    "There is {f} in {p}.",
    "In {p} there is {f}.",
    "Persistent {f} in {p}, unchanged.",
    "Interval development of {f} in {p}.",
    "Findings: {f} in {p}, in keeping with pneumonia.",
    "There is {f} in {p} with no pleural effusion.",
    "The {f} in {p} has not resolved.",
    "No change in the {f} in {p}.",
    "Cardiomegaly and {f} in {p}.",
    "Lungs are clear except for {f} in {p}.",
    "There is {f} in {p} without collapse or effusion.",
)
UNCERTAIN = (
    "Possible {f} in {p}.",
    "The {f} in {p} cannot be excluded.",
    "Cannot exclude {f} in {p}.",
    "Is there {f} in {p}?",
    "There may be {f} in {p}.",
    "It is unclear whether there is {f} in {p}.",
)
ABSENT = (
    "There is no {f} in {p}.",
    "The {f} in {p} has resolved.",
    "The {f} in {p} is no longer seen.",
    "No evidence of {f} in {p}.",
    "Resolution of the {f} in {p}.",
)
# With another place {q}, which has no zone in common with {p}; which of them has the finding.
TWO = {
    "There is {f} in {p}. The lungs are clear in {q}.": "p",
    "There is {f} in {p} and {g} in {q}.": "pq",
    "Small effusion in {q} and {f} in {p}.": "p",
    "There is {f} in {p} and a nodule in {q}.": "p",
    "No {g} in {q}. There is {f} in {p}.": "p",
    "There is {f} in {p} but not in {q}.": "p",
    "The {g} in {q} has resolved. New {f} in {p}.": "p",
    "Scarring in {q}, but {f} in {p} is new.": "p",
    "Diffuse opacities sparing {p}.": "-p",
    "Bilateral {f} except in {p}.": "-p",
}


def zones(place: str) -> frozenset[tuple[str, str]]:
    return frozenset((CODES[code[0]], CODES[code[1]]) for code in PLACES[place].split())


@pytest.mark.parametrize(
    ("templates", "status"), [(PRESENT, "present"), (UNCERTAIN, "uncertain"), (ABSENT, "absent")]
)
def test_a_finding_among_other_sentences(templates: tuple[str, ...], status: str) -> None:
    findings, before, after = cycle(FINDINGS), cycle(BESIDE), cycle(BESIDE[3:])
    for template in templates:
        for place in PLACES:
            sentence = template.format(f=next(findings), p=place)
            text = f"{next(before)} {sentence} {next(after)}".strip()
            found = read(text)
            assert found.status == status, text
            assert set(found.zones) == (set() if status == "absent" else zones(place)), text


@pytest.mark.parametrize("template", TWO)
def test_two_places_in_one_text(template: str) -> None:
    findings = cycle(FINDINGS)
    tried = 0
    for place in PLACES:
        for other in PLACES:
            if zones(place) & zones(other):
                continue
            f, g = next(findings), next(findings)
            text = template.format(f=f, g=g, p=place, q=other)
            wanted = {"p": zones(place), "pq": zones(place) | zones(other)}
            found = read(text)
            assert found.status == "present", text
            assert set(found.zones) == wanted.get(TWO[template], ALL - zones(place)), text
            tried += 1
    assert tried > 300
