"""The controls write sentences that the grammar reads, and are read back from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalseg.apps.sentence import LUNGS, MAX_COUNT, Controls, as_controls, least, write
from causalseg.errors import InputError
from causalseg.text.captions import parse
from causalseg.text.grammar_lung import ZONES

zones = st.sets(st.sampled_from(ZONES)).map(lambda s: tuple(z for z in ZONES if z in s))


@pytest.mark.parametrize(
    ("controls", "sentence"),
    [
        (("left", ["lower"], [], 1),
         "Unilateral pulmonary infection, one infected area, lower left lung."),
        (("both", ["upper"], ["lower", "upper", "middle"], 2),
         "Bilateral pulmonary infection, two infected areas, upper left lung and all right lung."),
        (("right", ["upper"], [], 3),
         "Unilateral pulmonary infection, three infected areas, right lung."),
        (("none", ["upper"], [], 3), "No pulmonary infection."),
        (("both", [], [], 1),
         "Bilateral pulmonary infection, two infected areas, left lung and right lung."),
    ],
)  # fmt: skip
def test_sentences_are_worded_as_in_the_training_captions(controls, sentence):
    assert write(*controls) == sentence


@given(st.sampled_from(LUNGS), zones, zones, st.integers(1, MAX_COUNT))
def test_a_sentence_gives_the_controls_back(side, left, right, count):
    found = as_controls(write(side, left, right, count))
    assert found == Controls(
        side,
        left if side in ("left", "both") else (),
        right if side in ("right", "both") else (),
        1 if side == "none" else max(count, least(side)),
    )


@given(st.sampled_from(["left", "right", "both"]), zones, zones, st.integers(1, MAX_COUNT))
def test_the_sentence_names_the_zones_that_were_chosen(side, left, right, count):
    chosen = {("left", z) for z in left if side != "right"}
    chosen |= {("right", z) for z in right if side != "left"}
    assert parse(write(side, left, right, count)).zones == chosen


@pytest.mark.parametrize("text", ["a polyp", "", "No polyp visible.", "left lung", "[" * 500])
def test_other_texts_leave_the_controls_alone(text):
    assert as_controls(text) is None


@pytest.mark.parametrize(
    "controls",
    [("up", [], [], 1), ("left", ["top"], [], 1), ("left", [], [], 0), ("left", [], [], 9)],
)  # fmt: skip
def test_controls_that_do_not_exist_are_refused(controls):
    with pytest.raises(InputError):
        write(*controls)
