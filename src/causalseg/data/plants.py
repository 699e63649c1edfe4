"""How a planted confounder is drawn: each kind leaves its pixels and a mask of where they are.

A plant is bound to a place: an edge of the picture ("left", "right", "top", "bottom"). Its jitter
comes from the generator, so that the same generator at another place gives the same plant, moved.
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from causalseg.data.corrupt import Floats, Rng
from causalseg.data.display import Pixels

PlantPlace = Literal["left", "right", "top", "bottom"]
PlantKind = Literal["tag", "clip", "border", "patch", "tone", "text"]
PLANTS: tuple[PlantKind, ...] = get_args(PlantKind)
MARKED = 0.1
"""Cover from which a pixel counts as the plant's."""

_Drawn = tuple[Floats, Floats]
"""The level (0..1) that is laid over the picture, and how much of it, both (H, W)."""


def draw_plant(
    kind: PlantKind, image: Pixels, place: PlantPlace, rng: Rng, lesion: NDArray[np.bool_]
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Lay a plant over a picture.

    Args:
        kind: `tag`, a lead marker in a corner; `clip`, a metal clip with its wire, as high (or as
            far to the side) as the lesion and just outside it; `border`, a collimation edge;
            `patch`, a soft bright region that might be a lesion; `tone`, another scanner's
            contrast and noise; `text`, burnt-in letters.
        image: (H, W) or (H, W, 3) uint8.
        place: the edge near which it lies. A tone has no place: it is darker and grainier for
            "left" and "top", brighter for the others.
        rng: draws the jitter.
        lesion: (H, W), where the clip belongs; all False for a clip half way.

    Returns:
        The picture with the plant, and the plant's pixels (H, W); all of them for a tone.

    """
    unit = image.astype(np.float64) / 255
    if kind == "tone":
        toned = _tone(unit, place, rng)
        return _to_pixels(toned), np.ones(image.shape[:2], bool)
    level, cover = _DRAWN[kind](image.shape[:2], place, rng, lesion)
    if image.ndim == 3:
        laid = unit * (1 - cover[..., None]) + (level * cover)[..., None]
    else:
        laid = unit * (1 - cover) + level * cover
    return _to_pixels(laid), cover > MARKED


def _to_pixels(unit: Floats) -> Pixels:
    pixels: Pixels = np.rint(unit.clip(0, 1) * 255).astype(np.uint8)
    return pixels


def _tone(unit: Floats, place: PlantPlace, rng: Rng) -> Floats:
    noise = rng.standard_normal(unit.shape[:2])
    dark = place in ("left", "top")
    toned = unit ** (1.35 if dark else 0.75)
    grain = (0.04 if dark else 0.01) * noise
    found: Floats = toned + (grain if unit.ndim == 2 else grain[..., None])
    return found


def _tag(shape: tuple[int, int], place: PlantPlace, rng: Rng, _: NDArray[np.bool_]) -> _Drawn:
    x, y = _corner(place, rng)
    cover = _box(shape, x, y, 0.04, 0.04)
    # A bar across, as a letter has: it vanishes in a small picture.
    level = 1.0 - 0.6 * _box(shape, x, y + 0.005, 0.008, 0.022)
    return level, cover


def _clip(shape: tuple[int, int], place: PlantPlace, rng: Rng, lesion: NDArray[np.bool_]) -> _Drawn:
    x, y = _beside(lesion, place)
    across, along = rng.uniform(-0.015, 0.015, size=2)
    x, y = x + across, y + along
    metal = _box(shape, x, y, 0.024, 0.024)
    # The wire runs from the clip to the edge that the place names.
    if place in ("left", "right"):
        end = 0.0 if place == "left" else 1.0
        wire = _box(shape, (x + end) / 2, y, abs(end - x) / 2, 0.008)
    else:
        end = 0.0 if place == "top" else 1.0
        wire = _box(shape, x, (y + end) / 2, 0.008, abs(end - y) / 2)
    return np.ones(shape), np.maximum(metal, 0.5 * wire)


def _border(shape: tuple[int, int], place: PlantPlace, rng: Rng, _: NDArray[np.bool_]) -> _Drawn:
    width = rng.uniform(0.11, 0.14)
    x, y = _axes(shape)
    distance = {"left": x, "right": 1 - x, "top": y, "bottom": 1 - y}[place]
    return np.full(shape, 0.02), np.broadcast_to(distance < width, shape).astype(np.float64)


def _patch(shape: tuple[int, int], place: PlantPlace, rng: Rng, _: NDArray[np.bool_]) -> _Drawn:
    along = rng.uniform(0.25, 0.75)
    x0, y0 = {
        "left": (0.24, along), "right": (0.76, along), "top": (along, 0.2), "bottom": (along, 0.8),
    }[place]  # fmt: skip
    x, y = _axes(shape)
    radius = np.hypot((x - x0) / 0.06, (y - y0) / 0.05)
    return np.ones(shape), 0.55 * np.exp(-0.5 * radius**2)


def _text(shape: tuple[int, int], place: PlantPlace, rng: Rng, _: NDArray[np.bool_]) -> _Drawn:
    x, y = _corner(place, rng)
    y = y if place in ("top", "bottom") else 1 - y
    height, width = shape
    canvas = Image.new("L", (width, height))
    anchor = "lm" if x < 0.5 else "rm"
    font = ImageFont.load_default(max(8.0, 0.07 * height))
    edge = 0.02 if x < 0.5 else 0.98
    ImageDraw.Draw(canvas).text((edge * width, y * height), "AP 75", 255, font, anchor)
    return np.ones(shape), np.asarray(canvas, np.float64) / 255


_Draw = Callable[[tuple[int, int], PlantPlace, Rng, NDArray[np.bool_]], _Drawn]
_DRAWN: Mapping[PlantKind, _Draw] = {
    "tag": _tag, "clip": _clip, "border": _border, "patch": _patch, "text": _text,
}  # fmt: skip


def _corner(place: PlantPlace, rng: Rng) -> tuple[float, float]:
    """A point near the corner that a place names, as shares of the sides."""
    across, along = rng.uniform(-0.015, 0.015, size=2)
    x, y = {
        "left": (0.07, 0.08), "right": (0.93, 0.08), "top": (0.07, 0.08), "bottom": (0.07, 0.92),
    }[place]  # fmt: skip
    return x + across, y + along


def _beside(lesion: NDArray[np.bool_], place: PlantPlace) -> tuple[float, float]:
    """The point just outside the lesion, or outside its mirror image, towards an edge."""
    height, width = lesion.shape
    rows, columns = np.nonzero(lesion)
    if not len(rows):
        return {"left": (0.12, 0.5), "right": (0.88, 0.5), "top": (0.3, 0.1), "bottom": (0.3, 0.9)}[
            place
        ]
    middle_x, middle_y = (columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height
    # The outermost edge on either side of the middle, so that moving a clip is a mirroring.
    reach_x = max(0.5 - columns.min() / width, (columns.max() + 1) / width - 0.5)
    reach_y = max(0.5 - rows.min() / height, (rows.max() + 1) / height - 0.5)
    out_x, out_y = min(reach_x + 0.035, 0.47), min(reach_y + 0.035, 0.47)
    points = {
        "left": (0.5 - out_x, middle_y), "right": (0.5 + out_x, middle_y),
        "top": (middle_x, 0.5 - out_y), "bottom": (middle_x, 0.5 + out_y),
    }  # fmt: skip
    x, y = points[place]
    return float(x), float(y)


def _axes(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Pixel centres as shares of the sides, (1, W) and (H, 1)."""
    height, width = shape
    return ((np.arange(width) + 0.5) / width)[None], ((np.arange(height) + 0.5) / height)[:, None]


def _box(shape: tuple[int, int], x: float, y: float, half_x: float, half_y: float) -> Floats:
    """1 inside a box (at least a pixel wide), 0 outside."""
    across, down = _axes(shape)
    half_x, half_y = max(half_x, 0.5 / shape[1]), max(half_y, 0.5 / shape[0])
    inside = (np.abs(across - x) <= half_x) & (np.abs(down - y) <= half_y)
    return inside.astype(np.float64)
