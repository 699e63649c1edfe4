"""Measure when a model's answers can be believed, and write it down for its checkpoint.

What a check needs of ordinary images comes from training images; every threshold and scale comes
from validation images, and no test image is looked at.
"""

from collections.abc import Callable

import numpy as np

from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest, Record
from causalseg.evaluation.trust_fit import (
    GRID,
    TEMPERATURES,
    Half,
    Seen,
    TrustReport,
    report,
    set_image,
    set_overlap,
    set_place,
    set_presence,
)
from causalseg.inference.maps import foreground, resize_map
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.sentences import named_halves
from causalseg.models.checks import PresenceCheck, expected_overlap, half_of, touched
from causalseg.models.trust import Trust
from causalseg.text.captions import mirror_caption
from causalseg.text.words import SIDES, UNLOCATED


def look(segmenter: Segmenter, record: Record) -> Seen:
    """Ask a model about one record: its own caption, and the other lung's where one is named.

    Args:
        segmenter: whose presence check has threshold 0, so that nothing is left empty.
        record: an image, its mask and caption.

    """
    truth = read_mask(record.mask)
    encoded = segmenter.encode([read_image(record.image)])
    named = named_halves(record.caption, segmenter.provenance)
    mirrored = mirror_caption(record.caption) if len(named) == 1 else None
    texts = [record.caption, *([mirrored] if mirrored else [])]
    maps = [resize_map(p, truth.shape) for p in segmenter.probabilities(encoded, texts)]
    mask = foreground(maps[0], segmenter.threshold)
    assert encoded.unlocated is not None
    evidence = PresenceCheck(UNLOCATED, 0, 1).evidence(encoded.unlocated[0])
    halves = []
    for side in SIDES:
        half = half_of(truth.shape[1], side)
        both = int((truth[half] & mask[half]).sum())
        halves.append(
            Half(evidence[side], side in named, int(truth[half].sum()), int(mask[half].sum()), both)
        )
    other_empty = None
    if mirrored and not any(h.truth for h in halves if not h.named):
        other_empty = not foreground(maps[1], segmenter.threshold).any()
    return Seen(
        record.subject or record.name,
        (halves[0], halves[1]),
        tuple(expected_overlap(maps[0], mask, t) for t in TEMPERATURES),
        other_empty,
        None if encoded.summaries is None else encoded.summaries[0],
        touched(mask, GRID),
    )


def calibrate(
    segmenter: Segmenter,
    train: Manifest,
    val: Manifest,
    *,
    sample: int = 700,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> tuple[Trust, TrustReport]:
    """Set all checks of a checkpoint of chest captions.

    Args:
        segmenter: with the checkpoint to be calibrated.
        train: training records; `sample` of them give the image check its components, and all
            their masks the places.
        val: validation records, which set thresholds and scales.
        sample: training images to take.
        seed: decides which.
        tick: called after each image.

    Raises:
        InputError: the captions name no lungs, or just one lung is never named.

    """
    open_minded = Segmenter(
        segmenter.model,
        segmenter.preprocessing,
        segmenter.threshold,
        provenance=segmenter.provenance,
        trust=Trust(presence=PresenceCheck(UNLOCATED, 0.0, 1.0)),
    )
    summaries = []
    for record in train.limit(sample, seed).records:
        summary = open_minded.encode([read_image(record.image)]).summaries
        summaries += [] if summary is None else [summary[0]]
        tick()
    places = np.zeros((GRID, GRID), np.int64)
    for record in train.records:
        places += touched(read_mask(record.mask), GRID)
    seen = []
    for record in val.records:
        seen.append(look(open_minded, record))
        tick()
    presence = set_presence(seen)
    overlap = set_overlap(seen, presence.threshold)
    image = set_image(np.stack(summaries), seen) if summaries else None
    trust = Trust(image, presence, overlap, set_place(places, seen))
    return trust, report(seen, presence)
