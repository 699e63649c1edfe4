import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalseg.errors import InputError
from causalseg.text.captions import GRAMMARS, Finding, mirror_caption, parse, parse_all
from causalseg.text.grammar_lung import (
    LATERALITIES,
    ZONES,
    Lung,
    LungFinding,
    lung_finding,
    reworded,
)
from causalseg.text.grammar_nuclei import MANNERS, NucleiFinding
from causalseg.text.grammar_polyp import _COLUMNS, _ROWS, _SIZES, COLOURS, PolypFinding, PolypPrompt
from causalseg.text.words import CaptionError

ALL_ZONES = [tuple(z for i, z in enumerate(ZONES) if bits >> i & 1) for bits in range(8)]

zones = st.sampled_from(ALL_ZONES)
lungs = st.builds(Lung, zones, st.booleans()).map(
    lambda lung: lung if lung.zones == ZONES else Lung(lung.zones)
)


@st.composite
def lung_findings(draw: st.DrawFn) -> LungFinding:
    wording = draw(st.sampled_from(["lvit", "sgseg"]))
    left, right = draw(st.none() | lungs), draw(st.none() | lungs)
    if left is None and right is None:
        return LungFinding(None, 0, None, None, wording)
    return LungFinding(
        draw(st.sampled_from(LATERALITIES)),
        draw(st.integers(1, 20)),
        left,
        right,
        wording,
        right_first=left is not None and right is not None and draw(st.booleans()),
    )


cells = st.tuples(st.sampled_from(_ROWS), st.sampled_from(_COLUMNS))
polyp_findings = st.integers(0, 9).flatmap(
    lambda count: (
        st.just(PolypFinding(0, None, ()))
        if count == 0
        else st.builds(
            PolypFinding,
            st.just(count),
            st.sampled_from(_SIZES),
            st.lists(cells, min_size=1, max_size=4).map(tuple),
        )
    )
)
prompts = st.builds(
    PolypPrompt,
    st.integers(1, 20),
    st.lists(st.sampled_from(_SIZES), min_size=1, max_size=2).map(tuple),
    st.sampled_from(COLOURS),
    st.sampled_from(["round", "a large, oval bump", "right ear", "it is a round shape"]),
    st.lists(
        st.sampled_from(["center", "top", "left", "right", "top left", "bottom right"]),
        min_size=1,
        max_size=4,
    ).map(tuple),
)
nuclei = st.one_of(
    st.builds(NucleiFinding, st.sampled_from([*MANNERS, "around"])),
    st.builds(NucleiFinding, st.none(), st.sampled_from(_ROWS), st.sampled_from([None, *_COLUMNS])),
    st.builds(NucleiFinding, st.none(), st.none(), st.sampled_from(_COLUMNS)),
)
findings = st.one_of(lung_findings(), polyp_findings, prompts, nuclei)


@given(findings)
def test_composed_captions_parse_back(finding: Finding) -> None:
    text = finding.compose()
    again = parse(text)
    assert again == finding
    assert again.compose() == text


@given(findings)
def test_swapping_sides_is_exact_and_undone_by_itself(finding: Finding) -> None:
    text = finding.compose()
    swapped = mirror_caption(text)
    assert swapped is not None
    assert parse(swapped) == finding.swapped()
    assert mirror_caption(swapped) == text
    # Independent of the grammar: words neither appear nor vanish, only the sides trade places.
    trade = {"left": "right", "right": "left"}
    if not isinstance(finding, PolypPrompt):  # a shape such as "right ear" stays
        expected = sorted(trade.get(word, word) for word in bare_words(text))
        assert sorted(bare_words(swapped)) == expected


def bare_words(text: str) -> list[str]:
    return text.replace(",", " ").replace(".", " ").split()


@given(lung_findings())
def test_case_and_spacing_do_not_matter(finding: LungFinding) -> None:
    text = finding.compose()
    assert parse(text.upper()) == parse(f"  {text.replace(' ', '   ').rstrip('.')}") == finding


def test_swap_composes_in_canonical_order() -> None:
    start = "bilateral pulmonary infection, two infected areas, "
    assert (
        mirror_caption(start + "upper left lung and lower right lung.")
        == start + "lower left lung and upper right lung."
    )


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("", ""),
        ("No side named.", "No side named."),
        ("No pulmonary infection.", "No pulmonary infection."),
        ("Opacity in the LEFT lung, Right base.", "Opacity in the RIGHT lung, Left base."),
        ("right-sided effusion", "left-sided effusion"),
        ("polyp in the upper left of the image", "polyp in the upper right of the image"),
        ("on the left.", "on the right."),
        (
            "one small pink right ear polyp, located in top left, center of the image",
            "one small pink right ear polyp, located in top right, center of the image",
        ),
    ],
)
def test_swap_of_other_texts(text: str, swapped: str) -> None:
    assert mirror_caption(text) == swapped
    assert mirror_caption(swapped) == text


@pytest.mark.parametrize(
    "text",
    [
        "right-handed marker",
        "leftover contrast in the left lung",
        "enlarged left ventricle",
        "what is left",
        "all right",
        "lEfT lung",
        "right middle lobe opacity",
        "polyp at 3 o'clock in the left half",
        "left_lung",
        "upright left lung",
    ],
)
def test_unsafe_sides_are_not_swapped(text: str) -> None:
    assert mirror_caption(text) is None


