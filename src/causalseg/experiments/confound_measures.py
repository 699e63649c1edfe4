"""What a trained model does with a plant: paired do(plant) on the same test images."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest, Record
from causalseg.data.planted import PlantSpec, Tie, Version, plant
from causalseg.data.twins import naming
from causalseg.evaluation.metrics import BoolArray, dice
from causalseg.evaluation.plots import case_picture
from causalseg.evaluation.running import batches
from causalseg.files import Row
from causalseg.inference.encoded import probabilities
from causalseg.inference.maps import foreground
from causalseg.inference.pictures import CONFOUNDER_COLOUR, heatmap, overlay
from causalseg.inference.segmenter import Segmenter
from causalseg.models.output import SegmentationOutput
from causalseg.text.words import SIDES, UNLOCATED

_TILE = 128
_VERSIONS: tuple[Version, ...] = ("aligned", "conflict", "removed")
_ANSWERS = {"side": SIDES, "height": ("upper", "lower")}


def measure_plants(
    segmenter: Segmenter,
    manifest: Manifest,
    spec: PlantSpec,
    tie: Tie,
    *,
    hide_words: bool = False,
    batch_size: int = 32,
) -> list[Row]:
    """Measure on every image of a clean test split, with the captions of training.

    Returns:
        A row per image: `aligned`, `conflict`, `removed`, the Dice at the model's size in each
        version; `moved`, 1 - Dice between the masks of the first two, which differ in the plant
        alone; `on_plant`, the share of predicted pixels that lie on the plant, in conflict;
        `named`, the Dice in conflict when the caption also names the answer, where that can be
        said; for a model with masks, by stage, `confounder_on_plant_N`, the share of the mass of
        1 - M that lies on the plant, and `plant_area_N`, the plant's share of the places.

    """
    if hide_words:
        hidden = (replace(record, caption=UNLOCATED) for record in manifest.records)
        manifest = replace(manifest, records=tuple(hidden))
    rows: list[Row] = []
    for records in batches(manifest, batch_size):
        rows += _measured(segmenter, records, spec, tie)
    return rows


def _measured(
    segmenter: Segmenter, records: tuple[Record, ...], spec: PlantSpec, tie: Tie
) -> list[Row]:
    prep = segmenter.preprocessing
    truths = [read_mask(record.mask) for record in records]
    small = [prep.resize_mask(truth) for truth in truths]
    captions = [record.caption for record in records]
    masks: dict[Version, NDArray[np.bool_]] = {}
    rows: list[Row] = [{"name": record.name, "subject": record.subject or ""} for record in records]
    for version in _VERSIONS:
        planted = [
            plant(read_image(record.image), truth, version, spec, tie, record.name)
            for record, truth in zip(records, truths, strict=True)
        ]
        encoded = segmenter.encode([image for image, _ in planted])
        output = segmenter.answer(encoded, captions)
        masks[version] = foreground(probabilities(output), segmenter.threshold)
        where = [prep.resize_mask(plant) for _, plant in planted]
        for i, row in enumerate(rows):
            row[version] = dice(masks[version][i], small[i])
        if version == "aligned":
            _add_masks(rows, output, where)
        if version == "conflict":
            named = _named(records, truths, spec, tie)
            texts = [name or caption for name, caption in zip(named, captions, strict=True)]
            found = foreground(segmenter.probabilities(encoded, texts), segmenter.threshold)
            for i, row in enumerate(rows):
                mask = masks[version][i]
                row["on_plant"] = float((mask & where[i]).sum() / max(int(mask.sum()), 1))
                row["named"] = dice(found[i], small[i]) if named[i] else ""
    for i, row in enumerate(rows):
        row["moved"] = 1 - dice(masks["aligned"][i], masks["conflict"][i])
    return rows


def _named(
    records: tuple[Record, ...], truths: list[BoolArray], spec: PlantSpec, tie: Tie
) -> list[str | None]:
    """Captions that name the answer which theirs leave open."""
    words = _ANSWERS.get(spec.predicts)
    values = [tie.value(truth) for truth in truths]
    return [
        naming(record.caption, words[value]) if words and value is not None else None
        for record, value in zip(records, values, strict=True)
    ]


def _add_masks(rows: list[Row], output: SegmentationOutput, where: list[BoolArray]) -> None:
    plants = torch.from_numpy(np.stack(where)[:, None]).float()
    for stage, found in output.attention.items():
        rest = 1 - found.float().cpu().mean(1, keepdim=True)
        cells = F.adaptive_avg_pool2d(plants, (rest.shape[2], rest.shape[3]))
        mass = _total(rest * cells) / _total(rest).clamp_min(1e-30)
        for row, share, area in zip(
            rows, mass.tolist(), cells.mean((1, 2, 3)).tolist(), strict=True
        ):
            row[f"confounder_on_plant_{stage}"], row[f"plant_area_{stage}"] = share, area


def _total(values: Tensor) -> Tensor:
    return values.sum((1, 2, 3))


def plant_sheet(
    segmenter: Segmenter, manifest: Manifest, spec: PlantSpec, tie: Tie, count: int = 3
) -> NDArray[np.uint8]:
    """A picture, a row for each of the first `count` images with a lesion.

    Columns: the image with the plant in agreement and its truth (green) and answer (orange); the
    plant (blue); M, mean over the stages, where there is one; then image, answer and M once more
    with the plant in conflict. uint8 (H, W, 3).
    """
    chosen = [r for r in manifest.records[: 10 * count] if read_mask(r.mask).any()][:count]
    return np.vstack([_sheet_row(segmenter, record, spec, tie) for record in chosen])


def _sheet_row(
    segmenter: Segmenter, record: Record, spec: PlantSpec, tie: Tie
) -> NDArray[np.uint8]:
    tiles: list[NDArray[np.uint8]] = []
    truth = read_mask(record.mask)
    for version in ("aligned", "conflict"):
        image, where = plant(read_image(record.image), truth, version, spec, tie, record.name)
        small = segmenter.preprocessing.resize(image)
        output = segmenter.answer(segmenter.encode([image]), [record.caption])
        mask = foreground(probabilities(output)[0], segmenter.threshold)
        tiles.append(case_picture(small, segmenter.preprocessing.resize_mask(truth), mask))
        tiles.append(
            overlay(small, segmenter.preprocessing.resize_mask(where), CONFOUNDER_COLOUR, 0.8)
        )
        tiles += _maps(small, output.attention)
    sized = [
        Image.fromarray(tile).resize((_TILE, _TILE), Image.Resampling.NEAREST) for tile in tiles
    ]
    return np.hstack([np.asarray(tile) for tile in sized])


def _maps(image: NDArray[np.uint8], attention: Mapping[int, Tensor]) -> list[NDArray[np.uint8]]:
    return [heatmap(image, mask[0].mean(0).float().cpu().numpy()) for mask in attention.values()]
