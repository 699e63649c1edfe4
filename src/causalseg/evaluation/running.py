"""Run a model over a manifest: its predictions, and controls in which the text is wrong."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest, Record
from causalseg.evaluation.metrics import FloatArray, dice
from causalseg.evaluation.predictions import Prediction
from causalseg.evaluation.scoring import Scores, ScoringOptions
from causalseg.inference.segmenter import Segmenter
from causalseg.text.tokenizer import tokenize

Tick = Callable[[], None]


@dataclass(frozen=True)
class TextControls:
    """Per-image Dice (n,) at the model's size when the text is taken away or swapped."""

    without_text: FloatArray
    other_text: FloatArray
    other_differs: NDArray[np.bool_]
    """Whether the other image's caption reads differently."""


@torch.inference_mode()
def variant_probabilities(
    segmenter: Segmenter,
    images: Sequence[NDArray[np.uint8]],
    variants: Sequence[Sequence[str]],
) -> NDArray[np.float32]:
    """Probabilities of B images under V sets of texts; each image is encoded once.

    Args:
        segmenter: the model.
        images: B images uint8, (H, W) or (H, W, 3).
        variants: V sequences of B texts, which may be empty strings.

    Returns:
        (V, B, S, S) float32 in [0, 1].

    """
    batch = torch.stack([segmenter.preprocessing.image(image) for image in images])
    model, length = segmenter.model, segmenter.preprocessing.context_length
    features = model.encode_image(batch.to(segmenter.device))
    maps = []
    for texts in variants:
        tokens = tokenize(list(texts), length).to(segmenter.device)
        tau = model.encode_text(tokens)
        logits = model.segment(features, tau).logits
        maps.append(logits.sigmoid()[:, 0].float().cpu().numpy())
    return np.stack(maps)


def batches(manifest: Manifest, size: int) -> Iterator[tuple[Record, ...]]:
    """The records in order, at most `size` at a time."""
    for start in range(0, len(manifest), size):
        yield manifest.records[start : start + size]


def derangement(count: int, seed: int) -> NDArray[np.int64]:
    """A random cyclic permutation (count,): no image keeps its own place (Sattolo's algorithm)."""
    generator, order = np.random.default_rng(seed), np.arange(count)
    for i in range(count - 1, 0, -1):
        j = int(generator.integers(0, i))
        order[[i, j]] = order[[j, i]]
    return order


def evaluate(
    segmenter: Segmenter,
    manifest: Manifest,
    options: ScoringOptions,
    *,
    batch_size: int = 16,
    controls: bool = True,
    tick: Tick = lambda: None,
) -> tuple[Scores, TextControls | None]:
    """Score a model on a manifest, and under empty and exchanged captions.

    Args:
        segmenter: the model; `options.size` must be its size.
        manifest: the images, masks and captions.
        options: how to score.
        batch_size: images at a time.
        controls: also run "image without text" and "text of another image".
        tick: called after each image.

    """
    captions = [record.caption for record in manifest.records]
    others = [captions[i] for i in derangement(len(captions), options.seed)]
    controls = controls and len(captions) > 1
    scores, control_dice, done = Scores(options), list[list[float]](), 0
    for records in batches(manifest, batch_size):
        span = slice(done, done + len(records))
        variants = [captions[span]]
        if controls:
            variants += [[""] * len(records), others[span]]
        maps = variant_probabilities(segmenter, [read_image(r.image) for r in records], variants)
        for i, record in enumerate(records):
            truth = read_mask(record.mask)
            scores.add(record, truth, Prediction.of_probability(maps[0, i], segmenter.threshold))
            small = segmenter.preprocessing.resize_mask(truth)
            control_dice.append([dice(m[i] >= segmenter.threshold, small) for m in maps[1:]])
            tick()
        done += len(records)
    if not controls:
        return scores, None
    columns = np.array(control_dice)
    differs = np.array([a != b for a, b in zip(captions, others, strict=True)])
    return scores, TextControls(columns[:, 0], columns[:, 1], differs)


def predict_record(segmenter: Segmenter, record: Record) -> Prediction:
    """One record's prediction at the model's size."""
    maps = variant_probabilities(segmenter, [read_image(record.image)], [[record.caption]])
    return Prediction.of_probability(maps[0, 0], segmenter.threshold)
