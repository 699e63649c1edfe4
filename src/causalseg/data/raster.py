"""PNG, JPEG, TIFF and BMP as samples: every number as it is in the file.

Pillow decodes. What it would lose or guess is settled here: colours of 16 bits, alpha, signed and
white-is-zero TIFF, the EXIF orientation, and what a header may claim before it is believed.
"""

import io
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.data.display import EXIF_DISPLAYS, Display
from causalseg.data.integrity import check_end, check_png, settle_palette
from causalseg.data.tiff import (
    BITS,
    NATIVE,
    ORIENTATION,
    PHOTOMETRIC,
    PLANAR,
    invert,
    number_type,
    white_to_black,
)
from causalseg.errors import InputError
from causalseg.inputs import one_line

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
MAX_SIDE = 16_384
MAX_PIXELS = 80_000_000
MIN_SIDE = 8

# Deflate expands at most 1032-fold, LZW and JPEG somewhat more than a thousand-fold.
_MOST_EXPANSION = 1400
# Any handful of bytes may claim a blank picture of this size, which costs nothing to decode.
_FREE_BYTES = 2**24

_LOW_BYTE = {
    ";16B": ";16L",
    ";16L": ";16B",
    ";16N": ";16B" if sys.byteorder == "little" else ";16L",
}


def check_size(width: int, height: int, name: str) -> None:
    """Raise InputError for an image too large to be decoded safely or too small to hold anything.

    Args:
        width: In pixels.
        height: In pixels.
        name: What the message calls the image.

    """
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            f"{name} is {width} x {height} pixels, more than the limit of {MAX_SIDE} a side and "
            f"{MAX_PIXELS // 1_000_000} million in all: shrink it or cut it into tiles first."
        )
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{name} is {width} x {height} pixels; an image needs at least {MIN_SIDE} a side."
        )


def check_claim(claimed: int, length: int, name: str) -> None:
    """Raise InputError where a header claims more bytes than the file can decode to.

    Args:
        claimed: Bytes after decoding, as the header has it.
        length: Bytes of the compressed file.
        name: What the message calls the file.

    """
    if claimed > max(_FREE_BYTES, _MOST_EXPANSION * length):
        raise InputError(
            f"{name} claims to hold {claimed} bytes of pixels, more than its {length} bytes can "
            "expand to: it is damaged or truncated; fetch it again."
        )


@dataclass(frozen=True)
class Raster:
    """The samples of one picture, upright."""

    values: NDArray[Any]
    """(H, W) of the file's own number type, or (H, W, 3) uint8 or uint16."""
    alpha: NDArray[np.uint8] | None = None
    """(H, W): 0 is transparent, 255 opaque; None where the file has no alpha."""
    key: int | tuple[int, ...] | None = None
    """The one stored grey value or colour that the file marks as transparent."""
    indices: NDArray[np.uint8] | None = None
    """(H, W): the palette entry of each pixel; None where the file has no palette."""
    display: Display = EXIF_DISPLAYS[1]
    """How the stored picture was turned."""


def decode_raster(data: bytes, name: str) -> Raster:
    """Decode the bytes of a picture.

    Raises:
        InputError: no PNG, JPEG, TIFF or BMP, damaged, of several frames, too large or too small,
            or of a kind whose meaning is not certain.

    """
    check_png(data, name)
    check_end(data, name)
    data, inverted = white_to_black(data)
    with _open(data, name) as image:
        try:
            check_size(*image.size, name)
            each = len(image.getbands()) * (4 if image.mode in ("I", "F") else 1)
            check_claim(image.width * image.height * each, len(data), name)
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format == "TIFF":
                raise InputError(f"{name} holds {frames} images: save the one you mean to a file.")
            _refuse_unclear(image, name)
            raster = _load(image, data, name)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"{name} cannot be decoded, it is damaged or truncated ({one_line(error)}): fetch "
                "it again."
            ) from None
    if inverted:
        return Raster(invert(raster.values), raster.alpha, display=raster.display)
    return raster


def raster_of(image: Image.Image, name: str) -> Raster:
    """The samples of a Pillow image that somebody else has opened.

    Raises:
        InputError: it cannot be loaded, or Pillow has lost the depth of its colours.

    """
    if image.mode in ("RGB", "RGBA") and _raw_mode(image)[-4:] in _LOW_BYTE:
        raise InputError(f"{name} has 16-bit colours, of which Pillow keeps 8: give its path.")
    turn = image.format != "TIFF"
    tags = getattr(image, "tag_v2", {})
    try:
        raster = _split(image, name, _display(image), turn)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{name} cannot be used ({one_line(error)}): convert it to grey or RGB."
        ) from None
    deep = raster.values.ndim == 2 and raster.values.dtype != np.uint8
    if deep and tags.get(PHOTOMETRIC) == 0:
        return Raster(invert(raster.values), raster.alpha, display=raster.display)
    return raster


