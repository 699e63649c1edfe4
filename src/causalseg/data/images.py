"""What a picture or a mask file means: the one reader of training, scoring, predict and server.

The rules are stated in docs/reference/data-format.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.data.display import EXIF_DISPLAYS, Display
from causalseg.data.masks import decode_mask
from causalseg.data.raster import (
    FORMATS,
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    Raster,
    check_claim,
    check_size,
    decode_raster,
    raster_of,
)
from causalseg.errors import InputError

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "MAX_SIDE",
    "MIN_SIDE",
    "RULES",
    "Channels",
    "Picture",
    "check_claim",
    "check_size",
    "decode_image",
    "decode_mask",
    "decode_picture",
    "picture_of",
    "read_binary",
    "read_image",
    "read_image_bytes",
    "read_mask",
    "read_values",
    "to_uint8",
]

RULES = 2
"""Version of the rules, for caches: raised when the same file would give other pixels."""
_STRIP = 256
_SHAPES = (
    "an image must be an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not one of shape {}; "
    "of one that is (1, H, W) or (3, H, W) say channels='first'."
)
Channels = Literal["first", "last"]


@dataclass(frozen=True)
class Picture:
    """Pixels ready to be looked at, and how they were made from the file."""

    pixels: NDArray[np.uint8]
    """(H, W) or (H, W, 3), upright."""
    display: Display = EXIF_DISPLAYS[1]
    """How the stored picture was turned; `display.undo` brings a mask back to the file's (H, W)."""
    warnings: tuple[str, ...] = ()
    """What was ignored or changed of the file's own samples, a sentence each."""
    spacing: tuple[float, float] | None = None
    """Millimetres between rows and between columns of `pixels`, where the file says so."""


def to_uint8(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Scale an array of any number type to uint8 by its own range, min..max to 0..255.

    uint8 is returned as it is; a constant image becomes 0. InputError for NaN or infinity.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "biuf":
        raise InputError(f"{name} is an array of {values.dtype}, which are not grey values.")
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name} holds NaN or infinite pixels: replace them before use.")
    scaled = np.zeros(values.shape, np.uint8)
    if high > low:
        # In strips: 80 million pixels of float64 at once would take 640 MB.
        for top in range(0, len(values), _STRIP):
            strip = values[top : top + _STRIP].astype(np.float64)
            scaled[top : top + _STRIP] = np.rint((strip - low) * (255.0 / (high - low)))
    return scaled


def read_image_bytes(path: str | Path) -> bytes:
    """The bytes of a file; InputError when it is missing, a directory, empty or not readable."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a directory, not an image file: name the file.")
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is a device or a pipe, not an image file: name a file.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the path.") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from None
    if not data:
        raise InputError(f"{path} is empty (0 bytes): fetch it again.")
    return data


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a PNG, JPEG, TIFF or BMP image, upright.

    Returns:
        uint8, (H, W) for a grey file and (H, W, 3) for a colour or palette file. More than 8 bits
        per sample, and signed samples, are scaled min..max to 0..255 (over all channels). In a TIFF
        whose 0 is white, white is 255 at every depth.

    Raises:
        InputError: The file is missing, a directory, no image, truncated, of several frames,
            too large or too small, holds NaN, or its transparency differs from pixel to pixel.

    """
    return decode_image(read_image_bytes(path), str(path))


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a binary mask, (H, W) bool: 0 is background, the one other level is foreground.

    Takes 0/1, 0/255, and any other two levels of which one is 0 (black), also as RGB. In a mask
    painted on transparency, what is painted is foreground. EXIF orientation is applied.

    Raises:
        InputError: As for `read_image`, or the file has more levels than two.

    """
    return decode_mask(read_image_bytes(path), str(path))


def read_values(path: str | Path) -> NDArray[Any]:
    """The samples of a grey picture as stored, such as probabilities: (H, W), upright.

    Returns:
        uint8 or uint16 for the usual depths, else the file's own number type.

    Raises:
        InputError: as for `read_image`, or the file is of colours or has transparent pixels.

    """
    raster = decode_raster(read_image_bytes(path), str(path))
    values = raster.values
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim != 2 or (raster.alpha is not None and (raster.alpha != 255).any()):
        raise InputError(f"{path} has colours or transparency where grey values are wanted.")
    return values


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """`read_image` for bytes that are in memory already; `name` is used in messages."""
    return decode_picture(data, name).pixels


def decode_picture(data: bytes, name: str) -> Picture:
    """`decode_image` with the turn and the warnings, for whoever can show them."""
    return _picture(decode_raster(data, name), name)


def picture_of(image: Any, name: str = "the image", channels: Channels = "last") -> Picture:
    """The picture in whatever form a Python user has it.

    Args:
        image: a Pillow image of any mode, bytes or a binary file of a PNG, JPEG, TIFF or BMP, or
            an array (or tensor) (H, W), (H, W, 1), (H, W, 3) or (H, W, 4). Arrays that are not
            uint8 are scaled from their minimum and maximum to 0..255.
        name: used in messages.
        channels: "first" for arrays (1, H, W), (3, H, W) or (4, H, W).

    Raises:
        InputError: of another kind or shape, empty, not finite, or as for `read_image`.

    """
    if isinstance(image, Image.Image):
        return _picture(raster_of(image, name), name)
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_picture(bytes(image), name)
    read: Callable[[], bytes] | None = getattr(image, "read", None)
    if read is not None:
        return decode_picture(read_binary(image, name), name)
    if hasattr(image, "detach"):  # a tensor, on any device
        image = image.detach().cpu()
    try:
        array = np.asarray(image)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty(0)
    given = array.shape
    if channels == "first" and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)
    depth = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or depth not in (1, 3, 4) or not array.size:
        raise InputError(_SHAPES.format(given))
    alpha = to_uint8(array[..., 3], name) if depth == 4 else None
    if alpha is not None and array.dtype != np.uint8:
        raise InputError(f"{name} is an array with alpha that is not uint8: give (H, W, 3).")
    values = array[..., 0] if depth == 1 and array.ndim == 3 else array[..., :3]
    return _picture(Raster(array if array.ndim == 2 else values, alpha), name)


def read_binary(file: Any, name: str = "the image") -> bytes:
    """The bytes of an open file; InputError where it gives none."""
    try:
        data = file.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read from its file object ({error}).") from None
    if not isinstance(data, bytes):
        raise InputError(f"{name} must be opened in binary mode: open(path, 'rb').")
    return data


def _picture(raster: Raster, name: str) -> Picture:
    notes = []
    if not raster.display.identity:
        number = raster.display.exif_orientation
        notes.append(
            f"the file's EXIF orientation ({number}) was applied, so that the model sees it "
            "upright; the outputs have the file's own geometry."
        )
    if (note := _about_alpha(raster, name)) is not None:
        notes.append(note)
    return Picture(to_uint8(raster.values, name), raster.display, tuple(notes))


def _about_alpha(raster: Raster, name: str) -> str | None:
    """The warning for a transparency that is ignored; InputError where it cannot be."""
    if raster.key is not None:
        return "a grey level or colour is marked as transparent (tRNS): the mark was left aside."
    if raster.alpha is None or (raster.alpha == 255).all():
        return None
    if (raster.alpha == raster.alpha.flat[0]).all():
        return "the same transparency (alpha) everywhere says nothing: it was left aside."
    raise InputError(
        f"{name} is transparent in some places (alpha), and it does not say what is behind: "
        "flatten it on the background that is meant, and save it without transparency."
    )
