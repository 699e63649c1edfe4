"""Whether an image shows anything, by itself, in a lung that a sentence names.

A model that was trained on true captions believes them: asked for a healthy lung, it draws a
lesion there. So a small head looks at the image tower's deepest features, which no text has
touched, and says where the image shows a finding. `causalseg calibrate` trains it on training
images, the model itself being left as it is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from causalseg.layers.resize import resize
from causalseg.models.checks import BANDS, Float32Array
from causalseg.text.words import OTHER_SIDE, SIDES, in_words

STRONGEST = 0.05
"""Share of a half's cells whose mean logit is the evidence for it."""


class FindingHead(nn.Module):
    """Deepest features of the image tower to a coarse map of where the image shows a finding.

    Chosen on validation images of QaTa-COV19: without the two 3x3 convolutions fewer healthy lungs
    are told from others at the same cost, on a coarser grid too.
    """

    grid = 20

    def __init__(self, channels: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1)
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.wide = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.out = nn.Conv2d(width, 1, 1)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to logits (B, grid, grid)."""
        x = resize(F.relu(self.reduce(self.dropout(features))), (self.grid, self.grid))
        x = F.relu(self.near(x)) + x
        x = F.relu(self.wide(x)) + x
        found: Tensor = self.out(self.dropout(x)).squeeze(1)
        return found

    def vector(self) -> Float32Array:
        """All parameters, (P,), as a checkpoint keeps them."""
        found: Float32Array = parameters_to_vector(self.parameters()).detach().cpu().numpy()
        return found.astype(np.float32)


def evidence(logits: Tensor) -> Tensor:
    """Mean logit of the strongest cells in the left and right half of maps (B, G, G), (B, 2)."""
    half = logits.shape[-1] // 2
    parts = [logits[..., :half].flatten(1), logits[..., half:].flatten(1)]
    count = max(1, round(STRONGEST * parts[0].shape[1]))
    return torch.stack([part.topk(count).values.mean(1) for part in parts], 1)


def evidence_by_zone(logits: Tensor) -> Tensor:
    """Evidence of maps (B, G, G) for each half and for each zone of `BANDS` in it, (B, 2, 4)."""
    rows = logits.shape[1]
    bands = [(0.0, 1.0), *BANDS.values()]
    parts = [logits[:, round(first * rows) : round(last * rows)] for first, last in bands]
    return torch.stack([evidence(part) for part in parts], -1)


@dataclass(frozen=True)
class Shown:
    """Lungs that a sentence asks about and in which the image shows nothing, or little."""

    nothing: tuple[str, ...] = ()
    """Sides of the picture that are left empty."""
    little: tuple[str, ...] = ()
    """Sides of the picture whose mask is drawn and doubted."""
    zones: tuple[tuple[str, str], ...] = ()
    """Side and height of the zones asked for in which the image shows little, in a lung in which
    it shows more elsewhere."""


@dataclass(frozen=True)
class PresenceCheck:
    """Leaves a named lung empty in which the image shows nothing, and doubts where it is little."""

    weights: Float32Array
    """(P,): parameters of the `FindingHead`."""
    channels: int
    """C of the features."""
    width: int
    empty: float
    """Evidence, as a probability, below which a named lung is left empty."""
    doubt: float
    """The same below which its mask is doubted; at least `empty`."""
    missed: float
    """Share of validation lungs with a finding that are left empty."""
    doubted: float
    """Share of validation lungs with a finding whose evidence is below `doubt`."""
    healthy: float
    """Share of healthy validation lungs whose evidence is below `doubt`."""
    zone: float = -1.0
    """Evidence below which the zones asked for are doubted; -1 in a file that was calibrated before
    zones were looked at."""
    zone_doubted: float = 0.0
    """Share of the zones with a finding that validation captions name, less than a lung together,
    whose evidence is below `zone`."""
    zone_healthy: float = 0.0
    """The same share of zones without a finding, in a lung that has one elsewhere."""

    def __post_init__(self) -> None:
        if self._size() != self.weights.shape:
            raise ValueError("weights of another head")

    def _size(self) -> tuple[int]:
        c, w = int(self.channels), int(self.width)
        return (w * c + w + 2 * (9 * w * w + w) + w + 1,)

    @cached_property
    def head(self) -> FindingHead:
        """The head, ready for inference."""
        head = FindingHead(int(self.channels), int(self.width)).eval().requires_grad_(False)
        vector_to_parameters(torch.tensor(self.weights), head.parameters())
        return head

    def evidence(self, deep: NDArray[Any]) -> Float32Array:
        """How much an image shows, 0 to 1.

        Args:
            deep: (C, h, w), the image's deepest features.

        Returns:
            (2, 4): in the left and right half of the picture as a whole, and in each of `BANDS`.

        """
        with torch.inference_mode():
            logits = self.head(torch.tensor(deep, dtype=torch.float32)[None])
            found: Float32Array = evidence_by_zone(logits).sigmoid()[0].numpy()
        return found

    def shown(self, evidence: Float32Array, zones: Collection[tuple[str, str]]) -> Shown:
        """Which of the lungs and zones asked for the image says nothing or little of.

        Args:
            evidence: of the image, (2, 4).
            zones: side of the picture and height of each zone that the text names. A lung of which
                all are named is asked for as a whole.

        """
        nothing, little, places = [], [], []
        for side, (lung, *bands) in zip(SIDES, evidence.tolist(), strict=True):
            found = {
                height: p for height, p in zip(BANDS, bands, strict=True) if (side, height) in zones
            }
            if found and lung < self.empty:
                nothing.append(side)
            elif found and lung < self.doubt:
                little.append(side)
            elif found and len(found) < len(BANDS) and max(found.values()) < self.zone:
                places += [(side, height) for height in found]
        return Shown(tuple(nothing), tuple(little), tuple(places))

    def shown_anywhere(self, evidence: Float32Array) -> Shown:
        """Both lungs, doubted, where the image says little of either; for a text without a place.

        A mask that asks for no place holds all that the model sees, so nothing is left empty.
        """
        return Shown(little=SIDES) if evidence[:, 0].max() < self.doubt else Shown()

    def warnings(self, shown: Shown) -> tuple[str, ...]:
        """What to tell of lungs that were left empty, and of lungs and zones that are doubted."""
        notes = []
        if shown.nothing:
            notes.append(
                f"the text names {_lungs(shown.nothing)}, but the image shows nothing there by "
                "itself: that part of the mask is left empty. An empty mask does not mean that "
                f"there is no disease ({100 * self.missed:.1f} % of true findings are missed in "
                "this way)."
            )
        if shown.little:
            notes.append(
                f"the image by itself shows little in {_lungs(shown.little)}: "
                f"{100 * self.healthy:.0f} % of healthy lungs show no more, and "
                f"{100 * self.doubted:.0f} % of lungs with a finding. The mask there may follow "
                "the text and not the image."
            )
        if shown.zones:
            notes.append(
                f"the image by itself shows little in {in_words(shown.zones)}, and more elsewhere "
                f"in that lung: {100 * self.zone_healthy:.0f} % of zones without a finding show no "
                f"more, and {100 * self.zone_doubted:.0f} % of zones with one."
            )
        return tuple(notes)


def _lungs(sides: Sequence[str]) -> str:
    return " and ".join(
        f"the lung on the {side} of the picture (the patient's {OTHER_SIDE[side]})"
        for side in sides
    )
