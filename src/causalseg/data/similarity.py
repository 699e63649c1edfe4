"""Copies of one image: recoded, toned, inverted, mirrored, turned, shifted or cropped.

Two steps. A fingerprint finds candidates: the magnitude of an image's spectrum does not change
when the image is shifted or inverted, and it turns, mirrors and stretches with the image, so that
a few sampled forms of it cover what people do to pictures. The candidates are then laid over each
other and confirmed by the correlation of their fine structure, since radiographs of different
patients share the coarse one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from causalseg.progress import track

EDITION = 1
"""Version of this search: raised when it finds other pairs, so that kept results are not reused."""
SIDE = 64
RADIUS = 12
"""Frequencies up to this many cycles per image are compared."""
CANDIDATE = 0.68
"""Least correlation of two fingerprints."""
CONFIRMED = 0.95
"""Least correlation of two images' fine structure, laid over each other."""
PROMISING, CERTAIN = 0.75, 0.97
"""Between these the map is fitted; below, a pair is given up, and above, it is good enough."""
STEPS = 5
NEIGHBOURS = 3
"""Candidates per image that are examined."""
BLOCK = 1024
ZOOMS = (1.0, 1.08, 1.2, 1.4)
ANGLES = (-8, 0, 8)

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Form:
    """How the first image of a pair is changed to become the second."""

    mirror: bool
    quarter: bool
    """Turned by 90 degrees, too."""
    angle: float
    """Degrees."""
    zoom: float
    """Above 1: the second image shows a part of the first."""


@dataclass(frozen=True)
class Copy:
    """Two images of which one was made from the other."""

    first: int
    second: int
    correlation: float
    """Correlation of the fine structure, -1..1; negative where one is the other's negative."""
    form: Form


