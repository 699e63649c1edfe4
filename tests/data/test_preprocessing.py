import json

import numpy as np
import pytest
import torch

from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.text.readers.clip import ClipTokens
from causalseg.text.readers.none import NoText

RNG = np.random.default_rng(1)


def test_image_is_scaled_and_normalised_channel_by_channel() -> None:
    prep = Preprocessing(size=16)
    pixels = RNG.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    out = prep.image(pixels)
    assert out.shape == (3, 16, 16)
    assert out.dtype == torch.float32
    y, x, c = 3, 7, 2
    assert out[c, y, x].item() == pytest.approx(
        (pixels[y, x, c] / 255 - prep.mean[c]) / prep.std[c], abs=1e-5
    )


def test_grey_equals_its_three_channel_copy() -> None:
    prep = Preprocessing(size=24)
    grey = RNG.integers(0, 256, (40, 31)).astype(np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=2)
    torch.testing.assert_close(prep.image(grey), prep.image(colour))


def test_mask_stays_binary_and_in_place() -> None:
    mask = np.zeros((50, 70), bool)
    mask[25:, :35] = True
    out = Preprocessing(size=32).mask(mask)
    assert out.shape == (1, 32, 32)
    expected = torch.zeros(1, 32, 32)
    expected[:, 16:, :16] = 1
    torch.testing.assert_close(out, expected)


def test_settings_survive_json() -> None:
    prep = Preprocessing(size=96, mean=(0.1, 0.2, 0.3), reader=ClipTokens(24))
    assert Preprocessing.from_dict(json.loads(json.dumps(prep.to_dict())), "it") == prep


def test_what_a_model_without_text_reads_survives_json() -> None:
    prep = Preprocessing(reader=NoText())
    assert Preprocessing.from_dict(json.loads(json.dumps(prep.to_dict())), "it") == prep
    assert prep.tokens(["left lung", ""]).shape == (2, 0)


def test_settings_written_before_there_were_readers_are_clip_tokens() -> None:
    old = {"size": 160, "mean": [0.5] * 3, "std": [0.5] * 3, "context_length": 24}
    assert Preprocessing.from_dict(old, "it").reader == ClipTokens(24)


@pytest.mark.parametrize(
    "saved",
    [{"side": 3}, {"reader": {"name": "braille"}}, {"reader": {"name": "clip", "length": 2}}],
)
def test_settings_of_another_version_are_refused(saved: dict) -> None:
    with pytest.raises(InputError):
        Preprocessing.from_dict(saved, "it")


@pytest.mark.parametrize("bad", [{"size": 0}, {"std": (1, 0, 1)}, {"mean": (1, 2)}])
def test_impossible_settings_are_refused(bad: dict) -> None:
    with pytest.raises(InputError):
        Preprocessing(**bad)
