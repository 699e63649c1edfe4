"""From source pixels to what a model takes: resize, scale, repeat grey, normalise."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from causalseg.errors import InputError

MAX_SIZE = 4096
MAX_CONTEXT = 1024
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preprocessing:
    """Everything that happens to an image before a model sees it; saved in each checkpoint.

    Raises InputError for a size, context length or standard deviation that is not positive.
    """

    size: int = 224
    """Side S of the square that the model sees, in pixels. The aspect ratio is not kept."""
    mean: tuple[float, float, float] = CLIP_MEAN
    """Mean of each channel, on the scale 0..1."""
    std: tuple[float, float, float] = CLIP_STD
    """Standard deviation of each channel, on the scale 0..1."""
    context_length: int = 20
    """Tokens of a caption, [SOS] and [EOS] among them."""

    def __post_init__(self) -> None:
        """Take lists (as JSON gives them) for tuples, and refuse what cannot work."""
        for name in ("mean", "std"):
            given = getattr(self, name)
            try:
                values = tuple(float(value) for value in given)
            except (TypeError, ValueError, OverflowError):
                values = ()
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise InputError(f"preprocessing.{name} needs 3 numbers, one a channel: {given}.")
            object.__setattr__(self, name, values)
        if min(self.std) <= 0:
            raise InputError(f"preprocessing.std must be positive, not {self.std}.")
        for name, most in (("size", MAX_SIZE), ("context_length", MAX_CONTEXT)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value > most:
                raise InputError(f"{name} must be a whole number, at most {most}, not {value!r}.")
        if self.size < 8:
            raise InputError(f"The image size must be at least 8 pixels, not {self.size}.")
        if self.context_length < 3:
            raise InputError(f"context_length must be at least 3, not {self.context_length}.")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], name: object) -> Self:
        """Take back what `to_dict` gave; InputError names the file `name` that holds it."""
        try:
            return cls(**fields)
        except TypeError as error:
            raise InputError(f"the preprocessing of {name} has another form: {error}.") from None

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them; `from_dict` takes them back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

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
