"""What is kept between the two halves of a forward pass, and what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalseg.inference.sentences import named_halves
from causalseg.models.checks import half_of
from causalseg.models.output import SegmentationOutput
from causalseg.models.presence import PresenceCheck, Shown
from causalseg.text.words import UNLOCATED

NO_FINDING = -20.0
"""Logit of a place that is known to hold nothing."""


@dataclass
class EncodedImages:
    """What a model computes of images before it reads a text."""

    features: Any
    """What the model's `encode_image` returned."""
    count: int
    """Images."""


def probabilities(output: SegmentationOutput) -> NDArray[np.float32]:
    """The foreground probability of each text, (T, S, S) float32."""
    found: NDArray[np.float32] = output.logits.sigmoid()[:, 0].float().cpu().numpy()
    return found


def deep_features(output: SegmentationOutput, index: int) -> NDArray[np.float32] | None:
    """The deepest features (C, h, w) of the image of one text; None where the model gives none."""
    if output.deep is None:
        return None
    found: NDArray[np.float32] = output.deep[min(index, len(output.deep) - 1)].float().cpu().numpy()
    return found


def shown_in(
    output: SegmentationOutput,
    texts: Sequence[str],
    presence: PresenceCheck | None,
    provenance: Mapping[str, Any],
) -> list[Shown]:
    """Lungs that captions for a model ask about and in which their images show little.

    Args:
        output: to T texts, about T images or one.
        texts: T captions.
        presence: the check, where the checkpoint has one.
        provenance: the checkpoint's.

    """
    if presence is None or output.deep is None:
        return [Shown()] * len(texts)
    evidence = [presence.evidence(deep) for deep in output.deep.float().cpu().numpy()]
    found = []
    for i, text in enumerate(texts):
        mine = evidence[min(i, len(evidence) - 1)]
        if text == UNLOCATED:
            found.append(presence.shown_anywhere(mine))
        else:
            found.append(presence.shown(mine, named_halves(text, provenance)))
    return found


def emptied(output: SegmentationOutput, healthy: Sequence[Sequence[str]]) -> SegmentationOutput:
    """The output with nothing found in the sides of the picture that are known to be healthy.

    Args:
        output: to T texts.
        healthy: sides for each text.

    """
    if not any(healthy):
        return output
    logits = output.logits.clone()
    for one, sides in zip(logits, healthy, strict=True):
        for side in sides:
            one[half_of(one.shape[-1], side)] = NO_FINDING
    return replace(output, logits=logits)
