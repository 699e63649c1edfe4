"""Reading image and mask files, strictly: a file is read whole and right, or InputError."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.errors import InputError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
MAX_SIDE = 16_384
MAX_PIXELS = 80_000_000
MIN_SIDE = 8


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


def to_uint8(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Scale an array of any number type to uint8 by its own range, min..max to 0..255.

    uint8 is returned as it is; a constant image becomes 0. InputError for NaN or infinity.
    """
    if values.dtype == np.uint8:
        return values
    scaled = values.astype(np.float64)
    if not np.isfinite(scaled).all():
        raise InputError(f"{name} holds NaN or infinite pixels: replace them before use.")
    low, high = float(scaled.min()), float(scaled.max())
    if high == low:
        return np.zeros(values.shape, np.uint8)
    return np.rint((scaled - low) * (255.0 / (high - low))).astype(np.uint8)


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file; InputError when it is missing, a directory, empty or not readable."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a directory, not an image file: name the file.")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not data:
        raise InputError(f"{path} is empty (0 bytes): fetch it again.")
    return data


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a PNG, JPEG, TIFF or BMP image.

    Returns:
        uint8, (H, W) for a grey file and (H, W, 3) for a colour or palette file. More than
        8 bits a grey pixel are scaled min..max to 0..255; alpha is laid over black.

    Raises:
        InputError: The file is missing, a directory, no image, truncated, of several frames,
            too large or too small, or holds NaN.

    """
    return decode_image(read_bytes(path), str(path))


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a binary mask, (H, W) bool: 0 is background, the one other level is foreground.

    Takes 0/1, 0/255 and any file of two levels of which one is 0 (black), RGB copies too.

    Raises:
        InputError: As for `read_image`, or the file has more levels than two.

    """
    return decode_mask(read_bytes(path), str(path))


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """`read_image` for bytes that are in memory already; `name` is used in messages."""
    return to_uint8(_decode(data, name), name)


def decode_mask(data: bytes, name: str) -> NDArray[np.bool_]:
    """`read_mask` for bytes that are in memory already; `name` is used in messages."""
    values = _decode(data, name)
    planes = values[..., None] if values.ndim == 2 else values
    foreground: NDArray[np.bool_] = (planes != 0).any(axis=-1)
    if not foreground.any():
        return foreground
    level = planes.reshape(-1, planes.shape[-1])[np.argmax(foreground)]
    if not (planes[foreground] == level).all():
        count = len(np.unique(planes.reshape(-1, planes.shape[-1]), axis=0))
        raise InputError(
            f"{name} is not a binary mask: it has {count} levels where 0 and one other are "
            "allowed. Threshold it and save it as PNG (JPEG blurs the edges)."
        )
    if foreground.all() and int(level.max()) not in (1, 255, 65535):
        raise InputError(
            f"{name} is not a binary mask: every pixel is {int(level.max())}, which is neither "
            "0 nor 1 nor 255."
        )
    return foreground


def _decode(data: bytes, name: str) -> NDArray[Any]:
    """Decode to (H, W) of the file's own number type or (H, W, 3) uint8."""
    try:
        with warnings.catch_warnings():
            # The size is checked below, with a message of ours.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise InputError(
            f"{name} is larger than the limit of {MAX_SIDE} pixels a side and "
            f"{MAX_PIXELS // 1_000_000} million in all: shrink it or cut it into tiles first."
        ) from None
    except Exception:  # Decoders raise whatever a broken header makes them stumble over.
        raise InputError(
            f"{name} is not a readable image: PNG, JPEG, TIFF and BMP are read."
        ) from None
    with image:
        check_size(*image.size, name)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format == "TIFF":
            raise InputError(f"{name} holds {frames} images: save the one you mean to a file.")
        try:
            image.load()
            return _pixels(image, name)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"{name} cannot be decoded, it is damaged or truncated ({error}): fetch it again."
            ) from None


def _pixels(image: Image.Image, name: str) -> NDArray[Any]:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if not np.isfinite(values).all():
            raise InputError(f"{name} holds NaN or infinite pixels: replace them before use.")
        return values
    if image.mode == "1":
        return np.asarray(image, dtype=np.uint8) * np.uint8(255)
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return np.asarray(image)
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA"), dtype=np.uint16)
        over_black = (rgba[..., :3] * rgba[..., 3:] + 127) // 255
        pixels = over_black.astype(np.uint8)
        return pixels[..., 0] if image.mode in ("LA", "La", "L") else pixels
    return np.asarray(image.convert("RGB"))
