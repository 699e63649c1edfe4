"""The page's downloads: masks as PNG and DICOM SEG, JSON, training pairs, a report.

Each is made on request. File names say nothing about the source.
"""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from causalseg.apps import report, session
from causalseg.apps.answers import NOTE, Answer, Identity, seg_bytes
from causalseg.apps.session import Session, Work
from causalseg.data.lvit import IMAGE_FOLDER, MASK_FOLDER, TABLE_COLUMNS
from causalseg.errors import InputError
from causalseg.inference.outputs import mask_pixels, png_bytes
from causalseg.inference.segmenter import Segmenter
from causalseg.version import __version__

FILES = {
    "png": "mask.png",
    "edited": "mask_edited.png",
    "dicom": "segmentation.dcm",
    "json": "result.json",
    "pair": "training_pairs.zip",
    "report": "report.html",
}


def offered(work: Work) -> set[str]:
    """Which of `FILES` an answer has."""
    found = set(FILES)
    if len(work.results) < 2:
        found.discard("edited")
    if work.study.kind != "dicom":
        found.discard("dicom")
    return found


def make(name: str, state: Session, segmenter: Segmenter, model: Identity, folder: Path) -> Path:
    """Write one of `FILES` for the answer that is shown.

    Args:
        name: a key of `FILES` that is offered.
        state: with an answer.
        segmenter: for its warnings.
        model: which the files name.
        folder: of this download alone.

    Raises:
        InputError: there is no answer, or a DICOM header lacks what a segmentation must refer to.

    """
    work = state.work
    if work is None or name not in offered(work):
        raise InputError("there is no answer to download: press Segment first.")
    answers = work.answers(segmenter)
    makers: dict[str, Callable[[], bytes]] = {
        "png": lambda: png_bytes(mask_pixels(answers[0].mask)),
        "edited": lambda: png_bytes(mask_pixels(answers[1].mask)),
        "dicom": lambda: seg_bytes(work.study, answers, model),
        "json": lambda: _json(work, answers, model),
        "pair": lambda: _pairs(state),
        "report": lambda: report.page(work, answers, model).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILES[name]
    path.write_bytes(makers[name]())
    return path


def _json(work: Work, answers: tuple[Answer, ...], model: Identity) -> bytes:
    record = {
        "note": NOTE,
        "version": __version__,
        "model": model.to_dict(),
        "masks": [one.to_dict(model) | {"corrected_by_hand": one.corrected} for one in answers],
        "dice_between_masks": session.dice_between(work),
    }
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def _pairs(state: Session) -> bytes:
    """The answer shown and all corrected ones as a training split in the LViT layout.

    Images and masks are as displayed, which is how a model sees them.
    """
    chosen = [one for one in state.works if one is state.work or one.strokes is not None]
    table, buffer = io.StringIO(), io.BytesIO()
    rows = csv.writer(table)
    rows.writerow(TABLE_COLUMNS)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already.
        for number, work in enumerate(chosen, start=1):
            name = f"case-{number:04d}.png"
            rows.writerow([name, work.results[0].text])
            for part, pixels in (
                (IMAGE_FOLDER, work.study.frames[0]),
                (MASK_FOLDER, mask_pixels(work.mask(0))),
            ):
                archive.writestr(f"Train_Folder/{part}/{name}", png_bytes(pixels))
        archive.writestr("Train_Folder/Train_text.csv", table.getvalue())
    return buffer.getvalue()
