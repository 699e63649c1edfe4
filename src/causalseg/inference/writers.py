"""The files of one result folder, in the format of the source or the one asked for."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalseg.errors import InputError
from causalseg.inference.formats import Study
from causalseg.inference.formats.codes import LESION, parse_concept
from causalseg.inference.formats.seg import write_seg
from causalseg.inference.formats.seg_source import UnfitSourceError
from causalseg.inference.outcome import MaskRecord, WrittenRecord
from causalseg.inference.outputs import (
    Save,
    mask_pixels,
    pictures,
    probability_pixels,
    write_png,
)
from causalseg.inference.sentences import Sentence, segment_notes
from causalseg.inference.tracks import PredictOptions, TrackAnswer

if TYPE_CHECKING:
    from causalseg.inference.segmenter import Segmenter

_SEG = "segmentation.dcm"


def chosen_format(study: Study, wanted: str) -> str:
    """The format to write: png, seg or nifti.

    Raises:
        InputError: the format asked for does not fit the source.

    """
    if study.kind == "nifti":
        if wanted not in ("auto", "nifti"):
            raise InputError(f"a NIfTI volume is answered in NIfTI, not --format {wanted}.")
        return "nifti"
    if wanted == "nifti":
        raise InputError("--format nifti needs a NIfTI volume: use --format auto.")
    if study.kind == "raster":
        if wanted == "seg":
            raise InputError("--format seg needs a DICOM image: use --format png.")
        return "png"
    return "seg" if wanted == "auto" else wanted


def write_answers(
    segmenter: "Segmenter",
    study: Study,
    answers: Sequence[TrackAnswer],
    folder: Path,
    options: PredictOptions,
    general: Sequence[str] = (),
) -> WrittenRecord:
    """Write masks, probabilities and pictures into `folder`; `general` warns of the whole image.

    Returns:
        The part of `result.json` about them: geometry, and for each mask its text, its size in
        pixels and mm2 (or mm3) and its files.

    Raises:
        InputError: the format does not fit the source, or a written file reads back differently.

    """
    form = chosen_format(study, options.format)
    told = [_warnings(segmenter, study, answer) for answer in answers]
    shared: list[str] = []
    notes: list[str] = []
    if form == "seg":
        try:
            notes = _write_seg(
                study, answers, [[*general, *about] for about in told], folder, options
            )
            shared = [_SEG]
        except UnfitSourceError as error:
            if options.format == "seg":
                raise
            (folder / _SEG).unlink(missing_ok=True)
            form = "png"
            notes = [f"PNG was written in place of DICOM SEG: {error}"]
    masks: list[MaskRecord] = []
    for number, (answer, about) in enumerate(zip(answers, told, strict=True), start=1):
        files = list(shared)
        if form == "nifti":
            files += _write_volume(study, answer, folder, number, options.save)
        elif answer.result is not None:
            files += _write_pictures(
                study, answer, folder, number, options.save, plain=form == "png"
            )
        elif form == "png":
            files += _write_frames(study, answer, folder, number, options.save)
        masks.append(_record(study, answer, about, files))
    turn = study.display
    return {
        "kind": study.kind,
        "format": form,
        "frames": len(study.frames),
        "shape": list(study.display.undo(np.empty(study.shape)).shape),
        "spacing_mm": list(study.spacing) if study.spacing else None,
        "thickness_mm": study.thickness,
        "slice_axis": study.axis,
        "modality": study.modality,
        "body_part": study.body_part,
        "display": {
            "transposed": turn.transpose,
            "flipped_rows": turn.flip_rows,
            "flipped_columns": turn.flip_columns,
        },
        "warnings": notes,
        "masks": masks,
    }


def _record(study: Study, answer: TrackAnswer, warnings: list[str], files: list[str]) -> MaskRecord:
    pixels, told = int(answer.mask.sum()), answer.told()
    found: MaskRecord = {
        "text": told.text,
        "pixels": pixels,
        "read_as": told.read_as,
        "meant": told.meant,
        "warnings": warnings,
        "files": files,
    }
    if len(study.frames) > 1 and len(answer.track.texts) < len(study.frames):
        found["slices"] = sorted(answer.track.texts)
    if study.spacing:
        area = pixels * study.spacing[0] * study.spacing[1]
        if study.thickness:
            found["volume_mm3"] = area * study.thickness
        elif len(study.frames) == 1:
            found["area_mm2"] = area
    if answer.expected is not None:
        found["expected_dice"] = asdict(answer.expected)
    return found


def _warnings(segmenter: "Segmenter", study: Study, answer: TrackAnswer) -> list[str]:
    """All warnings of one answer."""
    sentences = list(answer.sentences.values())
    return [*answer.warnings(), *sentence_warnings(segmenter, study, sentences)]


def sentence_warnings(
    segmenter: "Segmenter", study: Study, sentences: Sequence[Sentence]
) -> list[str]:
    """Warnings about each text: words cut off, and sides that cannot be trusted."""
    from causalseg.inference.formats.orientation import side_warnings

    notes: dict[str, None] = {}
    reader = segmenter.preprocessing.reader
    for one in dict.fromkeys(sentences):
        if lost := reader.lost(one.given):
            notes[f"the text is longer than the model reads: {lost!r} was cut off."] = None
        if study.kind == "dicom":
            sides = one.patient_sides
            notes |= dict.fromkeys(
                side_warnings(sides, study.laterality, study.lateral_view, study.oriented)
            )
    return list(notes)


def _write_seg(
    study: Study,
    answers: Sequence[TrackAnswer],
    warnings: Sequence[Sequence[str]],
    folder: Path,
    options: PredictOptions,
) -> list[str]:
    binary = options.seg_type == "binary"
    told = [answer.told() for answer in answers]
    return write_seg(
        study,
        [answer.track.description for answer in answers],
        [answer.mask if binary else answer.probability for answer in answers],
        folder / _SEG,
        notes=[
            segment_notes(one.read_as, one.meant, about)
            for one, about in zip(told, warnings, strict=True)
        ],
        seg_type=options.seg_type,
        finding=parse_concept(options.finding, "--finding") if options.finding else LESION,
        anatomy=parse_concept(options.anatomy, "--anatomy") if options.anatomy else None,
        model=options.model,
    )


def _write_volume(
    study: Study, answer: TrackAnswer, folder: Path, number: int, save: Save
) -> list[str]:
    from causalseg.inference.formats.nifti import write_nifti

    volumes: dict[str, NDArray[Any]] = {"mask": answer.mask, "probability": answer.probability}
    files = []
    for kind in volumes if save == "all" else ("mask",):
        files.append(f"{number}_{kind}.nii.gz")
        write_nifti(study, volumes[kind], folder / files[-1])
    return files


def _write_pictures(
    study: Study, answer: TrackAnswer, folder: Path, number: int, save: Save, *, plain: bool
) -> list[str]:
    """Pictures of a single frame; `plain`: mask and probability too, which SEG holds already."""
    result, undo = answer.result, study.display.undo
    assert result is not None
    files = []
    for kind, pixels in pictures(result, save).items():
        if plain or kind not in ("mask", "probability"):
            path = folder / f"{number}_{kind}.png"
            files.append(write_png(undo(pixels), path, _orientation(study)).name)
    return files


def _orientation(study: Study) -> int:
    """EXIF orientation of the outputs: the picture's own, so that both are turned alike."""
    return study.display.exif_orientation if study.kind == "raster" else 1


def _write_frames(
    study: Study, answer: TrackAnswer, folder: Path, number: int, save: Save
) -> list[str]:
    files = []
    for frame in sorted(answer.track.texts):
        frames: dict[str, NDArray[Any]] = {"mask": mask_pixels(answer.mask[frame])}
        if save == "all":
            frames["probability"] = probability_pixels(answer.probability[frame])
        for kind, pixels in frames.items():
            path = folder / f"{number}_{kind}_{frame:04d}.png"
            files.append(write_png(study.display.undo(pixels), path).name)
    return files
