"""Run lengths against a slow form that reads one pixel at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from causalseg.apps import rle
from causalseg.errors import InputError

masks = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 1)
)


def slow_counts(mask: np.ndarray) -> list[int]:
    counts, value = [0], 0
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if mask[row, column] != value:
                counts.append(0)
                value = 1 - value
            counts[-1] += 1
    return counts


@given(masks)
def test_runs_are_those_read_pixel_by_pixel_and_come_back(mask):
    encoded = rle.encode(mask)
    assert encoded == {"size": list(mask.shape), "counts": slow_counts(mask)}
    assert np.array_equal(rle.decode(encoded), mask)


@pytest.mark.parametrize("counts", [[3], [5], [-1, 5], []])
def test_runs_that_do_not_fill_the_mask_are_refused(counts):
    with pytest.raises(InputError, match="do not fill"):
        rle.decode({"size": [2, 2], "counts": counts})
