"""What `evaluate` scores at the source's size is what a user is given."""

from pathlib import Path

import numpy as np
import pytest

from causalseg.data.images import read_image
from causalseg.data.manifest import Record
from causalseg.evaluation.running import predict_record
from causalseg.inference.segmenter import Segmenter


@pytest.mark.parametrize("shape", [(64, 64), (150, 90), (40, 30)])
def test_the_mask_that_is_scored_is_the_one_that_predict_gives(
    tiny_checkpoint: Path, tmp_path: Path, shape: tuple[int, int]
) -> None:
    from PIL import Image

    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    segmenter = Segmenter.load(tiny_checkpoint)
    caption = "one infected area, lower left lung."
    middle = np.median(segmenter.probabilities([read_image(path)], [caption]))
    segmenter.threshold = float(middle)  # so that the mask is neither empty nor full
    record = Record(
        name="image.png", image=path, mask=path, caption=caption, subject=None, domain="d"
    )
    scored = predict_record(segmenter, record).at(shape)
    given = segmenter(path, caption)
    assert 0 < given.mask.sum() < given.mask.size
    assert np.array_equal(scored.mask, given.mask > 0)
    assert scored.probability is not None
    assert np.array_equal(scored.probability, given.probability)
