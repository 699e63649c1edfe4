"""Trivial controls: the scores that can be had without looking at the image.

"Mean mask": the mean of all training masks at a threshold, the same for every image. "Caption's "
"mean
mask": the mean over the training images with the same caption, which is what the text alone knows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from causalseg.data.images import read_mask
from causalseg.data.manifest import Manifest
from causalseg.data.preprocessing import Preprocessing
from causalseg.evaluation.metrics import FloatArray, dice_from_counts

CONTROL_THRESHOLD = 0.3


@dataclass(frozen=True)
class Templates:
    """Mean training masks (S, S) in [0, 1]: over all, and per caption."""

    overall: FloatArray
    by_caption: dict[str, FloatArray]


@dataclass(frozen=True)
class ControlScores:
    """Per-image Dice (n,) of both controls, and how many captions training never showed."""

    mean_mask: FloatArray
    caption_mask: FloatArray
    unseen_captions: int


def mean_masks(train: Manifest, size: int, tick: Callable[[], None] = lambda: None) -> Templates:
    """Average the training masks at S x S pixels."""
    prepare = Preprocessing(size=size)
    sums: dict[str, FloatArray] = {}
    counts: dict[str, int] = {}
    for record in train.records:
        mask = prepare.resize_mask(read_mask(record.mask))
        total = sums.setdefault(record.caption, np.zeros((size, size), np.float64))
        total += mask
        counts[record.caption] = counts.get(record.caption, 0) + 1
        tick()
    overall = sum(sums.values(), np.zeros((size, size), np.float64)) / max(len(train), 1)
    return Templates(overall, {c: total / counts[c] for c, total in sums.items()})


def score_controls(
    templates: Templates,
    test: Manifest,
    threshold: float = CONTROL_THRESHOLD,
    tick: Callable[[], None] = lambda: None,
) -> ControlScores:
    """Dice of both controls on each test image at the templates' size.

    A caption that training never showed gets the overall mean mask.
    """
    prepare = Preprocessing(size=templates.overall.shape[0])
    overall = templates.overall >= threshold
    by_caption = {c: mean >= threshold for c, mean in templates.by_caption.items()}
    counts = np.empty((2, len(test), 3))
    for i, record in enumerate(test.records):
        truth = prepare.resize_mask(read_mask(record.mask))
        for j, mask in enumerate((overall, by_caption.get(record.caption, overall))):
            tp = np.count_nonzero(mask & truth)
            counts[j, i] = tp, np.count_nonzero(mask) - tp, np.count_nonzero(truth) - tp
        tick()
    scores = dice_from_counts(counts[..., 0], counts[..., 1], counts[..., 2])
    unseen = sum(record.caption not in by_caption for record in test.records)
    return ControlScores(scores[0], scores[1], unseen)
