"""Overlays and heat maps, pixel by pixel."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from causalseg.data.display import EXIF_DISPLAYS
from causalseg.errors import InputError
from causalseg.inference.outputs import save_pictures
from causalseg.inference.pictures import (
    CAUSAL_COLOUR,
    CONFOUNDER_COLOUR,
    attention_map,
    heatmap,
    overlay,
)


@dataclass
class Result:
    image: np.ndarray
    mask: np.ndarray
    probability: np.ndarray
    attention: dict = field(default_factory=dict)
    warnings: tuple = ()


@given(colour=st.booleans(), seed=st.integers(0, 99))
def test_overlay_changes_the_mask_alone(colour, seed):
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 256, (7, 9, 3) if colour else (7, 9), dtype=np.uint8)
    mask = generator.random((7, 9)) > 0.6
    drawn = overlay(image, mask, colour=(255, 0, 0))
    rgb = image if colour else np.stack([image] * 3, -1)
    assert np.array_equal(drawn[~mask], rgb[~mask])
    # The outline: a pixel of the mask with a neighbour outside it, found by a plain loop.
    for y, x in zip(*np.nonzero(mask), strict=True):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inner = all(0 <= a < 7 and 0 <= b < 9 and mask[a, b] for a, b in around)
        assert ((drawn[y, x] == (255, 0, 0)).all()) or inner


def test_heat_maps_are_told_apart():
    image = np.full((8, 8), 128, np.uint8)
    causal = heatmap(image, np.ones((2, 2), np.float32), CAUSAL_COLOUR)[0, 0].astype(int)
    confounder = heatmap(image, np.ones((2, 2), np.float32), CONFOUNDER_COLOUR)[0, 0].astype(int)
    assert causal[0] > causal[2] + 100
    assert confounder[2] > confounder[0] + 100
    assert np.array_equal(heatmap(image, np.zeros((2, 2), np.float32)), np.full((8, 8, 3), 128))


def test_attention_is_the_mean_over_stages():
    maps = {"a": np.full((2, 2), 0.2, np.float32), "b": np.full((4, 4), 0.6, np.float32)}
    assert np.allclose(attention_map(maps, (5, 6)), 0.4)
    with pytest.raises(InputError, match="no causal masks"):
        attention_map({}, (5, 6))


def test_saved_pictures_read_back(tmp_path):
    generator = np.random.default_rng(0)
    probability = generator.random((10, 12)).astype(np.float32)
    result = Result(
        generator.integers(0, 256, (10, 12), dtype=np.uint8),
        (probability > 0.5).astype(np.uint8),
        probability,
        {"stage2": generator.random((3, 3)).astype(np.float32)},
    )
    files = save_pictures(result, tmp_path / "new", "x")
    names = ["mask", "probability", "overlay", "causal", "confounder"]
    assert [file.name for file in files] == [f"x_{name}.png" for name in names]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        file.name for file in files
    )
    read = {name: np.asarray(Image.open(file)) for name, file in zip(names, files, strict=True)}
    assert np.array_equal(read["mask"], result.mask * 255)
    assert read["probability"].dtype == np.uint16
    assert np.abs(read["probability"] / 65535 - probability).max() <= 0.5001 / 65535
    assert not np.array_equal(read["causal"], read["confounder"])
    result.attention = {}
    assert len(save_pictures(result, tmp_path / "plain", "x")) == 3


def test_a_stage_of_one_position_is_drawn_as_an_even_map() -> None:
    one = np.full((1, 1), 0.25, np.float32)
    assert np.array_equal(attention_map({"stage4": one}, (5, 7)), np.full((5, 7), 0.25, np.float32))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_mask_of_a_turned_picture_fits_the_file(segmenter, predict, tmp_path, orientation):
    """Applied on the way in and undone on the way out, in the folder and in Python alike."""
    stored = np.random.default_rng(0).integers(0, 256, (40, 64), dtype=np.uint8)
    tags = Image.Exif()
    tags[274] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(stored).save(path, exif=tags)
    upright = EXIF_DISPLAYS[orientation].apply(stored)

    result = segmenter(path, "lower left lung")
    assert np.array_equal(result.image, stored)
    direct = segmenter(np.ascontiguousarray(upright), "lower left lung")
    assert np.array_equal(EXIF_DISPLAYS[orientation].apply(result.probability), direct.probability)
    assert any("EXIF" in note for note in result.warnings) == (orientation != 1)

    assert predict(path, "--text", "lower left lung") == 0
    with Image.open(tmp_path / "out" / "turned" / "1_probability.png") as written:
        assert written.getexif().get(274, 1) == orientation
        assert np.abs(np.asarray(written) - result.probability * 65535.0).max() <= 1
