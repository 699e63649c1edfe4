"""How a chest phantom is drawn. Coordinates are shares of the image's side, (0, 0) top left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float64]
Marker = Literal["left", "either", "none"]
"""Where the lead marker "L" lies, which half of the phantoms have: on the patient's left, which is
the picture's right, as a radiographer puts it; on either side, where it tells nothing; nowhere."""


@dataclass(frozen=True)
class Anatomy:
    """The shape of one subject's chest."""

    gap: float
    """Distance of a lung's axis from the midline."""
    width: float
    """Half width of a lung at its base."""
    top: float
    """Height of the lungs' apices."""
    bottom: float
    """Height of the diaphragm."""
    heart: float
    """Size of the heart, 1 = usual."""
    tilt: float
    """Lean of the midline, a share of the side from top to bottom."""
    rib_spacing: float
    """Distance between ribs."""
    shoulder: float
    """Half width of the body."""


@dataclass(frozen=True)
class Opacity:
    """An infected area."""

    density: Plane
    """(S, S), what it adds to the brightness, soft at the edge."""
    mask: NDArray[np.bool_]
    """(S, S), where the density is over half of its plateau, within the lung."""


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a subject."""
    return Anatomy(
        gap=float(rng.uniform(0.195, 0.22)),
        width=float(rng.uniform(0.165, 0.19)),
        top=float(rng.uniform(0.10, 0.14)),
        bottom=float(rng.uniform(0.84, 0.90)),
        heart=float(rng.uniform(0.85, 1.15)),
        tilt=float(rng.uniform(-0.02, 0.02)),
        rib_spacing=float(rng.uniform(0.075, 0.092)),
        shoulder=float(rng.uniform(0.43, 0.49)),
    )


def draw_opacity(
    rng: np.random.Generator, anatomy: Anatomy, zone: tuple[str, str], size: int
) -> Opacity:
    """Draw an irregular opacity within a third of a lung."""
    side, height = zone
    x, y = _grid(size)
    sign = -1 if side == "left" else 1
    third = (anatomy.bottom - anatomy.top) / 3
    place = ("upper", "middle", "lower").index(height)
    cy = (
        anatomy.top + third * (place + 0.5) + (0.02, 0.0, -0.03)[place] + rng.uniform(-0.012, 0.012)
    )
    outward = (-0.01, 0.015, 0.03)[place] + rng.uniform(-0.02, 0.02)
    cx = _midline(anatomy, cy) + sign * (anatomy.gap + outward)
    rx, ry = rng.uniform(0.075, 0.115), third * rng.uniform(0.32, 0.44)
    theta = np.arctan2((y - cy) / ry, (x - cx) / rx)
    edge = np.ones_like(x)
    for k in (2, 3, 5):
        edge += rng.uniform(0.02, 0.30 / k) * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    radius = np.hypot((x - cx) / rx, (y - cy) / ry) / edge
    lung = _lung(anatomy, sign, x, y)
    # The zones' borders are kept clear, so that two neighbours never touch.
    within = np.abs(y - (anatomy.top + third * (place + 0.5))) < third / 2 - 1.0 / size
    mask = (radius < 1) & (lung > 0.5) & within
    texture = 1 + 0.15 * _smooth_noise(rng, size, 28)
    density = rng.uniform(0.28, 0.42) * _soft(1 - radius, 0.20) * texture * lung
    return Opacity(density, mask)


def draw_image(
    rng: np.random.Generator,
    anatomy: Anatomy,
    densities: Sequence[Plane],
    size: int,
    marker: Marker = "left",
) -> NDArray[np.uint8]:
    """Draw the chest with the opacities in it: (S, S) uint8."""
    x, y = _grid(size)
    lungs = np.maximum(_lung(anatomy, -1, x, y), _lung(anatomy, 1, x, y))
    dx = np.abs(x - _midline(anatomy, y))
    body = _soft(anatomy.shoulder - dx, 0.012) * _soft(_shoulder_line(dx, y), 0.02)
    image = body * (0.66 + 0.05 * _smooth_noise(rng, size, 5))
    image -= body * lungs * (0.42 + 0.03 * _smooth_noise(rng, size, 12))
    image += lungs * 0.035 * _smooth_noise(rng, size, 40)
    image += body * _bones(anatomy, dx, y)
    image += lungs * _vessels(rng, dx, y, anatomy)
    for density in densities:
        image = image + density * (1.15 - image.clip(0, 1))
    image = _artefacts(rng, image, x, y, marker)
    return _expose(rng, image, size)


def _grid(size: int) -> tuple[Plane, Plane]:
    axis = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(axis, axis)
    return x, y


def _soft(distance: Plane, width: float) -> Plane:
    """A smooth step from 0 (distance < 0) to 1, of about the given width."""
    step: Plane = 1 / (1 + np.exp(-np.clip(distance / (width / 3), -40, 40)))
    return step


def _line(distance: Plane, width: float) -> Plane:
    profile: Plane = np.exp(-0.5 * (distance / width) ** 2)
    return profile


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Plane:
    """Noise of unit spread with about `cells` bumps along a side."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    plane = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)
    result: Plane = plane / (plane.std() + 1e-6)
    return result


def _midline(anatomy: Anatomy, y: Plane | float) -> Plane | float:
    return 0.5 + anatomy.tilt * (y - 0.5)


