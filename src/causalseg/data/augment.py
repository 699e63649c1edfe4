"""Random changes to an image and its mask that keep the caption true."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class AugmentConfig:
    """How far an image may be changed."""

    flip: float = 0.5
    """Probability of a horizontal flip (with the sides swapped in the caption)."""
    scale: tuple[float, float] = (0.85, 1.15)
    """Range of the magnification."""
    degrees: float = 10.0
    """Largest rotation either way."""
    shift: float = 0.06
    """Largest shift, as a share of the image's side."""
    gamma: float = 1.3
    """Gamma lies between 1 / gamma and gamma."""
    contrast: float = 0.2
    """Contrast changes by at most this share."""
    brightness: float = 0.1
    """Brightness changes by at most this, on the scale 0..1."""
    mirror_swap: float = 0.0
    """Probability of `mirror_swap` (with the sides swapped in the caption)."""


@dataclass(frozen=True)
class Change:
    """One draw of the random changes."""

    flip: bool
    scale: float
    angle: float
    """In radians, anticlockwise."""
    shift: tuple[float, float]
    """To the right and down, as a share of the image's side."""
    gamma: float
    contrast: float
    brightness: float


def mirror_swap(
    pixels: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Let the lesion and the same place of the other half change sides; all else stays.

    An intervention on the lesion's side, do(side), by the annotation alone: whatever else told the
    side in this picture (a marker, a tube, the wording of a scanner) no longer does. The caption's
    sides must be exchanged with it.

    Args:
        pixels: (C, S, S).
        mask: (1, S, S) of 0 and 1.

    Returns:
        Pixels and mask; in the mask, widened by a pixel, and in its mirror image, the pixels are
        those of the mirrored picture. The mask is mirrored.

    """
    wide = np.pad(mask[0] > 0, 1)
    across = wide[:, :-2] | wide[:, 1:-1] | wide[:, 2:]
    region = across[:-2] | across[1:-1] | across[2:]
    region = region | region[:, ::-1]
    return np.where(region, pixels[..., ::-1], pixels), mask[..., ::-1]


def draw_change(rng: np.random.Generator, config: AugmentConfig) -> Change:
    """Draw the changes for one item, always the same count of random numbers."""
    u = rng.uniform(-1, 1, size=7)
    low, high = config.scale
    return Change(
        flip=bool(rng.random() < config.flip),
        scale=float(low + (high - low) * (u[0] + 1) / 2),
        angle=float(np.deg2rad(config.degrees) * u[1]),
        shift=(float(config.shift * u[2]), float(config.shift * u[3])),
        gamma=float(config.gamma ** u[4]),
        contrast=float(1 + config.contrast * u[5]),
        brightness=float(config.brightness * u[6]),
    )


def tone_curve(planes: NDArray[np.uint8], change: Change) -> Tensor:
    """Gamma, then contrast about 0.5, then brightness, clipped.

    Args:
        planes: (C, S, S) uint8.
        change: The draw.

    Returns:
        (C, S, S) float32 in 0..1.

    """
    curve = np.linspace(0, 1, 256) ** change.gamma
    curve = (curve - 0.5) * change.contrast + 0.5 + change.brightness
    return torch.from_numpy(np.take(np.clip(curve, 0, 1).astype(np.float32), planes))


def affine(pixels: Tensor, mask: NDArray[np.uint8], change: Change) -> tuple[Tensor, Tensor]:
    """Rotate, scale and shift an image and its mask together.

    Args:
        pixels: (C, S, S) float32; bilinear, what comes from outside the image is 0.
        mask: (1, S, S) uint8 of 0 and 1; bilinear, then cut at a half.
        change: The draw.

    Returns:
        (C, S, S) float32 and (1, S, S) float32 of 0 and 1.

    """
    both = torch.cat([pixels, torch.from_numpy(mask.astype(np.float32))])[None]
    cos, sin = np.cos(change.angle) / change.scale, np.sin(change.angle) / change.scale
    right, down = 2 * change.shift[0], 2 * change.shift[1]
    # affine_grid maps where a pixel goes to where it comes from: the inverse of the change.
    matrix = torch.tensor(
        [
            [cos, -sin, -cos * right + sin * down],
            [sin, cos, -sin * right - cos * down],
        ],
        dtype=torch.float32,
    )
    grid = F.affine_grid(matrix[None], list(both.shape), align_corners=False)
    moved = F.grid_sample(both, grid, align_corners=False)[0]
    return moved[:-1], (moved[-1:] > 0.5).float()
