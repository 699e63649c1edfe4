"""Pictures of a segmentation, each written whole or not at all."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from causalseg.files import replacing
from causalseg.inference.pictures import (
    CAUSAL_COLOUR,
    CONFOUNDER_COLOUR,
    attention_map,
    heatmap,
    overlay,
)

Save = Literal["all", "mask"]
"""What is written of an answer: everything, or the mask alone."""


class Result(Protocol):
    """The part of a `causalseg.inference.segmentation.Segmentation` that is drawn."""

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """(H, W) or (H, W, 3)."""

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        """(H, W) in {0, 1}."""

    @property
    def probability(self) -> npt.NDArray[np.float32]:
        """(H, W) in [0, 1]."""

    @property
    def attention(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Causal masks (h, w) in [0, 1] by stage; may be empty."""

    @property
    def warnings(self) -> Sequence[str]:
        """Sentences for the report."""


def write_png(pixels: npt.NDArray[Any], path: Path, orientation: int = 1) -> Path:
    """Write uint8 (H, W) or (H, W, 3), or uint16 (H, W), as PNG.

    Args:
        pixels: as they should be stored. path: the file's, in a folder that appears as a whole.
        orientation: EXIF orientation, so that a viewer turns the file as it turns its source.

    """
    options: dict[str, Any] = {}
    if orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][ExifTags.Base.Orientation] = orientation
    _save(pixels, path, **options)
    return path


def png_bytes(pixels: npt.NDArray[Any]) -> bytes:
    """uint8 (H, W) or (H, W, 3), or uint16 (H, W), as the bytes of a PNG."""
    file = io.BytesIO()
    _save(pixels, file)
    return file.getvalue()


def _save(pixels: npt.NDArray[Any], file: Any, **options: Any) -> None:
    # Pillow's own level takes several times as long, for files that are hardly smaller.
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.save(file, format="PNG", compress_level=1, **options)


def mask_pixels(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Mask {0, 1} as the picture 0, 255."""
    return np.where(mask != 0, np.uint8(255), np.uint8(0))


def probability_pixels(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Probability in [0, 1] in steps of 1/65535."""
    return np.rint(np.asarray(probability, dtype=np.float64) * 65535.0).astype(np.uint16)


def pictures(result: Result, save: Save = "all") -> dict[str, npt.NDArray[Any]]:
    """The pictures of a result by name, all (H, W) of the image.

    mask (uint8, 0 and 255), and unless it alone is to be saved: probability (uint16, 0..65535),
    overlay (RGB), and, for models that keep causal masks, causal and confounder (RGB; 1 minus the
    causal map).
    """
    found: dict[str, npt.NDArray[Any]] = {"mask": mask_pixels(result.mask)}
    if save == "mask":
        return found
    found["probability"] = probability_pixels(result.probability)
    found["overlay"] = overlay(result.image, result.mask)
    if result.attention:
        causal = attention_map(result.attention, (result.image.shape[0], result.image.shape[1]))
        found["causal"] = heatmap(result.image, causal, CAUSAL_COLOUR)
        found["confounder"] = heatmap(result.image, 1.0 - causal, CONFOUNDER_COLOUR)
    return found


def save_pictures(result: Result, folder: Path, name: str) -> list[Path]:
    """Write the pictures of a result as `NAME_mask.png`, `NAME_probability.png` and so on.

    Returns:
        The files written.

    """
    files = []
    for kind, pixels in pictures(result).items():
        files.append(folder / f"{name}_{kind}.png")
        with replacing(files[-1], sync=False) as part:  # they can be made again
            write_png(pixels, part)
    return files
