"""The answer to one image and one sentence."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from causalseg.inference.sentences import Sentence
from causalseg.models.checks import Expected


@dataclass(frozen=True)
class Segmentation:
    """A mask and how it came about. All arrays but `attention` have the source's (H, W)."""

    image: NDArray[np.uint8]
    """(H, W) or (H, W, 3): the source's pixels."""
    text: str
    """As written."""
    mask: NDArray[np.uint8]
    """(H, W) in {0, 1}: where the probability reaches the threshold."""
    probability: NDArray[np.float32]
    """(H, W) in [0, 1]."""
    threshold: float
    attention: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """"stage2", ... -> causal mask M at that stage's own size, in [0, 1]; a mask per channel is
    averaged over channels. The confounding mask is `1 - M`."""
    warnings: tuple[str, ...] = ()
    """What must be known before the mask is trusted, one sentence each."""
    sentence: Sentence | None = None
    """How the text was read."""
    expected: Expected | None = None
    """Dice that such a mask had on validation images; None where that is not known."""

    @property
    def read_as(self) -> str:
        """The sentence that the text was read as; "" where it was taken as written."""
        return self.sentence.read_as if self.sentence else ""

    @property
    def meant(self) -> str:
        """Which lungs that is, by the picture and by the patient, in words."""
        return self.sentence.meant if self.sentence else ""

    def save(self, folder: str | Path, name: str) -> list[Path]:
        """Write mask, probability, overlay and heat maps as PNG files named `NAME_*.png`.

        Returns:
            The files written.

        """
        from causalseg.inference.outputs import save_pictures

        return save_pictures(self, Path(folder), name)
