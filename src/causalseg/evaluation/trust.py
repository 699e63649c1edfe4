"""Measure when a model's answers can be believed, and write it down for its checkpoint.

What a check needs of ordinary images comes from training images; every threshold and scale comes
from validation images, and no test image is looked at.
"""

from collections.abc import Callable, Collection

import numpy as np
import torch
from numpy.typing import NDArray

from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest, Record
from causalseg.errors import InputError
from causalseg.evaluation.presence_fit import HEAD_EPOCHS, coarse, train_head
from causalseg.evaluation.seen import Half, Seen, SeenZone
from causalseg.evaluation.trust_fit import (
    GRID,
    TEMPERATURES,
    TrustReport,
    report,
    set_image,
    set_overlap,
    set_place,
    set_presence,
)
from causalseg.inference.encoded import EncodedImages, probabilities
from causalseg.inference.maps import foreground, resize_map
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.sentences import picture_zones
from causalseg.models.checks import BANDS, expected_overlap, half_of, touched
from causalseg.models.presence import FindingHead, evidence_by_zone
from causalseg.models.trust import Trust
from causalseg.text.captions import mirror_caption
from causalseg.text.words import SIDES


def look(segmenter: Segmenter, head: FindingHead, record: Record) -> Seen:
    """Ask a model about one record: its own caption, and the other lung's where one is named.

    Args:
        segmenter: without checks, so that nothing is left empty.
        head: of the presence check that is being set.
        record: an image, its mask and caption.

    """
    truth = read_mask(record.mask)
    encoded = segmenter.encode([read_image(record.image)])
    named = picture_zones(record.caption, segmenter.provenance)
    sides = {side for side, _ in named}
    mirrored = mirror_caption(record.caption) if len(sides) == 1 else None
    texts = [record.caption, *([mirrored] if mirrored else [])]
    output = segmenter.answer(encoded, texts)
    maps = [resize_map(p, truth.shape) for p in probabilities(output)]
    mask = foreground(maps[0], segmenter.threshold)
    deep = _deep(encoded)[0]
    with torch.inference_mode():
        shown = evidence_by_zone(head(torch.from_numpy(deep)[None])).sigmoid()[0].tolist()
    halves = [
        _half(truth, mask, side, found, {height for one, height in named if one == side})
        for side, found in zip(SIDES, shown, strict=True)
    ]
    other_empty = None
    if mirrored and not any(h.truth for h in halves if not h.named):
        other_empty = not foreground(maps[1], segmenter.threshold).any()
    return Seen(
        record.subject or record.name,
        (halves[0], halves[1]),
        tuple(expected_overlap(maps[0], mask, t) for t in TEMPERATURES),
        other_empty,
        deep.mean((1, 2)),
        touched(mask, GRID),
    )


def _half(
    truth: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    side: str,
    evidence: list[float],
    named: Collection[str],
) -> Half:
    """A half of the picture: its evidence as a whole and by zone (4), and the heights named."""
    half = half_of(truth.shape[1], side)
    true, found, rows = truth[half], mask[half], len(truth)
    zones = tuple(
        SeenZone(p, height in named, not true[round(first * rows) : round(last * rows)].any())
        for p, (height, (first, last)) in zip(evidence[1:], BANDS.items(), strict=True)
    )
    both = int((true & found).sum())
    return Half(evidence[0], bool(named), int(true.sum()), int(found.sum()), both, zones)


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
        train: training records, which train the presence check's head; `sample` of them give the
            image check its components, and all their masks the places.
        val: validation records, which set thresholds and scales.
        sample: training images to take.
        seed: decides which, and how the head starts.
        tick: called after each image and each epoch of the head.

    Raises:
        InputError: the captions name no lungs, just one lung is never named, or the model computes
            nothing of the image alone.

    """
    bare = Segmenter(
        segmenter.model,
        segmenter.preprocessing,
        segmenter.threshold,
        provenance=segmenter.provenance,
    )
    deep = np.stack([_features(bare, record, tick) for record in train.records])
    masks = [read_mask(record.mask).astype(np.uint8) for record in train.records]
    head = train_head(deep, np.stack([coarse(mask) for mask in masks]), seed=seed, tick=tick)
    places = np.stack([touched(mask, GRID) for mask in masks]).sum(0).astype(np.int64)
    seen = []
    for record in val.records:
        seen.append(look(bare, head, record))
        tick()
    presence = set_presence(seen, head)
    some = np.random.default_rng(seed).permutation(len(deep))[:sample]
    image = set_image(deep[some, 0].astype(np.float32).mean((2, 3)), seen)
    overlap = set_overlap(seen, presence.empty)
    trust = Trust(image, presence, overlap, set_place(places, seen))
    return trust, report(seen, presence)


def steps(train: Manifest, val: Manifest) -> int:
    """How often `calibrate` calls its `tick`."""
    return len(train) + HEAD_EPOCHS + len(val)


def _features(
    segmenter: Segmenter, record: Record, tick: Callable[[], None]
) -> NDArray[np.float16]:
    """The deepest features of an image and of its mirror image, (2, C, h, w), in half precision:
    5700 images take over 2 GB.
    """
    image = read_image(record.image)
    found = _deep(segmenter.encode([image, np.fliplr(image)])).astype(np.float16)
    tick()
    return found


def _deep(images: EncodedImages) -> NDArray[np.float32]:
    deep = images.deep
    if deep is None:
        raise InputError(
            "this model computes nothing of the image alone, which the checks of an answer look "
            "at: calibrate a causalclipseg checkpoint."
        )
    return deep.float().cpu().numpy()
