"""Sides in other words, and invisible characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalseg.errors import InputError
from causalseg.text.captions import mirror_caption
from causalseg.text.clean import clean_text
from causalseg.text.sides import unmirrored_side


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("RLL consolidation", "RLL"),
        ("opacity in the LUL and LLL", "LUL"),
        ("L lung base opacity", "L"),
        ("Rt. lower zone opacity", "Rt"),
        ("opacity in lung (r)", "r"),
        ("effusion R>L", "R"),
        ("opacity in the rigth lung", "rigth"),
        ("infection of lfet lung", "lfet"),
        ("lef lung", "lef"),
        ("ri ght lung", "ght"),
        ("linke Lunge unten", "linke"),
        ("rechtsseitiger Erguss", "rechtsseitiger"),
        ("poumon gauche", "gauche"),
        ("base derecha", "derecha"),
        ("polmone sinistro", "sinistro"),
        ("lewe płuco", "lewe"),
        ("höger lunga", "höger"),
        ("左肺", "左肺"),
        ("левое легкое", "левое"),
        ("lower lеft lung", "lеft"),  # with a Cyrillic letter
        ("LV enlargement", "LV"),
        ("hemithorax dexter", "dexter"),
        ("opacité LSD", "opacité"),
        ("LID y base", "LID"),
        ("lijevo pluce", "lijevo"),
        ("kairys plautis", "kairys"),
        ("sagda opasite", "sagda"),
    ],
)
def test_a_side_in_other_words_is_found_and_its_image_never_flipped(text: str, word: str) -> None:
    assert unmirrored_side(text) == word
    assert mirror_caption(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "no opacity",
        "both lungs",
        "light, tight nodule at eight levels",
        "patchy ground-glass opacity, lower zones",
        "L1 fracture",
        "the lid of a level, parallel",
        "three small round polyps in the center",
    ],
)
def test_texts_without_a_side_stay_as_they_are(text: str) -> None:
    assert unmirrored_side(text) is None
    assert mirror_caption(text) == text


@given(st.sampled_from(["left", "right"]), st.data())
def test_every_single_slip_of_the_pen_is_caught(side: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(side) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    slips = [
        side[:place] + side[place + 1 :],
        side[:place] + letter + side[place + 1 :],
        side[:place] + letter + side[place:],
        side[:place] + side[place : place + 2][::-1] + side[place + 2 :],
    ]
    words = {"light", "might", "night", "sight", "fight", "tight", "eight", "lest", "lent"}
    words |= {"lift", "loft", "deft", "heft", "weft", "let"}
    for slip in slips:
        text = f"opacity of the {slip} lung"
        swapped = mirror_caption(text)
        assert slip in words or swapped is None or swapped != text


def test_long_texts_are_swapped_in_one_pass() -> None:
    text = "the left lung and the right base, " * 30_000
    swapped = mirror_caption(text)
    assert swapped is not None
    assert mirror_caption(swapped) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("lower\u00a0left\u2003lung\t\n", "lower left lung"),
        ("lo\u00adwer le\u200bft lu\ufeffng", "lower left lung"),
        ("left\ufe0f lung\U000e0020", "left lung"),
        ("Ro\u0308ntgen", "R\u00f6ntgen"),
        ("\u3164left", "left"),
    ],
)
def test_invisible_characters_go(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "\u200b", "\u3164", "...", "N/A", "nan", "None", "left\x07", "left \ud800"),
        *("\u202etfel", "le\ufffdt", "\ue000left", "left\U000e0fff", "x" * 10_001),
    ],
)
def test_what_nobody_can_read_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        clean_text(text)


@given(st.text(max_size=60))
def test_cleaning_twice_changes_nothing_and_leaves_what_can_be_printed(text: str) -> None:
    try:
        cleaned = clean_text(text)
    except InputError:
        return
    assert clean_text(cleaned) == cleaned
    assert cleaned.isprintable()
    cleaned.encode()