# Of two images each is compared with every form of the other, so that of a form and its inverse
# one is enough.
FORMS = tuple(
    Form(mirror, quarter, angle, zoom)
    for mirror in (False, True)
    for quarter in (False, True)
    for zoom in ZOOMS
    for angle in ANGLES
    if (angle, zoom) == (0, 1.0) or (not quarter and (zoom > 1 or angle > 0))
)


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce (H, W) or (H, W, 3) uint8 to a grey (64, 64) uint8."""
    grey = Image.fromarray(image).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))


def fine_structure(images: NDArray[Any]) -> Array:
    """The fine structure of (N, 64, 64): without slow changes, at one local contrast; float32."""
    pixels = images.astype(np.float32)
    detail = ndimage.gaussian_filter(pixels, (0, 1, 1)) - ndimage.gaussian_filter(pixels, (0, 6, 6))
    contrast = np.sqrt(ndimage.gaussian_filter(detail * detail, (0, 6, 6)))
    scaled: Array = detail / (contrast + 4)
    return scaled


def find_copies(thumbnails: NDArray[np.uint8]) -> Iterator[Copy]:
    """Every pair of copies among (N, 64, 64) uint8, first < second, in order.

    Takes time in proportion to N squared: 10 000 images take a few minutes on one core.
    """
    if len(thumbnails) < 2:
        return
    spectra = np.concatenate(
        [_spectrum(thumbnails[i : i + BLOCK]) for i in range(0, len(thumbnails), BLOCK)]
    )
    candidates = _candidates(spectra)
    for i, j, form in track(candidates, "confirming copies", len(candidates)):
        found = confirm(thumbnails[i], thumbnails[j], form)
        if abs(found) >= CONFIRMED:
            yield Copy(min(i, j), max(i, j), found, form)


def _spectrum(images: NDArray[np.uint8]) -> Array:
    """Magnitudes (N, 64, 64) of the windowed fine structure, zero frequency in the middle."""
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)
    waves = np.fft.fft2(fine_structure(images) * window, axes=(1, 2))
    return np.abs(np.fft.fftshift(waves, axes=(1, 2))).astype(np.float32)


@lru_cache(maxsize=1)
def _disc() -> tuple[Array, Array, NDArray[np.int64]]:
    """Frequencies (x, y) of a half disc (the other half repeats it), and the ring of each."""
    y, x = np.mgrid[0 : RADIUS + 1, -RADIUS : RADIUS + 1].astype(np.float32)
    distance = np.hypot(x, y)
    inside = (distance >= 2) & (distance <= RADIUS)
    return x[inside], y[inside], (distance[inside] // 2).astype(np.int64) - 1


def _fingerprints(spectra: Array, form: Form) -> Array:
    """Unit vectors (N, D): the spectra sampled in a form, each ring relative to its mean."""
    x, y, ring = _disc()
    x = -x if form.mirror else x
    if form.quarter:
        x, y = y, x
    turn = np.deg2rad(form.angle)
    column = (np.cos(turn) * x - np.sin(turn) * y) * form.zoom + SIDE // 2
    row = (np.sin(turn) * x + np.cos(turn) * y) * form.zoom + SIDE // 2
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    across, down = column - left, row - top
    sampled = np.sqrt(
        (spectra[:, top, left] * (1 - across) + spectra[:, top, left + 1] * across) * (1 - down)
        + (spectra[:, top + 1, left] * (1 - across) + spectra[:, top + 1, left + 1] * across) * down
    )
    members = np.eye(int(ring.max()) + 1, dtype=np.float32)[ring]
    means = sampled @ (members / members.sum(0))
    relative = sampled / np.maximum(means[:, ring], 1e-6) - 1
    relative -= relative.mean(axis=1, keepdims=True)
    length = np.linalg.norm(relative, axis=1, keepdims=True)
    unit: Array = (relative / np.maximum(length, 1e-6)).astype(np.float32)
    return unit


def _candidates(spectra: Array) -> list[tuple[int, int, Form]]:
    """For each image those nearest to it above CANDIDATE, with the form that turns i into j."""
    plain = _fingerprints(spectra, Form(False, False, 0, 1.0))
    best: dict[tuple[int, int], tuple[float, int, int, Form]] = {}
    for form in track(FORMS, "comparing fingerprints", len(FORMS)):
        for start in range(0, len(spectra), BLOCK):
            block = _fingerprints(spectra[start : start + BLOCK], form)
            likeness = block @ plain.T
            rows, columns = np.nonzero(likeness >= CANDIDATE)
            for row, j in zip(rows.tolist(), columns.tolist(), strict=True):
                i, value = start + row, float(likeness[row, j])
                pair = (min(i, j), max(i, j))
                if i != j and (pair not in best or value > best[pair][0]):
                    best[pair] = (value, i, j, form)
    taken: dict[int, int] = {}
    chosen = []
    for pair, (_, i, j, form) in sorted(best.items(), key=lambda item: -item[1][0]):
        if min(taken.get(k, 0) for k in pair) < NEIGHBOURS:
            for k in pair:
                taken[k] = taken.get(k, 0) + 1
            chosen.append((*pair, i, j, form))
    return [(i, j, form) for *_, i, j, form in sorted(chosen, key=lambda c: c[:2])]


def confirm(first: NDArray[np.uint8], second: NDArray[np.uint8], form: Form) -> float:
    """The correlation of two thumbnails' fine structure, the first one laid over the second.

    The form says roughly how; half a turn and the shift are searched for, and where the pair is
    promising all six numbers of the affine map are fitted by least squares.
    """
    target = fine_structure(second[None])[0]
    best, start = 0.0, np.zeros(6)
    for half_turn in (False, True):
        matrix = _matrix(form, half_turn)
        parameters = np.concatenate([matrix.ravel(), _shift(first, target, matrix)])
        value = _overlap(parameters, first, target)
        if abs(value) > abs(best):
            best, start = value, parameters
    return _fitted(start, best, first, target) if PROMISING <= abs(best) < CERTAIN else best


def _fitted(
    parameters: NDArray[np.float64], value: float, first: NDArray[np.uint8], target: Array
) -> float:
    """The correlation after a few steps of Gauss and Newton; never less than before."""
    steps = np.array([0.01] * 4 + [0.3] * 2)
    for _ in range(STEPS):
        inner, detail = _detail(parameters, first)
        here = _unit(detail[inner])
        goal = np.sign(value) * _unit(target[inner])
        slopes = [
            (_unit(_detail(parameters + step, first)[1][inner]) - here) / step.max()
            for step in np.diag(steps)
        ]
        change = np.linalg.lstsq(np.stack(slopes, 1), goal - here, rcond=None)[0]
        moved = parameters + np.clip(change, -8 * steps, 8 * steps)
        better = _overlap(moved, first, target)
        if abs(better) <= abs(value):
            break
        parameters, value = moved, better
    return value


def _detail(
    parameters: NDArray[np.float64], first: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], Array]:
    """Where the moved first image is known, away from its edge, and its fine structure."""
    moved = _moved(first, parameters)
    known = np.isfinite(moved)
    inner = ndimage.binary_erosion(known, iterations=3, border_value=1)
    return inner, fine_structure(_filled(moved)[None])[0]


def _unit(values: Array) -> Array:
    centred = values - values.mean() if values.size else values
    return centred / max(float(np.linalg.norm(centred)), 1e-6)


def _matrix(form: Form, half_turn: bool) -> NDArray[np.float64]:
    """From (row, column) of the second image, about its middle, to those of the first."""
    turn = np.deg2rad(form.angle + (180 if half_turn else 0))
    # A spectrum stretches where its image shrinks, and turns as its image does.
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / form.zoom
    swap = np.array([[0.0, 1.0], [1.0, 0.0]]) if form.quarter else np.eye(2)
    flip = np.diag([1.0, -1.0]) if form.mirror else np.eye(2)
    matrix: NDArray[np.float64] = rotation @ swap @ flip
    return matrix


def _moved(first: NDArray[np.uint8], parameters: NDArray[np.float64]) -> Array:
    """The first image as the second would show it; NaN where it shows nothing of it."""
    matrix, shift = parameters[:4].reshape(2, 2), parameters[4:]
    middle = (SIDE - 1) / 2
    offset = middle + shift - matrix @ (middle, middle)
    moved: Array = ndimage.affine_transform(
        first.astype(np.float32), matrix, offset, order=1, cval=np.nan
    )
    return moved


def _shift(
    first: NDArray[np.uint8], target: Array, matrix: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The shift, in pixels of the first image, at which both agree best."""
    moved = _moved(first, np.concatenate([matrix.ravel(), [0, 0]]))
    known = np.isfinite(moved)
    detail = np.where(known, fine_structure(_filled(moved)[None])[0], 0)
    waves = np.fft.fft2(target) * np.conj(np.fft.fft2(detail))
    surface = np.abs(np.fft.ifft2(waves).real)
    place = np.array(np.unravel_index(int(surface.argmax()), surface.shape), dtype=np.float64)
    place[place > SIDE / 2] -= SIDE
    shift: NDArray[np.float64] = -matrix @ place
    return shift


def _filled(moved: Array) -> Array:
    known = np.isfinite(moved)
    fill = float(moved[known].mean()) if known.any() else 0.0
    return np.where(known, moved, np.float32(fill))


def _overlap(parameters: NDArray[np.float64], first: NDArray[np.uint8], target: Array) -> float:
    """Correlation where both images are; 0 where they share less than a third."""
    inner, detail = _detail(parameters, first)
    if inner.sum() < SIDE * SIDE / 3:
        return 0.0
    return float(_unit(detail[inner]) @ _unit(target[inner]))
