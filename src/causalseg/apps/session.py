"""What the page does, without the page: load, segment, draw, write the downloads."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.apps.answers import NOTE, Answer, answer
from causalseg.errors import InputError
from causalseg.evaluation.metrics import dice
from causalseg.inference.formats import Study
from causalseg.inference.maps import foreground
from causalseg.inference.outputs import mask_pixels, write_png
from causalseg.inference.pictures import (
    CAUSAL_COLOUR,
    CONFOUNDER_COLOUR,
    attention_map,
    heatmap,
    overlay,
)
from causalseg.inference.requests import clean_prompt
from causalseg.inference.segmenter import Segmentation, Segmenter
from causalseg.inference.sentences import segment_notes
from causalseg.text.reading import Sides
from causalseg.version import __version__

Picture = NDArray[np.uint8]
# The longer side of what is shown; downloads keep the source's own size.
_VIEW = 768


@dataclass(frozen=True)
class Work:
    """One image with the results of one sentence, or of two that are compared."""

    study: Study
    results: tuple[Segmentation, ...]


@dataclass(frozen=True)
class Views:
    """Everything that is shown at one threshold."""

    overlays: tuple[Picture, ...]
    causal: Picture | None
    confounder: Picture | None
    answers: tuple[Answer, ...]
    agreement: float | None
    """Dice of the two masks, where two sentences are compared."""


def segment(
    segmenter: Segmenter, study: Study | None, text: str, edited: str, sides: Sides | None = None
) -> Work:
    """Run the model on a sentence and, where it is not empty, on an edited one.

    Args:
        segmenter: of the page.
        study: one image.
        text: the sentence.
        edited: another to compare with, or "".
        sides: whose left they mean where they do not say so; None: see `read_for`.

    Raises:
        InputError: there is no image or no sentence, or one cannot be used.

    """
    if study is None:
        raise InputError("choose an image first: upload one, or take a phantom.")
    texts = [clean_prompt(text), *([clean_prompt(edited)] if edited.strip() else [])]
    return Work(study, tuple(segmenter.prompts(study.frames[0], texts, sides=sides)))


def draw(segmenter: Segmenter, work: Work, threshold: float) -> Views:
    """Everything that is shown, at a threshold in [0, 1]."""
    image = shrink(work.study.frames[0])
    shape = (image.shape[0], image.shape[1])
    answers = tuple(answer(work.study, found, segmenter, threshold) for found in work.results)
    masks = [foreground(found.probability, threshold).astype(np.uint8) for found in work.results]
    causal = confounder = None
    if work.results[0].attention:
        causal_map = attention_map(work.results[0].attention, shape)
        causal = heatmap(image, causal_map, CAUSAL_COLOUR)
        confounder = heatmap(image, np.float32(1) - causal_map, CONFOUNDER_COLOUR)
    return Views(
        overlays=tuple(overlay(image, _nearest(mask, shape)) for mask in masks),
        causal=causal,
        confounder=confounder,
        answers=answers,
        agreement=float(dice(masks[0] > 0, masks[1] > 0)) if len(masks) == 2 else None,
    )


def write_downloads(work: Work, views: Views, folder: Path, model: str) -> dict[str, Path]:
    """Write the masks as PNG and DICOM SEG, and everything as JSON, into a folder.

    Returns:
        `png`, `json`, and where there is one `edited` (the second mask as PNG) and `dicom` (one
        object with a segment for each sentence). File names say nothing about the source.

    Raises:
        InputError: the DICOM header lacks what a segmentation must refer to.

    """
    folder.mkdir(parents=True, exist_ok=True)
    first, *rest = views.answers
    found = {"png": write_png(mask_pixels(first.mask), folder / "mask.png")}
    if rest:
        found["edited"] = write_png(mask_pixels(rest[0].mask), folder / "mask_edited.png")
    record = {
        "note": NOTE,
        "version": __version__,
        "model": model,
        "masks": [one.to_dict() for one in views.answers],
        "dice_between_masks": views.agreement,
    }
    found["json"] = _write_text(folder / "result.json", record)
    if work.study.kind == "dicom":
        found["dicom"] = _write_seg(work, views, folder / "segmentation.dcm", model)
    return found


def _write_text(path: Path, record: dict[str, Any]) -> Path:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)
    return path


def _write_seg(work: Work, views: Views, path: Path, model: str) -> Path:
    from causalseg.inference.formats.seg import described, write_seg

    apply = work.study.display.apply
    part = path.with_name(f".{path.name}.part")
    try:
        write_seg(
            work.study,
            [
                described(one.text, segment_notes(one.read_as, one.meant, one.warnings))
                for one in views.answers
            ],
            [apply(one.mask)[None] for one in views.answers],
            part,
            model=model,
        )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def shrink(image: Picture) -> Picture:
    """The image (H, W) or (H, W, 3) no larger than what is shown."""
    height, width = image.shape[:2]
    scale = _VIEW / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def _nearest(mask: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    if mask.shape == shape:
        return mask
    resized = Image.fromarray(mask).resize(shape[::-1], Image.Resampling.NEAREST)
    return np.asarray(resized)
