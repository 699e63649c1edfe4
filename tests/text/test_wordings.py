"""Drawn wordings mean what their caption says, by the reader, which was written apart from them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from causalseg.text.reading import read
from causalseg.text.wordings import ABSENT, draw_pair
from causalseg.text.words import UNLOCATED


def test_nearly_all_wordings_are_read_as_their_caption() -> None:
    rng = np.random.default_rng(0)
    pairs = [draw_pair(rng) for _ in range(600)]
    read_as = [read(sentence, "viewer").canonical("viewer", "sgseg") for sentence, _ in pairs]
    agree = [a.rstrip(".") == c.rstrip(".") for a, (_, c) in zip(read_as, pairs, strict=True)]
    # "Left mid zone and upper and mid zones of the right lung" can be read in two ways.
    assert np.mean(agree) > 0.97
    assert {ABSENT, UNLOCATED} < {caption for _, caption in pairs}
    assert len({caption for _, caption in pairs}) > 40


@given(st.integers(0, 2**32 - 1))
def test_the_same_numbers_draw_the_same_pair(seed: int) -> None:
    one, two = (draw_pair(np.random.default_rng(seed)) for _ in range(2))
    assert one == two
    assert "{" not in one[0]
    assert one[0].strip() == one[0]
