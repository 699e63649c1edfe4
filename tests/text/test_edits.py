import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalseg.text import edits
from causalseg.text.captions import parse
from causalseg.text.edits import Edit, EditKind, Expectation, edits_of, other_captions, stratum
from causalseg.text.grammar_lung import ZONES, LungFinding, lung_finding
from causalseg.text.grammar_polyp import PolypFinding
from causalseg.text.paraphrases import paraphrases

SUBSETS = [tuple(z for i, z in enumerate(ZONES) if bits >> i & 1) for bits in range(8)]
wordings = st.sampled_from(["lvit", "sgseg"])
lung_captions = st.builds(
    lambda left, right, wording: lung_finding(left, right, wording).compose(),
    st.sampled_from(SUBSETS),
    st.sampled_from(SUBSETS),
    wordings,
)
seeds = st.integers(0, 1000)
BILATERAL = (
    "bilateral pulmonary infection, three infected areas, "
    "lower left lung and middle lower right lung."
)
POLYPS = "Multiple polyps, two small polyp areas, upper center and middle left of the image."
PROMPT = "one medium white round polyp, located in top left of the image"
NUCLEI = "The nuclei density in the upper left is high."


def lung(text: str) -> LungFinding:
    finding = parse(text)
    assert isinstance(finding, LungFinding)
    return finding


@given(lung_captions, seeds)
def test_edits_do_what_they_say_to_the_zones(text: str, seed: int) -> None:
    before = lung(text)
    for edit in edits_of(text, seed):
        assert edit.original == text != edit.caption
        if edit.kind is EditKind.SWAP_SIDES:
            trade = {"left": "right", "right": "left"}
            assert lung(edit.caption).zones == {(trade[s], z) for s, z in before.zones}
            assert len(edit.gained) == len(edit.gone) > 0
        if edit.kind is EditKind.DROP_CLAUSE:
            after = lung(edit.caption)
            assert after.laterality == "unilateral"
            assert after.zones < before.zones
            assert (edit.gained, edit.gone) == (frozenset(), before.zones - after.zones)
            assert {side for side, _ in edit.gone}.isdisjoint({side for side, _ in after.zones})
        if edit.kind is EditKind.MOVE_ZONE:
            ((side, leaves),) = edit.gone
            ((other, enters),) = edit.gained
            assert side == other
            assert leaves != enters
            assert lung(edit.caption).count == before.count
        if edit.kind is EditKind.CHANGE_COUNT:
            after = lung(edit.caption)
            assert after.count != before.count
            assert (after.zones, after.laterality) == (before.zones, before.laterality)
        if edit.kind is EditKind.NEGATE:
            assert lung(edit.caption).absent
            assert edit.gone == before.zones


@given(lung_captions, seeds)
def test_same_seed_same_edits(text: str, seed: int) -> None:
    assert edits_of(text, seed) == edits_of(text, seed)


def test_seeds_differ() -> None:
    for kind in (
        EditKind.DROP_CLAUSE,
        EditKind.MOVE_ZONE,
        EditKind.CHANGE_COUNT,
        EditKind.PARAPHRASE,
    ):
        made = {
            e.caption for seed in range(20) for e in edits_of(BILATERAL, seed) if e.kind is kind
        }
        assert len(made) > 1, kind


def kinds(text: str) -> set[EditKind]:
    return {edit.kind for edit in edits_of(text)}


def test_which_edits_apply() -> None:
    always = {EditKind.EMPTY, EditKind.GIBBERISH}
    read = always | {EditKind.PARAPHRASE}
    assert kinds(BILATERAL) == read | {
        *(
            EditKind.SWAP_SIDES,
            EditKind.DROP_CLAUSE,
            EditKind.MOVE_ZONE,
            EditKind.CHANGE_COUNT,
            EditKind.NEGATE,
        )
    }
    whole = "Unilateral pulmonary infection, one infected area, all left lung."
    assert kinds(whole) == read | {EditKind.SWAP_SIDES, EditKind.CHANGE_COUNT, EditKind.NEGATE}
    symmetric = lung_finding(("lower",), ("lower",)).compose()
    assert EditKind.SWAP_SIDES not in kinds(symmetric)
    assert kinds("No pulmonary infection.") == read
    assert kinds(NUCLEI) == read | {EditKind.SWAP_SIDES}
    assert kinds("opacity near the left base") == always | {EditKind.SWAP_SIDES}
    assert kinds("enlarged left ventricle") == always
    assert kinds("") == set()
    assert kinds("12, 34.") == {EditKind.EMPTY}


