"""What a picture file means, kind by kind: the value that a viewer shows, or a refusal."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from causalseg.data.display import EXIF_DISPLAYS
from causalseg.data.images import decode_image, decode_mask, decode_picture, picture_of
from causalseg.data.raster import decode_raster
from causalseg.errors import InputError

tifffile = pytest.importorskip("tifffile")

GENERATOR = np.random.default_rng(3)
RAMP = np.tile(np.arange(16, dtype=np.uint8) * 17, (16, 1))
DEEP = GENERATOR.integers(0, 65536, (10, 12, 3)).astype(np.uint16)
SQUARE = np.zeros((32, 32), np.uint8)
SQUARE[8:16, 4:12] = 1


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    samples: np.ndarray, colour_type: int, transparent: bytes = b"", palette: bytes = b""
) -> bytes:
    """A PNG written by hand: Pillow writes no colours of 16 bits."""
    bits = 8 * samples.dtype.itemsize
    rows = samples.astype(samples.dtype.newbyteorder(">"))
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", *samples.shape[1::-1], bits, colour_type, 0, 0, 0)
    key = chunk(b"tRNS", transparent) if transparent else b""
    key += chunk(b"PLTE", palette) if palette else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + key
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


def tiff(samples: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def spread(values: np.ndarray) -> np.ndarray:
    """min..max to 0..255, the slow way."""
    wide = values.astype(np.float64)
    return np.rint((wide - wide.min()) / (wide.max() - wide.min()) * 255)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "i4", "f4"])
def test_white_is_zero_and_signed_tiff(order, compression, kind) -> None:
    samples = np.tile(np.arange(16) * 7, (16, 1)).astype(kind)
    if kind[0] == "i":
        samples -= np.array(60, kind)
    black, white = (
        decode_image(
            tiff(samples, photometric=photometric, byteorder=order, compression=compression), "x"
        )
        for photometric in ("minisblack", "miniswhite")
    )
    np.testing.assert_array_equal(black, samples if kind == "u1" else spread(samples))
    np.testing.assert_array_equal(white, 255 - black)


def test_large_unsigned_numbers_stay_positive() -> None:
    samples = np.tile(np.linspace(0, 2**32 - 1, 16), (16, 1)).astype(np.uint32)
    np.testing.assert_array_equal(decode_image(tiff(samples), "x"), spread(samples))


def test_white_is_zero_with_one_bit_and_big_tiff() -> None:
    bits = SQUARE.astype(bool)
    for options in ({}, {"bigtiff": True}):
        data = tiff(bits, photometric="miniswhite", **options)
        np.testing.assert_array_equal(decode_mask(data, "x"), ~bits)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_deep_colour_keeps_every_bit(order, compression) -> None:
    data = tiff(DEEP, photometric="rgb", byteorder=order, compression=compression)
    np.testing.assert_array_equal(decode_raster(data, "x").values, DEEP)
    np.testing.assert_array_equal(decode_raster(png(DEEP, 2), "x").values, DEEP)


def test_twelve_bits_of_colour_in_sixteen_are_not_black() -> None:
    twelve = DEEP >> 4
    np.testing.assert_array_equal(decode_image(png(twelve, 2), "x"), spread(twelve))


def test_deep_colour_with_an_opaque_alpha() -> None:
    alpha = np.full((10, 12), 65535, np.uint16)
    colours = png(np.dstack([DEEP, alpha]), 6)
    np.testing.assert_array_equal(decode_raster(colours, "x").values, DEEP)
    grey = png(np.dstack([DEEP[..., 0], alpha]), 4)
    np.testing.assert_array_equal(decode_raster(grey, "x").values, DEEP[..., 0])


def test_deep_colour_in_planes_is_refused() -> None:
    data = tiff(DEEP.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate")
    with pytest.raises(InputError, match="separate planes"):
        decode_image(data, "x")


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_the_same_alpha_everywhere_is_left_out(mode, level, form) -> None:
    image = Image.fromarray(RAMP).convert(mode)
    image.putalpha(level)
    picture = decode_picture(saved(image, form), "x")
    expected = RAMP if mode == "LA" else np.dstack([RAMP] * 3)
    np.testing.assert_array_equal(picture.pixels, expected)
    assert any("alpha" in note for note in picture.warnings) == (level != 255)


def test_alpha_of_a_bitmap_that_was_never_filled_in() -> None:
    pixels = np.dstack([RAMP, RAMP, RAMP, RAMP * 0])[::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, 16, 16, 1, 32, 3, len(pixels), 2835, 2835, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + b"\0" * 48
    start = 14 + len(header)
    data = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + pixels
    np.testing.assert_array_equal(decode_image(data, "x"), np.dstack([RAMP] * 3))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_that_differs_is_refused(mode) -> None:
    image = Image.fromarray(RAMP).convert(mode)
    image.putalpha(Image.fromarray(RAMP.T.copy()))
    with pytest.raises(InputError, match="transparent in some places"):
        decode_image(saved(image), "x")


def test_a_transparent_palette_entry_in_use_is_refused() -> None:
    image = Image.fromarray(RAMP).convert("P")
    with pytest.raises(InputError, match="transparent"):
        decode_image(saved(image, transparency=int(np.asarray(image)[0, 0])), "x")


@pytest.mark.parametrize("key", [0, 255])
def test_a_colour_key_changes_no_grey_value(key) -> None:
    picture = decode_picture(png(RAMP, 0, struct.pack(">H", key)), "x")
    np.testing.assert_array_equal(picture.pixels, RAMP)
    assert "tRNS" in picture.warnings[0]
    colours = decode_picture(png(np.dstack([RAMP] * 3), 2, struct.pack(">HHH", *[key] * 3)), "x")
    np.testing.assert_array_equal(colours.pixels, np.dstack([RAMP] * 3))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", EXIF_DISPLAYS)
def test_exif_orientation_is_applied_alike_and_undone(form, orientation) -> None:
    stored = np.zeros((16, 24), np.uint8)
    stored[2:6, 3:9] = 255
    tags = Image.Exif()
    tags[274] = orientation
    options = {"tiffinfo": {274: orientation}} if form == "TIFF" else {"exif": tags}
    data = saved(Image.fromarray(stored), form, **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    picture = decode_picture(data, "x")
    np.testing.assert_array_equal(picture.pixels, upright)
    assert np.abs(picture.display.undo(picture.pixels).astype(int) - stored).max() < 40
    assert picture.display.exif_orientation == orientation
    assert bool(picture.warnings) == (orientation != 1)
    if form != "JPEG":
        np.testing.assert_array_equal(decode_mask(data, "x"), upright == 255)


def test_an_orientation_that_does_not_exist_is_none() -> None:
    tags = Image.Exif()
    tags[274] = 77
    assert decode_picture(saved(Image.fromarray(RAMP), exif=tags), "x").display.identity


def test_cmyk() -> None:
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[:, :8], colours[:, 8:] = (200, 30, 60), (20, 180, 90)
    inks = Image.fromarray(colours).convert("CMYK")
    assert np.abs(decode_image(saved(inks, "TIFF"), "x").astype(int) - colours).max() <= 1
    jpeg = saved(inks, "JPEG", quality=100, subsampling=0)
    assert np.abs(decode_image(jpeg, "x").astype(int) - colours).max() <= 6
    start = jpeg.index(b"\xff\xee")
    length = int.from_bytes(jpeg[start + 2 : start + 4], "big")
    with pytest.raises(InputError, match="Adobe"):
        decode_image(jpeg[:start] + jpeg[start + 2 + length :], "x")


PAINTED = {
    "white": np.dstack([SQUARE * 0 + 255] * 3 + [SQUARE * 255]),
    "red": np.dstack([SQUARE * 0 + 255, SQUARE * 0, SQUARE * 0, SQUARE * 255]),
    "black": np.dstack([SQUARE * 0] * 3 + [SQUARE * 255]),
    "half": np.dstack([SQUARE * 9] * 3 + [SQUARE * 128]),
    "never filled in": np.dstack([SQUARE * 255] * 3 + [SQUARE * 0]),
}


@pytest.mark.parametrize("kind", PAINTED)
def test_a_mask_painted_on_transparency(kind) -> None:
    mask = decode_mask(saved(Image.fromarray(PAINTED[kind])), "x")
    np.testing.assert_array_equal(mask, SQUARE == 1)


def test_colours_multiplied_by_one_alpha_are_refused() -> None:
    # As this library writes them: alpha 0 everywhere, and Pillow would divide by it.
    colours = np.dstack([RAMP] * 3 + [RAMP * 0])
    with pytest.raises(InputError, match="multiplied by alpha"):
        decode_image(tiff(colours, photometric="rgb", extrasamples=["assocalpha"]), "x")


def test_a_png_is_damaged_wherever_one_bit_of_its_pixels_is_changed() -> None:
    data = bytearray(png(RAMP, 0))
    for place in range(data.index(b"IDAT"), len(data) - 12, 7):
        data[place] ^= 4
        with pytest.raises(InputError, match="damaged"):
            decode_image(bytes(data), "x")
        data[place] ^= 4
    np.testing.assert_array_equal(decode_image(bytes(data), "x"), RAMP)


@pytest.mark.parametrize("place", [20, 60, -1])
def test_a_png_whose_stream_is_damaged_under_a_right_checksum_is_refused(place) -> None:
    pixels = GENERATOR.integers(0, 256, (16, 16)).astype(np.uint8)
    whole = png(pixels, 0)
    stream = bytearray(whole[whole.index(b"IDAT") + 4 : -16])
    stream[place] ^= 0x55
    data = whole[: whole.index(b"IDAT") - 4] + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
    with pytest.raises(InputError, match="damaged"):
        decode_image(data, "x")
    with pytest.raises(InputError, match="cannot be used"):
        picture_of(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_jpeg_whose_tail_is_zeros_is_refused(share, progressive) -> None:
    pixels = GENERATOR.integers(0, 256, (64, 64)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x9286] = b"a thumbnail's end \xff\xd9"
    data = saved(Image.fromarray(pixels), "JPEG", exif=exif, progressive=progressive)
    assert decode_image(data + b"trailer", "x").shape == (64, 64)
    begin = data.index(b"\xff\xda")
    kept = begin + int(share * (len(data) - begin))
    with pytest.raises(InputError, match="damaged or truncated"):
        decode_image(data[:kept] + bytes(len(data) - kept), "x")


def test_palettes_that_are_cut_or_hold_eight_bits_of_sixteen() -> None:
    entries = np.arange(16, dtype=np.uint8)[:, None] * np.uint8([17, 17, 17])
    indices = np.tile(np.arange(16, dtype=np.uint8), (16, 1))
    cut = png(indices, 3, palette=entries[:9].tobytes())
    with pytest.raises(InputError, match="beyond the 9 entries"):
        decode_image(cut, "x")
    for factor in (1, 257):
        table = np.zeros((3, 256), np.uint16)
        table[:, :16] = entries.T.astype(np.uint16) * factor
        data = tiff(indices, photometric="palette", colormap=table)
        np.testing.assert_array_equal(decode_image(data, "x"), np.dstack([RAMP] * 3))


@pytest.mark.parametrize("marked", [{}, {"transparency": 1}])
def test_a_mask_whose_background_is_the_bright_palette_entry_is_refused(marked) -> None:
    mask = Image.fromarray(SQUARE)
    mask.putpalette([0, 0, 0, 255, 255, 255] if marked else [255, 255, 255, 0, 0, 0])
    with pytest.raises(InputError, match="entry 0 of its palette"):
        decode_mask(saved(mask, **marked), "x")
    mask.putpalette([0, 0, 0, 255, 0, 0])
    np.testing.assert_array_equal(decode_mask(saved(mask, transparency=0), "x"), SQUARE == 1)


def test_masks_that_say_two_things_are_refused() -> None:
    both = np.dstack([SQUARE * 255] * 3 + [255 - SQUARE.T * 255])
    alphas = np.dstack([SQUARE * 255] * 3 + [SQUARE * 255])
    alphas[9, 5, 3] = 100
    palette = Image.fromarray(SQUARE)
    palette.putpalette([0, 0, 0, 0, 0, 0])
    for data in (
        saved(Image.fromarray(both)),
        saved(Image.fromarray(alphas)),
        saved(palette),
        png(SQUARE * np.uint8(255), 0, struct.pack(">H", 255)),
    ):
        with pytest.raises(InputError, match="not a binary mask"):
            decode_mask(data, "x")
    black = decode_mask(png(SQUARE * np.uint8(255), 0, struct.pack(">H", 0)), "x")
    np.testing.assert_array_equal(black, SQUARE == 1)


def test_a_small_file_cannot_claim_a_large_picture() -> None:
    sound = saved(Image.new("L", (64, 64)))
    claim = struct.pack(">II", 8000, 8000)
    head = chunk(b"IHDR", claim + sound[24:29])
    with pytest.raises(InputError, match="more than its"):
        decode_image(sound[:8] + head + sound[33:], "x")
    for mode, data in (("L", "PNG"), ("RGB", "PNG"), ("RGB", "JPEG"), ("L", "TIFF")):
        blank = saved(Image.new(mode, (5000, 5000)), data)
        assert decode_image(blank, "x").shape[:2] == (5000, 5000)
    packed = saved(Image.new("L", (5000, 5000)), "TIFF", compression="tiff_lzw")
    assert decode_image(packed, "x").shape == (5000, 5000)


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "I", "F"]),
    orientation=st.sampled_from([1, 6]),
)
def test_pillow_images_of_any_mode(mode, orientation) -> None:
    grey = np.tile(np.arange(16, dtype=np.uint8) * 17, (24, 1))
    image = Image.fromarray(grey).convert("RGB").convert(mode)
    image.getexif()[274] = orientation
    picture = picture_of(image)
    shown = picture.display.undo(picture.pixels)
    assert shown.shape[:2] == (24, 16)
    assert picture.pixels.shape[:2] == ((24, 16) if orientation == 1 else (16, 24))
    if mode not in ("1", "P"):  # which dither
        level = shown if shown.ndim == 2 else shown.mean(-1)
        assert np.abs(level - grey).max() <= 3


def test_arrays_tensors_bytes_and_files() -> None:
    torch = pytest.importorskip("torch")
    colours = np.dstack([RAMP, RAMP.T, RAMP])
    data = saved(Image.fromarray(colours))
    for given_, expected in (
        (RAMP, RAMP),
        (RAMP[..., None], RAMP),
        (torch.from_numpy(colours.copy()), colours),
        (np.dstack([colours, RAMP * 0 + 255]), colours),
        (data, colours),
        (io.BytesIO(data), colours),
        (RAMP.astype(np.float32) / 255, RAMP),
        (RAMP > 100, (RAMP > 100) * 255),
        (Image.fromarray(colours), colours),
    ):
        np.testing.assert_array_equal(picture_of(given_).pixels, expected)
    for given_, expected in (
        (RAMP[None], RAMP),
        (np.moveaxis(colours, -1, 0), colours),
        (torch.from_numpy(colours.copy()).permute(2, 0, 1).float(), colours),
        (RAMP, RAMP),
    ):
        pixels = picture_of(given_, channels="first").pixels
        np.testing.assert_array_equal(pixels, expected)
    with pytest.raises(InputError, match="shape"):
        picture_of(colours[:9], channels="first")
    for bad, words in (
        (None, "shape"),
        (np.zeros((3, 20, 30)), "channels='first'"),
        (np.full((9, 9), np.nan), "NaN"),
        (np.full((9, 9), "a"), "grey values"),
        (np.dstack([colours, RAMP]), "transparent"),
        (io.StringIO("x"), "binary"),
        (b"", "not a readable image"),
        ([[1, 2], [3]], "shape"),
    ):
        with pytest.raises(InputError, match=words):
            picture_of(bad)
