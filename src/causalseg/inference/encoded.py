"""What is kept between the two halves of a forward pass, and what comes out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalseg.models.output import SegmentationOutput


@dataclass(frozen=True)
class EncodedImages:
    """What a model computes of images before it reads a text."""

    features: Any
    """What the model's `encode_image` returned."""
    count: int
    """Images."""
    summaries: NDArray[np.float32] | None = None
    """(B, D): features that tell images like those in training from others."""
    unlocated: NDArray[np.float32] | None = None
    """(B, S, S): probabilities of the answer to a sentence that names no place."""


def probabilities(output: SegmentationOutput) -> NDArray[np.float32]:
    """The foreground probability of each text, (T, S, S) float32."""
    found: NDArray[np.float32] = output.logits.sigmoid()[:, 0].float().cpu().numpy()
    return found