def test_expectations() -> None:
    found = {edit.kind: edit.expectation for edit in edits_of(BILATERAL)}
    assert found == {
        EditKind.SWAP_SIDES: Expectation.MOVES,
        EditKind.DROP_CLAUSE: Expectation.SHRINKS,
        EditKind.MOVE_ZONE: Expectation.MOVES,
        EditKind.CHANGE_COUNT: Expectation.UNCHANGED,
        EditKind.NEGATE: Expectation.EMPTY,
        EditKind.PARAPHRASE: Expectation.UNCHANGED,
        EditKind.EMPTY: Expectation.UNDEFINED,
        EditKind.GIBBERISH: Expectation.UNDEFINED,
    }
    count = edits.change_count(POLYPS)
    assert count is not None
    assert count.expectation is Expectation.UNDEFINED


def test_polyp_edits() -> None:
    before = parse(POLYPS)
    assert isinstance(before, PolypFinding)
    dropped, moved = edits.drop_clause(POLYPS), edits.move_zone(POLYPS)
    assert dropped is not None
    assert moved is not None
    after = parse(dropped.caption)
    assert isinstance(after, PolypFinding)
    assert after.count == 1
    assert set(after.positions) < set(before.positions)
    there = parse(moved.caption)
    assert isinstance(there, PolypFinding)
    assert there.positions[0] not in before.positions
    assert there.positions[1:] == before.positions[1:]
    # Three polyps in two cells: which place would go with a polyp is unknown.
    assert edits.drop_clause(POLYPS.replace("two", "three")) is None
    everywhere = " and ".join(f"{r} {c}" for r in ZONES for c in ("left", "center", "right"))
    full = f"Multiple polyps, nine or more small polyp areas, {everywhere} of the image."
    assert parse(full).compose() == full
    assert edits.move_zone(full) is None


@given(lung_captions)
def test_paraphrases_name_the_same_sides(text: str) -> None:
    finding = lung(text)
    ways = paraphrases(finding)
    assert len(set(ways)) == len(ways) > 1
    for way in ways:
        assert way != text
        for side, part in (("left", finding.left), ("right", finding.right)):
            assert (f"{side} lung" in way) == (part is not None)
        if part := (finding.left or finding.right):
            assert "whole" in way or "all" in way or all(zone in way for zone in part.zones)


@pytest.mark.parametrize(
    "text", [POLYPS, PROMPT, NUCLEI, "No polyp visible.", "The nuclei density is higher around."]
)
def test_other_wordings_have_paraphrases(text: str) -> None:
    ways = paraphrases(parse(text))
    assert len(set(ways)) == len(ways) > 1
    assert all(("left" in way) == ("left" in text) for way in ways)


@given(st.text(max_size=40), seeds)
def test_gibberish_keeps_only_the_shape(text: str, seed: int) -> None:
    edit = edits.gibberish(text, seed)
    if edit is None:
        assert not any(map(str.isalpha, text))
        return
    assert len(edit.caption) == len(text)
    assert edit.caption != text
    assert not {"left", "right", "lung", "no"} & set(edit.caption.split())


def test_fixed_caption() -> None:
    assert edits.replace_by("a", "a") is None
    assert edits.replace_by("a", "b") == Edit(EditKind.FIXED, "a", "b", Expectation.UNDEFINED)


@given(st.lists(lung_captions, max_size=30), seeds, st.booleans())
def test_other_captions_come_from_the_right_stratum(
    texts: list[str], seed: int, same: bool
) -> None:
    replaced = other_captions(texts, same_stratum=same, seed=seed)
    assert len(replaced) == len(texts)
    for text, edit in zip(texts, replaced, strict=True):
        possible = {t for t in texts if t != text and (stratum(t) == stratum(text)) == same}
        assert (edit is None) == (not possible)
        if edit is not None:
            assert (edit.original, edit.caption in possible) == (text, True)
    assert replaced == other_captions(texts, same_stratum=same, seed=seed)


def test_other_captions_are_drawn_as_often_as_images_have_them() -> None:
    rare, common = lung_finding(("upper",), ()).compose(), lung_finding((), ("lower",)).compose()
    text = lung_finding(("lower",), ()).compose()
    drawn = other_captions([text] * 1000, same_stratum=True, pool=[rare] + [common] * 9)
    share = sum(edit is not None and edit.caption == common for edit in drawn) / 1000
    assert 0.85 < share < 0.95


def test_unread_texts_form_one_stratum() -> None:
    assert stratum("free text") == stratum("other text") != stratum(BILATERAL)
    assert stratum(POLYPS) == (2, ("small",))
    assert stratum(PROMPT) != stratum(NUCLEI)
