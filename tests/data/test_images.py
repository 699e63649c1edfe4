from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from causalseg.data.images import read_image, read_mask, to_uint8
from causalseg.errors import InputError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 30)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)
TWO = RNG.random((20, 30)) < 0.4


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "rgb"])
def test_lossless_formats_give_back_the_pixels(
    tmp_path: Path, suffix: str, pixels: np.ndarray
) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(pixels))
    np.testing.assert_array_equal(read_image(path), pixels)


def test_jpeg_stays_close_and_keeps_its_channels(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(20), np.arange(30)).astype(np.uint8) * 4
    path = save(tmp_path / "a.jpg", Image.fromarray(smooth), quality=95)
    read = read_image(path)
    assert read.shape == smooth.shape
    assert np.abs(read.astype(int) - smooth).mean() < 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_by_their_own_range(tmp_path: Path, suffix: str) -> None:
    deep = (1000 + 10 * GREY.astype(np.uint16)).astype(np.uint16)
    read = read_image(save(tmp_path / f"a.{suffix}", Image.fromarray(deep)))
    expected = (deep - deep.min()) / (deep.max() - deep.min()) * 255
    assert read.dtype == np.uint8
    np.testing.assert_allclose(read, expected, atol=0.5)


def test_float_tiff_is_scaled_and_nan_is_refused(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 600, dtype=np.float32).reshape(20, 30)
    read = read_image(save(tmp_path / "a.tif", Image.fromarray(values)))
    assert (read.min(), read.max()) == (0, 255)
    values[3, 4] = np.nan
    with pytest.raises(InputError, match="NaN"):
        read_image(save(tmp_path / "b.tif", Image.fromarray(values)))


def test_constant_deep_image_is_black() -> None:
    assert (to_uint8(np.full((9, 9), 700, np.uint16), "x") == 0).all()


def test_a_palette_is_expanded(tmp_path: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(8)
    expanded = read_image(save(tmp_path / "p.png", palette))
    np.testing.assert_array_equal(expanded, np.asarray(palette.convert("RGB")))


def masks() -> dict[str, Image.Image]:
    levels = TWO.astype(np.uint8)
    palette = Image.fromarray(levels)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    return {
        "0/1": Image.fromarray(levels),
        "0/255": Image.fromarray(levels * np.uint8(255)),
        "0/65535": Image.fromarray(levels.astype(np.uint16) * np.uint16(65535)),
        "1 bit": Image.fromarray(TWO),
        "rgb copies": Image.fromarray(np.repeat(levels[..., None] * np.uint8(255), 3, 2)),
        "rgba": Image.fromarray(levels * np.uint8(255)).convert("RGBA"),
        "palette, black and red": palette,
    }


@pytest.mark.parametrize("kind", list(masks()))
def test_every_two_level_mask_gives_the_same_foreground(tmp_path: Path, kind: str) -> None:
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", masks()[kind])), TWO)


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_mask_of_one_level_is_empty_or_full(tmp_path: Path, value: int) -> None:
    path = save(tmp_path / "m.png", Image.fromarray(np.full((9, 9), value, np.uint8)))
    assert (read_mask(path) == bool(value)).all()


@pytest.mark.parametrize(
    "levels",
    [GREY, np.where(TWO, 100, 200).astype(np.uint8), np.full((9, 9), 128, np.uint8), COLOUR],
    ids=["grey", "no zero", "constant 128", "colour"],
)
def test_other_masks_are_refused(tmp_path: Path, levels: np.ndarray) -> None:
    with pytest.raises(InputError, match="not a binary mask"):
        read_mask(save(tmp_path / "m.png", Image.fromarray(levels)))


def test_bad_files_end_in_one_sentence(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.png", Image.fromarray(COLOUR)).read_bytes()
    jpeg = save(tmp_path / "whole.jpg", Image.fromarray(COLOUR)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.jpg").write_bytes(jpeg[: len(jpeg) * 2 // 3])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    save(tmp_path / "one.png", Image.fromarray(COLOUR[:1, :1]))
    frames = [Image.fromarray(GREY), Image.fromarray(GREY)]
    save(tmp_path / "many.tif", frames[0], save_all=True, append_images=frames[1:])
    for name, words in {
        "cut.png": "truncated|damaged",
        "cut.jpg": "truncated|damaged",
        "text.png": "not a readable image",
        "empty.png": "empty",
        "one.png": "1 x 1",
        "many.tif": "2 images",
        "absent.png": "does not exist",
        ".": "is a directory",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("size", [(20_000, 20_000), (20_000, 10), (10_000, 10_000)])
def test_a_giant_image_is_refused_before_it_is_decoded(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = save(tmp_path / "giant.png", Image.new("1", size))
    with pytest.raises(InputError, match="limit of 16384"):
        read_image(path)