SIDE_WORDS = ["the", "left", "Right", "lung", "of", "opacity,", "RIGHT", "base.", "upper"]


@given(st.lists(st.sampled_from(SIDE_WORDS)))
def test_any_swap_is_undone_by_itself(words: list[str]) -> None:
    text = " ".join(words)
    swapped = mirror_caption(text)
    assert swapped is None or mirror_caption(swapped) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Bilateral pulmonary infection, two infected areas, upper left lung and all right "
            "lung with small effusion.",
            ("with", "small", "effusion"),
        ),
        ("unilateral pulmonary infection, one infected area, lower left lobe.", ("lobe",)),
        ("unilateral pulmonary infection, one infected area,", ()),
        (
            "bilateral pulmonary infection, two infected areas, upper left lung and lower left "
            "lung.",
            ("left", "lung", "."),
        ),
        ("Single polyp, one huge polyp area, middle center of the image.", ("huge",)),
        ("The nuclei density in the north is high.", ("north",)),
        ("cardiomegaly", ("cardiomegaly",)),
        ("", ()),
    ],
)
def test_unparsed_words_are_named(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(CaptionError) as caught:
        parse(text)
    assert caught.value.words == words
    assert all(word in str(caught.value) for word in words)


WORDS = sorted(frozenset[str]().union(*(vocabulary for _, vocabulary in GRAMMARS)))


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=20).map(" ".join))
def test_any_text_is_read_or_its_words_are_named(text: str) -> None:
    (finding,), errors = parse_all([text])
    assert (finding is None) == (len(errors) == 1)
    assert all(word in text for error in errors for word in error.words)
    assert finding is None or parse(finding.compose()) == finding


@given(lung_findings(), st.sampled_from(["effusion", "probably", "42"]), st.integers(0, 20))
def test_an_inserted_word_is_the_one_named(finding: LungFinding, word: str, place: int) -> None:
    words = finding.compose().split()
    place = min(place, len(words) - 1)  # before the last word, so that its full stop stays
    if place == 0:
        return  # no grammar starts: every word is named then
    with pytest.raises(CaptionError) as caught:
        parse(" ".join([*words[:place], word, *words[place:]]))
    assert caught.value.words == (word,)


def test_parse_all_keeps_order() -> None:
    found, errors = parse_all(["nonsense", "No polyp visible.", "more nonsense"])
    assert [finding is None for finding in found] == [True, False, True]
    assert [error.text for error in errors] == ["nonsense", "more nonsense"]


@pytest.mark.parametrize("text", ["No pulmonary infection.", "No polyp visible."])
def test_absent_findings(text: str) -> None:
    finding = parse(text)
    assert finding.absent
    assert finding.count == 0  # type: ignore[union-attr]
    assert finding.compose() == text


@given(zones, zones)
def test_rewording_keeps_the_zones(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    finding = lung_finding(left, right, "sgseg")
    other = reworded(finding, "lvit")
    assert other.zones == finding.zones
    assert reworded(other, "sgseg").compose() == finding.compose()
    assert parse(other.compose()).compose() == other.compose()


def test_both_wordings_as_published() -> None:
    finding = lung_finding(("upper",), ZONES, "sgseg")
    assert finding.compose() == (
        "bilateral pulmonary infection, four infected areas, upper left lung and "
        "upper middle lower right lung."
    )
    assert reworded(finding, "lvit").compose() == (
        "Bilateral pulmonary infection, two infected areas, upper left lung and all right lung."
    )


def test_impossible_findings_are_refused() -> None:
    with pytest.raises(InputError, match="in this order"):
        Lung(("lower", "upper"))
    with pytest.raises(InputError, match="from 0 to 20"):
        LungFinding("bilateral", 21, Lung(), Lung()).compose()
    with pytest.raises(InputError, match="without a zone"):
        reworded(LungFinding("unilateral", 1, Lung(), None, "lvit"), "sgseg")


def captions(root: Path) -> Iterator[dict[str, str]]:
    for path in sorted(root.rglob("*_text*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


@pytest.mark.realdata
def test_every_real_caption_parses_comes_back_and_swaps(data_root: Path) -> None:
    texts = sorted({row["Description"] for row in captions(data_root)})
    assert len(texts) > 600
    for text in texts:
        assert parse(text).compose() == text
        swapped = mirror_caption(text)
        assert swapped is not None
        assert mirror_caption(swapped) == text


@pytest.mark.realdata
def test_original_wording_names_the_same_zones(qata_root: Path) -> None:
    folder = qata_root / "Test_Folder"
    tables = []
    for name in ("Test_text.csv", "Test_text_lvit_original_wording_sample.csv"):
        with (folder / name).open(newline="", encoding="utf-8") as file:
            tables.append({row["Image"]: row["Description"] for row in csv.DictReader(file)})
    reference, original = tables
    assert len(original) == 109
    for image, text in original.items():
        finding = parse(text)
        assert isinstance(finding, LungFinding)
        assert reworded(finding, "sgseg").compose() == reference[image]