def _lung(anatomy: Anatomy, sign: int, x: Plane, y: Plane) -> Plane:
    """One lung, 0..1: narrow apex, wide base, a domed diaphragm and the heart's notch."""
    lateral = sign * (x - _midline(anatomy, y)) - anatomy.gap
    depth = ((y - anatomy.top) / (anatomy.bottom - anatomy.top)).clip(0, 1.2)
    half = anatomy.width * (0.62 + 0.38 * np.sqrt(depth.clip(0, 1)))
    # The axis leans outward towards the base.
    u = (lateral - 0.03 * (depth - 0.5)) / half
    base = anatomy.bottom + 0.05 * u.clip(-1, 1) - 0.01
    middle, reach = (anatomy.top + base) / 2, (base - anatomy.top) / 2
    v = (y - middle) / reach
    power = np.where(v < 0, 2.2, 4.0)
    lung = _soft(1 - np.abs(u) ** 2.6 - np.abs(v) ** power, 0.16)
    size = anatomy.heart * (1.0 if sign > 0 else 0.55)
    # The heart bulges to the viewer's right.
    reach_x = 0.05 + 0.11 * size
    heart = np.hypot(sign * (x - _midline(anatomy, y)) / reach_x, (y - 0.70) / 0.17)
    notched: Plane = lung * _soft(heart - 1, 0.10)
    return notched


def _shoulder_line(dx: Plane, y: Plane) -> Plane:
    """Positive inside the body: the neck in the middle, shoulders sloping down beside it."""
    slope = 0.10 * _soft(dx - 0.13, 0.08) - 0.06 + 0.3 * (dx - 0.13).clip(0) ** 1.3
    inside: Plane = y - slope
    return inside


def _bones(anatomy: Anatomy, dx: Plane, y: Plane) -> Plane:
    spine = 0.10 * _line(dx, 0.035) * (1 + 0.25 * np.cos(2 * np.pi * y / 0.062))
    clavicle = 0.14 * _line(y - (anatomy.top + 0.075 - 0.22 * (dx - 0.05)), 0.010)
    bones: Plane = spine + clavicle * _soft(dx - 0.04, 0.02) * _soft(0.40 - dx, 0.03)
    reach = _soft(dx - 0.05, 0.03) * _soft(anatomy.shoulder - 0.02 - dx, 0.03)
    for k in range(10):
        behind = anatomy.top - 0.02 + k * anatomy.rib_spacing
        # Ribs run down and outward behind, and are seen as thin bright edges.
        curve = behind + 0.75 * (dx - 0.12) ** 2 + 0.02 * np.sin(6 * dx)
        for edge in (-0.013, 0.013):
            bones = bones + 0.05 * _line(y - curve - edge, 0.0045) * reach
        bones = bones + 0.03 * _line(y - curve, 0.011) * reach
    return bones


def _vessels(rng: np.random.Generator, dx: Plane, y: Plane, anatomy: Anatomy) -> Plane:
    """Branches from the hilum, fading outward."""
    hilum = (anatomy.top + anatomy.bottom) / 2 - 0.02
    away = (dx - 0.09).clip(0)
    plane = 0.16 * _line(np.hypot(dx - 0.115, (y - hilum) / 1.6), 0.03)
    for _ in range(9):
        slope, bend = rng.uniform(-1.8, 1.8), rng.uniform(-2, 2)
        branch = _line(y - hilum - slope * away - bend * away**2, 0.005)
        plane = plane + 0.11 * branch * np.exp(-away / 0.10) * _soft(dx - 0.125, 0.04)
    return plane


def _artefacts(rng: np.random.Generator, image: Plane, x: Plane, y: Plane, marker: Marker) -> Plane:
    """Leads, tubes, side markers and collimator edges, each in some images."""
    if rng.random() < 0.35:  # An electrode lead with its pad.
        px, py, bend = rng.uniform(0.15, 0.85), rng.uniform(0.1, 0.6), rng.uniform(-0.3, 0.3)
        course = x - px - bend * (y - py) ** 2 - 0.2 * (y - py)
        image = image + 0.20 * _line(course, 0.0035) * _soft(y - py, 0.01)
        image = image + 0.25 * _soft(0.013 - np.hypot(x - px, y - py), 0.004)
    if rng.random() < 0.25:  # A tube down the midline.
        end = rng.uniform(0.3, 0.8)
        for edge in (-0.006, 0.006):
            image = image + 0.14 * _line(x - 0.5 - edge, 0.0025) * _soft(end - y, 0.01)
    if rng.random() < 0.5:  # A lead marker; the same draws wherever it lies.
        other, py = rng.random() < 0.5, rng.uniform(0.06, 0.2)
        px = 0.06 if other and marker == "either" else 0.90
        bar = (np.abs(x - px) < 0.008) & (np.abs(y - py) < 0.03)
        foot = (np.abs(x - px - 0.012) < 0.02) & (np.abs(y - py - 0.03) < 0.007)
        image = np.where((bar | foot) & (marker != "none"), 1.0, image)
    if rng.random() < 0.3:  # The collimator's edge.
        left, right, up, down = rng.uniform(0.0, 0.05, size=4)
        open_field = (x > left) & (x < 1 - right) & (y > up) & (y < 1 - down)
        image = np.where(open_field, image, 0.02)
    return image


def _expose(rng: np.random.Generator, image: Plane, size: int) -> NDArray[np.uint8]:
    image = image.clip(0, 1.2) ** rng.uniform(0.8, 1.3)
    image = 0.5 + (image - 0.5) * rng.uniform(0.8, 1.15) + rng.uniform(-0.06, 0.06)
    grain = rng.standard_normal((size, size)) * rng.uniform(0.008, 0.03)
    image = image + grain * (0.5 + image.clip(0, 1))
    pixels: NDArray[np.uint8] = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    return pixels
