"""What a trained model's causal masks M do at run time: where they are, and whether it matters.

For every image: the share of each mask's mass that lies in the lesion, sum(M y) / sum(M), beside
the lesion's share of the area, which a mask that selects nothing would reach; the largest change
of M when another text is given, max |M(x, do(t)) - M(x, do(t'))|; and Dice with M as it is and
with M forced to 1 at every stage and place, which lets all features through.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest, Record
from causalseg.evaluation.metrics import FloatArray, dice
from causalseg.evaluation.plots import case_picture
from causalseg.evaluation.running import batches, derangement
from causalseg.evaluation.statistics import (
    RESAMPLES,
    Interval,
    cluster_bootstrap,
    cluster_codes,
    paired_test,
)
from causalseg.inference.encoded import probabilities
from causalseg.inference.maps import foreground, resize_map
from causalseg.inference.pictures import heatmap
from causalseg.inference.segmenter import Segmenter
from causalseg.models.causalclipseg.model import CausalCLIPSeg
from causalseg.models.output import SegmentationOutput

_TILE = 144  # pixels of a picture's side in a sheet


@dataclass(frozen=True)
class StageMeasures:
    """Of one stage's masks."""

    inside: Interval | None
    """Share of the mass in the lesion, over images with a lesion; None where there is none."""
    lift: Interval | None
    """Mean `inside` / mean area of the lesion: 1 means no selection."""
    level: float
    """Mean of M."""
    spread: float
    """Standard deviation of M within an image."""


@dataclass(frozen=True)
class TextChange:
    """Change of M under another image's text, max over stages and places."""

    largest: float
    mean: float
    images_with_another_text: int
    """How many got a text that reads differently."""


@dataclass(frozen=True)
class OpenChange(Interval):
    """Dice with M forced to 1, minus Dice."""

    p: float


@dataclass(frozen=True)
class MaskMeasures:
    """What masks.json holds; the definitions are those of this module."""

    images: int
    images_with_a_lesion: int
    stages: dict[str, StageMeasures]
    inside: Interval | None
    """As of a stage, of the mean over all stages; so is `lift`."""
    lift: Interval | None
    lesion_area: float | None
    do_text: TextChange
    dice: Interval
    dice_open: Interval
    open_change: OpenChange


@dataclass
class _Rows:
    """Per image; the stages' values by stage."""

    inside: dict[int, list[float]] = field(default_factory=dict)
    level: dict[int, list[float]] = field(default_factory=dict)
    spread: dict[int, list[float]] = field(default_factory=dict)
    area: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    dice: list[float] = field(default_factory=list)
    dice_open: list[float] = field(default_factory=list)


@torch.inference_mode()
def measure_masks(
    segmenter: Segmenter, manifest: Manifest, *, batch_size: int = 16, resamples: int = RESAMPLES
) -> MaskMeasures | None:
    """Measure on every image of a manifest; None where the model has no masks."""
    if not isinstance(segmenter.model, CausalCLIPSeg):
        return None
    captions = [record.caption for record in manifest.records]
    other = [captions[i] for i in derangement(len(captions), 0)] if len(captions) > 1 else captions
    rows, done = _Rows(), 0
    for records in batches(manifest, batch_size):
        span = slice(done, done + len(records))
        if not _add(rows, segmenter, records, captions[span], other[span]):
            return None
        done += len(records)
    differs = sum(a != b for a, b in zip(captions, other, strict=True))
    return _summary(rows, cluster_codes([r.subject for r in manifest.records]), differs, resamples)


def _output(
    segmenter: Segmenter, records: tuple[Record, ...], texts: list[str]
) -> SegmentationOutput:
    """The whole model, image and text."""
    return segmenter.answer(segmenter.encode([read_image(r.image) for r in records]), texts)


