"""Overlays and heat maps, drawn with NumPy and Pillow alone.

The causal map is drawn in orange and the confounder map in blue (two of the Okabe-Ito colours),
which are told apart with every common kind of colour blindness and in print.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from causalseg.errors import InputError
from causalseg.inference.maps import resize_map

Colour = tuple[int, int, int]
MASK_COLOUR: Colour = (213, 94, 0)
CAUSAL_COLOUR: Colour = (230, 159, 0)
_STRIP = 256
CONFOUNDER_COLOUR: Colour = (0, 114, 178)


def as_rgb(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Image (H, W) or (H, W, 3) as a new array (H, W, 3)."""
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return np.array(image, dtype=np.uint8)


def attention_map(
    attention: Mapping[str, npt.NDArray[np.float32]], shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Mean over the stages of a model's causal masks, each resized to `shape`.

    Args:
        attention: stage name to map (h, w) in [0, 1].
        shape: (H, W) of the picture.

    Returns:
        (H, W) float32 in [0, 1]; the confounder map is 1 minus it.

    Raises:
        InputError: there is no map to draw.

    """
    if not attention:
        raise InputError("this model keeps no causal masks, so there is no heat map to draw.")
    maps = [resize_map(values, shape) for values in attention.values()]
    mean: npt.NDArray[np.float32] = np.clip(np.mean(maps, axis=0), 0.0, 1.0).astype(np.float32)
    return mean


def _blend(
    image: npt.NDArray[np.uint8], colour: Colour, opacity: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    picture = as_rgb(image)
    target = np.array(colour, dtype=np.float32)
    # In strips, so that a picture of 80 million pixels does not need gigabytes of floats.
    for top in range(0, len(picture), _STRIP):
        strip = picture[top : top + _STRIP]
        base = strip.astype(np.float32)
        strip[:] = np.rint(base + (target - base) * opacity[top : top + _STRIP, :, None])
    return picture


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels of the mask that touch a pixel outside it (4-neighbours; the border is outside)."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def overlay(
    image: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.generic],
    colour: Colour = MASK_COLOUR,
    opacity: float = 0.35,
) -> npt.NDArray[np.uint8]:
    """The image with the mask tinted and its outline drawn.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        mask: (H, W), anything but 0 is inside.
        colour: red, green, blue in 0..255.
        opacity: the tint's, in [0, 1]; the outline is opaque.

    Returns:
        uint8 (H, W, 3). Pixels outside the mask are the image's own.

    """
    inside = np.asarray(mask) != 0
    picture = _blend(image, colour, np.where(inside, opacity, 0.0).astype(np.float32))
    picture[_outline(inside)] = colour
    return picture


def heatmap(
    image: npt.NDArray[np.uint8],
    values: npt.NDArray[np.float32],
    colour: Colour = CAUSAL_COLOUR,
    opacity: float = 0.75,
) -> npt.NDArray[np.uint8]:
    """The image with a map in [0, 1] laid over it: the larger the value, the more of `colour`.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        values: (h, w) in [0, 1], resized bilinearly to the image.
        colour: red, green, blue in 0..255.
        opacity: that where the map is 1.

    Returns:
        uint8 (H, W, 3).

    """
    strength = np.clip(resize_map(values, (image.shape[0], image.shape[1])), 0.0, 1.0)
    return _blend(image, colour, (strength * opacity).astype(np.float32))
