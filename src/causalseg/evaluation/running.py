"""Run a model over a manifest: its predictions, and controls in which the text is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest, Record
from causalseg.evaluation.metrics import FloatArray, dice
from causalseg.evaluation.predictions import Prediction
from causalseg.evaluation.scoring import Scores, ScoringOptions
from causalseg.inference.maps import foreground
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.sentences import kind_of_captions
from causalseg.progress import Tick
from causalseg.text.words import UNLOCATED


@dataclass(frozen=True)
class TextControls:
    """Per-image Dice (n,) at the model's size when the text is taken away, swapped or says less."""

    without_text: FloatArray
    other_text: FloatArray
    other_differs: NDArray[np.bool_]
    """Whether the other image's caption reads differently."""
    no_place: FloatArray | None = None
    """When the text names no place, so that the image alone can tell it; lung captions only."""


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
        controls: also run "image without text", "text of another image" and, where the captions
            are about lungs, a text that names no place.
        tick: called after each image.

    """
    captions = [record.caption for record in manifest.records]
    others = [captions[i] for i in derangement(len(captions), options.seed)]
    controls = controls and len(captions) > 1
    lungs = kind_of_captions(captions)["reading"] is not None
    scores, control_dice, done = Scores(options), list[list[float]](), 0
    for records in batches(manifest, batch_size):
        span = slice(done, done + len(records))
        variants = [captions[span]]
        if controls:
            variants += [[""] * len(records), others[span]]
            variants += [[UNLOCATED] * len(records)] * lungs
        encoded = segmenter.encode([read_image(record.image) for record in records])
        maps = [segmenter.probabilities(encoded, texts) for texts in variants]
        for i, record in enumerate(records):
            truth = read_mask(record.mask)
            scores.add(record, truth, Prediction.of_probability(maps[0][i], segmenter.threshold))
            small = segmenter.preprocessing.resize_mask(truth)
            masks = [foreground(m[i], segmenter.threshold) for m in maps[1:]]
            control_dice.append([dice(mask, small) for mask in masks])
            tick()
        done += len(records)
    if not controls:
        return scores, None
    columns = np.array(control_dice)
    differs = np.array([a != b for a, b in zip(captions, others, strict=True)])
    no_place = columns[:, 2] if lungs else None
    return scores, TextControls(columns[:, 0], columns[:, 1], differs, no_place)


def predict_record(segmenter: Segmenter, record: Record) -> Prediction:
    """One record's prediction at the model's size."""
    found = segmenter.probabilities([read_image(record.image)], [record.caption])
    return Prediction.of_probability(found[0], segmenter.threshold)