def _add(
    rows: _Rows,
    segmenter: Segmenter,
    records: tuple[Record, ...],
    texts: list[str],
    others: list[str],
) -> bool:
    """Measure a batch; False where the model gave no mask."""
    own, other = (_output(segmenter, records, t) for t in (texts, others))
    if not own.attention:
        return False
    assert isinstance(segmenter.model, CausalCLIPSeg)
    with segmenter.model.open_masks():
        opened = _output(segmenter, records, texts)
    truths = [segmenter.preprocessing.resize_mask(read_mask(r.mask)) for r in records]
    truth = torch.from_numpy(np.stack(truths)[:, None]).float()
    rows.area += truth.mean((1, 2, 3)).tolist()
    change = torch.zeros(len(records))
    for stage, found in own.attention.items():
        mask = found.float().cpu()
        difference = (mask - other.attention[stage].float().cpu()).abs()
        change = torch.maximum(change, difference.flatten(1).amax(1))
        lesion = F.adaptive_avg_pool2d(truth, (mask.shape[2], mask.shape[3]))
        mass = mask.mean(1, keepdim=True)
        inside = (mass * lesion).sum((1, 2, 3)) / mass.sum((1, 2, 3)).clamp_min(1e-30)
        rows.inside.setdefault(stage, []).extend(inside.tolist())
        rows.level.setdefault(stage, []).extend(mask.flatten(1).mean(1).tolist())
        rows.spread.setdefault(stage, []).extend(mass.flatten(1).std(1, correction=0).tolist())
    rows.change += change.tolist()
    for target, output in ((rows.dice, own), (rows.dice_open, opened)):
        found_masks = foreground(probabilities(output), segmenter.threshold)
        target += [dice(m, t) for m, t in zip(found_masks, truths, strict=True)]
    return True


def _ratio(sums: FloatArray) -> FloatArray:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _summary(
    rows: _Rows, clusters: NDArray[np.int64], differs: int, resamples: int
) -> MaskMeasures:
    area = np.array(rows.area)
    shown = area > 0

    def share(inside: FloatArray) -> tuple[Interval | None, Interval | None]:
        """Share of the mass in the lesion, and lift."""
        if not shown.any():
            return None, None
        both = np.column_stack([inside, area])[shown]
        kept = clusters[shown]
        mean = cluster_bootstrap(both[:, 0], kept, resamples=resamples)
        return mean, cluster_bootstrap(both, kept, _ratio, resamples=resamples)

    stages = {
        str(stage): StageMeasures(
            *share(np.array(inside)),
            level=float(np.mean(rows.level[stage])),
            spread=float(np.mean(rows.spread[stage])),
        )
        for stage, inside in rows.inside.items()
    }
    mean_inside, mean_lift = share(np.mean(list(rows.inside.values()), axis=0))
    test = paired_test(rows.dice_open, rows.dice, clusters, resamples=resamples)
    change = np.array(rows.change)
    return MaskMeasures(
        images=len(area),
        images_with_a_lesion=int(shown.sum()),
        stages=stages,
        inside=mean_inside,
        lift=mean_lift,
        lesion_area=float(area[shown].mean()) if shown.any() else None,
        do_text=TextChange(float(change.max()), float(change.mean()), differs),
        dice=cluster_bootstrap(rows.dice, clusters, resamples=resamples),
        dice_open=cluster_bootstrap(rows.dice_open, clusters, resamples=resamples),
        open_change=OpenChange(**vars(test.difference), p=test.p),
    )


@torch.inference_mode()
def mask_sheet(segmenter: Segmenter, manifest: Manifest, count: int) -> NDArray[np.uint8]:
    """A picture, a row for each of the first `count` images with a lesion.

    Columns: truth (green) and prediction (orange), M of each stage (the more orange the more is
    let through), the prediction with M forced to 1. uint8 (H, W, 3).
    """
    chosen = [r for r in manifest.records[: 10 * count] if read_mask(r.mask).any()][:count]
    return np.vstack([_sheet_row(segmenter, record) for record in chosen or manifest.records[:1]])


def _sheet_row(segmenter: Segmenter, record: Record) -> NDArray[np.uint8]:
    image, truth = read_image(record.image), read_mask(record.mask)
    output = _output(segmenter, (record,), [record.caption])
    assert isinstance(segmenter.model, CausalCLIPSeg)
    with segmenter.model.open_masks():
        opened = _output(segmenter, (record,), [record.caption])

    def predicted(output: SegmentationOutput) -> NDArray[np.uint8]:
        sized = resize_map(probabilities(output)[0], truth.shape)
        return case_picture(image, truth, foreground(sized, segmenter.threshold))

    maps = [m[0].mean(0).float().cpu().numpy() for m in output.attention.values()]
    tiles = [predicted(output), *(heatmap(image, m) for m in maps), predicted(opened)]
    sized = [Image.fromarray(tile).resize((_TILE, _TILE)) for tile in tiles]
    return np.hstack([np.asarray(tile) for tile in sized])
