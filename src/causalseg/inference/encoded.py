"""What is kept between the two halves of a forward pass, and what comes out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from causalseg.inference.sentences import picture_zones
from causalseg.models.checks import half_of
from causalseg.models.output import SegmentationOutput
from causalseg.models.presence import PresenceCheck, Shown
from causalseg.text.captions import mirror_caption
from causalseg.text.words import UNLOCATED

NO_FINDING = -20.0
"""Logit of a place that is known to hold nothing."""


Segment = Callable[[Any, Sequence[str]], SegmentationOutput]


@dataclass
class EncodedImages:
    """What a model computes of images before it reads a text."""

    features: Any
    """What the model's `encode_image` returned."""
    count: int
    """Images."""
    mirrored: Any = None
    """The same of the mirrored images, where answers are averaged over both."""

    @property
    def deep(self) -> Tensor | None:
        """The deepest features (B, C, h, w); None where the model gives none before a text."""
        return getattr(self.features, "deep", None)


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


def segment_texts(
    segment: Segment,
    images: EncodedImages,
    texts: Sequence[str],
    presence: PresenceCheck | None,
    provenance: Mapping[str, Any],
) -> tuple[SegmentationOutput, list[Shown]]:
    """The answer to T texts, and for each the lungs it asks about in which its image shows little.

    Args:
        segment: one pass of the model, features and texts to output.
        images: T of them, or one that is shared.
        texts: T captions.
        presence: the check that empties lungs in which the image shows nothing, where the
            checkpoint has one.
        provenance: the checkpoint's.

    """
    outputs = [segment(images.features, texts)]
    if images.mirrored is not None:
        mirrors = [mirror_caption(text) for text in texts]
        asked = [
            text if mirror is None else mirror for text, mirror in zip(texts, mirrors, strict=True)
        ]
        outputs.append(segment(images.mirrored, asked))
        can = [mirror is not None for mirror in mirrors]
        outputs[0] = _joint_flip(outputs[0], outputs[1], torch.tensor(can))
    shown = _shown(outputs, texts, presence, provenance)
    return _emptied(outputs[0], [one.nothing for one in shown]), shown


def _joint_flip(
    output: SegmentationOutput, mirrored: SegmentationOutput, can: Tensor
) -> SegmentationOutput:
    """Mean logits of images under texts and of mirrored images under mirrored texts.

    A text that cannot be mirrored (`can`, (T,) bool) keeps the logits of `output`.
    """
    kept = can.to(output.logits.device)[:, None, None, None]
    mean = (output.logits + mirrored.logits.flip(-1)) / 2
    return replace(output, logits=torch.where(kept, mean, output.logits))


def _shown(
    outputs: Sequence[SegmentationOutput],
    texts: Sequence[str],
    presence: PresenceCheck | None,
    provenance: Mapping[str, Any],
) -> list[Shown]:
    """The evidence is the mean over the images and, where they are asked too, their mirrors."""
    looks = [o.deep.float().cpu().numpy() for o in outputs if o.deep is not None]
    if presence is None or not looks:
        return [Shown()] * len(texts)
    evidence = [presence.evidence(deep) for deep in looks[0]]
    if len(looks) > 1:
        mirrors = [presence.evidence(deep)[::-1] for deep in looks[1]]
        pairs = zip(evidence, mirrors, strict=True)
        evidence = [(one + other) / np.float32(2) for one, other in pairs]
    found = []
    for i, text in enumerate(texts):
        mine = evidence[min(i, len(evidence) - 1)]
        if text == UNLOCATED:
            found.append(presence.shown_anywhere(mine))
        else:
            found.append(presence.shown(mine, picture_zones(text, provenance)))
    return found


def _emptied(output: SegmentationOutput, healthy: Sequence[Sequence[str]]) -> SegmentationOutput:
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
