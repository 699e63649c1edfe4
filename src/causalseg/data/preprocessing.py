"""From pixels and sentences to what a model takes: resize, scale, repeat grey, normalise, read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from causalseg.encoders.normalisation import CLIP
from causalseg.errors import InputError
from causalseg.text.readers.base import TextReader, reader_from_dict
from causalseg.text.readers.clip import ClipTokens

MAX_SIZE = 4096


@dataclass(frozen=True)
class Preprocessing:
    """What happens to an image and a sentence before a model sees them; saved in each checkpoint.

    Raises InputError for a size or standard deviation that is not positive.
    """

    size: int = 224
    """Side S of the square that the model sees, in pixels. The aspect ratio is not kept."""
    mean: tuple[float, float, float] = CLIP.mean
    """Mean of each channel, on the scale 0..1."""
    std: tuple[float, float, float] = CLIP.std
    """Standard deviation of each channel, on the scale 0..1."""
    reader: TextReader = field(default_factory=ClipTokens)
    """What turns sentences into tokens."""

    def __post_init__(self) -> None:
        """Turn JSON's lists into tuples, and refuse what cannot work."""
        for name in ("mean", "std"):
            given = getattr(self, name)
            try:
                values = tuple(float(value) for value in given)
            except (TypeError, ValueError, OverflowError):
                values = ()
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise InputError(f"preprocessing.{name} needs 3 numbers, one per channel: {given}.")
            object.__setattr__(self, name, values)
        if min(self.std) <= 0:
            raise InputError(f"preprocessing.std must be positive, not {self.std}.")
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size > MAX_SIZE:
            raise InputError(f"size must be a whole number, at most {MAX_SIZE}, not {self.size!r}.")
        if self.size < 8:
            raise InputError(f"The image size must be at least 8 pixels, not {self.size}.")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], name: object) -> Self:
        """The inverse of `to_dict`; InputError names the file `name` that holds the fields."""
        given = dict(fields)
        # Files from before readers existed: every model read CLIP's tokens.
        length = given.pop("context_length", ClipTokens.context_length)
        saved = given.pop("reader", {"name": "clip", "context_length": length})
        try:
            return cls(**given, reader=reader_from_dict(saved))
        except TypeError as error:
            raise InputError(f"the preprocessing of {name} has another form: {error}.") from None

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain data for JSON; `from_dict` reads them."""
        return {
            "size": self.size,
            "mean": list(self.mean),
            "std": list(self.std),
            "reader": self.reader.to_dict(),
        }

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """B sentences as the model's tokens, (B, L) int64."""
        return self.reader(texts)

    def resize(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize (H, W) or (H, W, 3) uint8 to (S, S) or (S, S, 3) uint8, bilinear, antialiased."""
        if image.shape[:2] == (self.size, self.size):
            return np.ascontiguousarray(image)
        resized = Image.fromarray(image).resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.array(resized, dtype=np.uint8)

    def resize_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Resize (H, W) bool to (S, S) bool, nearest neighbour, so that it stays binary."""
        if mask.shape == (self.size, self.size):
            return np.ascontiguousarray(mask)
        levels = Image.fromarray(mask.astype(np.uint8))
        return np.array(levels.resize((self.size, self.size), Image.Resampling.NEAREST)) > 0

    def normalise(self, pixels: Tensor) -> Tensor:
        """Scale (..., 1 or 3, S, S) in 0..1 to (..., 3, S, S) with the channels' mean and std.

        This is the one place where a grey image becomes three channels.
        """
        shape = (3, 1, 1)
        mean = torch.tensor(self.mean, dtype=pixels.dtype, device=pixels.device).view(shape)
        std = torch.tensor(self.std, dtype=pixels.dtype, device=pixels.device).view(shape)
        return (pixels - mean) / std

    def image(self, image: NDArray[np.uint8]) -> Tensor:
        """Turn (H, W) or (H, W, 3) uint8 into the model's input, (3, S, S) float32."""
        resized = self.resize(image)
        planes = resized[None] if resized.ndim == 2 else resized.transpose(2, 0, 1)
        # A copy: Pillow's arrays are read-only, of which torch warns.
        return self.normalise(torch.from_numpy(np.array(planes, order="C")).float() / 255)

    def mask(self, mask: NDArray[np.bool_]) -> Tensor:
        """Turn (H, W) bool into a target, (1, S, S) float32 of 0 and 1."""
        return torch.from_numpy(self.resize_mask(mask)).float()[None]