def _open(data: bytes, name: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # The size is checked by `check_size`, with a message of ours; warnings quote files.
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise InputError(
            f"{name} is larger than the limit of {MAX_SIDE} pixels per side and "
            f"{MAX_PIXELS // 1_000_000} million in all: shrink it or cut it into tiles first."
        ) from None
    except Exception:  # A broken header can make decoders raise anything.
        raise InputError(
            f"{name} is not a readable image: PNG, JPEG, TIFF and BMP are read, with 8 or 16 bits "
            "a sample."
        ) from None


def _refuse_unclear(image: Image.Image, name: str) -> None:
    """Refuse what decodes to something, but not certainly to what was meant."""
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        raise InputError(
            f"{name} is a CMYK JPEG without Adobe's mark, so its inks may be stored inverted or "
            "not: save it as RGB."
        )
    tags = getattr(image, "tag_v2", {})
    if image.format == "TIFF" and PHOTOMETRIC not in tags:
        raise InputError(f"{name} does not say whether 0 is black or white: save it again as PNG.")
    if tags.get(PLANAR) == 2 and len(image.getbands()) > 1 and max(tags.get(BITS, (8,))) > 8:
        # Pillow reads each plane as one of 8 bits.
        raise InputError(f"{name} keeps 16-bit colours in separate planes: save it interleaved.")
    if image.mode == "LAB" or (image.mode == "CMYK" and _raw_mode(image).find(";16") >= 0):
        raise InputError(f"{name} has colours that are not read ({image.mode}): save it as RGB.")


def _raw_mode(image: Image.Image) -> str:
    """Pillow's name for the layout of the first tile's samples in the file."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    return str(arguments if isinstance(arguments, str) else (arguments or ("",))[0])


def _load(image: Image.Image, data: bytes, name: str) -> Raster:
    raw, display, turn = _raw_mode(image), _display(image), image.format != "TIFF"
    if raw in NATIVE and image.tile[0][0] == "libtiff":  # type: ignore[attr-defined]
        # libtiff has already put the bytes into the machine's order.
        _unpack_as(image, NATIVE[raw])
    image.load()
    if raw.startswith("RGBa") and _alone(image.getchannel("A")) not in (None, 255):
        # Divided by an alpha of 0 they are black, though it may just never have been filled in.
        raise InputError(f"{name} has colours multiplied by alpha: save it without alpha.")
    if image.mode in ("RGB", "RGBA") and raw[-4:] in _LOW_BYTE:
        return _deep_colour(image, data, raw, display, name)
    return _split(image, name, display, turn)


def _alone(channel: Image.Image) -> float | None:
    """The one level of a channel; None where it has several."""
    extrema = channel.getextrema()
    return extrema[0] if extrema[0] == extrema[1] else None  # type: ignore[return-value]


def _unpack_as(image: Image.Image, raw: str) -> None:
    """Make Pillow unpack an image, not loaded yet, from another layout of samples."""
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=raw if isinstance(tile[3], str) else (raw, *tile[3][1:]))
        for tile in image.tile  # type: ignore[attr-defined]
    ]


def _display(image: Image.Image) -> Display:
    if image.format == "PNG":
        image.load()  # or getexif would do it, and damage to the pixels would be caught below
    try:
        number = image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF is a small file of its own, which may be damaged.
        number = 1
    return EXIF_DISPLAYS.get(number, Display()) if isinstance(number, int) else Display()


def _split(image: Image.Image, name: str, display: Display, turn: bool) -> Raster:
    """Samples and alpha of a decoded image; `turn` where Pillow has not turned it itself."""

    def upright(samples: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(display.apply(samples) if turn else samples)

    mode, key = image.mode, image.info.get("transparency")
    if mode in ("I", "F") or mode.startswith("I;16"):
        values = number_type(image)
        if not np.isfinite(values.min()) or not np.isfinite(values.max()):
            raise InputError(f"{name} holds NaN or infinite pixels: replace them before use.")
        return Raster(upright(values), key=key, display=display)
    if mode == "1":
        return Raster(
            upright(np.asarray(image, np.uint8) * np.uint8(255)), key=key, display=display
        )
    if mode in ("L", "RGB"):
        return Raster(upright(number_type(image)), key=key, display=display)
    indices = None
    if mode == "P":
        settle_palette(image, name)
        indices = upright(np.asarray(image))
    if "A" in mode or "a" in mode or (mode == "P" and key is not None):
        rgba = upright(np.asarray(image.convert("RGBA")))
        values = rgba[..., 0] if mode in ("LA", "La") else rgba[..., :3]
        return Raster(values, rgba[..., 3], indices=indices, display=display)
    rgb = upright(np.asarray(image.convert("RGB")))
    return Raster(rgb, indices=indices, display=display)


def _deep_colour(image: Image.Image, data: bytes, raw: str, display: Display, name: str) -> Raster:
    """Colours of 16 bits: Pillow unpacks one byte of each sample, so it is asked for both.

    A PNG of grey and alpha has four bytes per pixel, which are taken as they are.
    """
    turn = image.format != "TIFF"
    if raw.startswith("RGBa"):
        raise InputError(f"{name} has 16-bit colours multiplied by alpha: save it without alpha.")
    grey_alpha = raw.startswith("LA")
    with _open(data, name) as again:
        _unpack_as(again, "RGBA" if grey_alpha else raw[:-4] + _LOW_BYTE[raw[-4:]])
        again.load()
        low = np.asarray(again)
    if grey_alpha:
        deep = low[..., ::2].astype(np.uint16) * np.uint16(256) + low[..., 1::2]
    else:
        deep = np.asarray(image).astype(np.uint16) * np.uint16(256) + low
    deep = np.ascontiguousarray(display.apply(deep) if turn else deep)
    if grey_alpha:
        return Raster(deep[..., 0], (deep[..., 1] >> 8).astype(np.uint8), display=display)
    alpha = (deep[..., 3] >> 8).astype(np.uint8) if deep.shape[2] == 4 else None
    return Raster(deep[..., :3], alpha, key=image.info.get("transparency"), display=display)
