"""DICOM Segmentation out (PS3.3 A.51), one segment per prompt, written by highdicom.

Sides are never coded: what "left" means to a model is decided by its training captions, while a
code for the left lung means the patient's. The prompt itself is in the segment's description.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from causalseg.errors import InputError
from causalseg.inference.formats.codes import ANATOMY, CATEGORY, LESION, Concept
from causalseg.inference.formats.dicom import quiet
from causalseg.inference.formats.dicom_pixels import frame_attribute
from causalseg.inference.formats.seg_source import (
    UnfitSourceError,
    fit_source,
    named_attributes,
)
from causalseg.inference.formats.study import Study
from causalseg.version import __version__

SegType = Literal["binary", "fractional"]
_SERIES_NUMBER = 9000
MAX_DESCRIPTION, MAX_COMMENTS = 1024, 10240
"""Characters of a segment's description (DICOM's short text) and of the image's comments (long
text)."""
_MORE = " | more: see Image Comments"


def described(text: str, notes: Sequence[str]) -> str:
    """A segment's description: the prompt and its notes, as many as fit whole; the last words say
    where the others are.
    """
    found = " | ".join([text, *notes])
    if len(found) <= MAX_DESCRIPTION:
        return found
    while notes and len(" | ".join([text, *notes])) + len(_MORE) > MAX_DESCRIPTION:
        notes = notes[:-1]
    return (" | ".join([text, *notes]) + _MORE)[:MAX_DESCRIPTION]


def commented(notes: Sequence[Sequence[str]]) -> str:
    """All notes of all segments, for the image's comments: a line each, cut where no more fit."""
    lines = [f"segment {i}: {note}" for i, told in enumerate(notes, 1) for note in told]
    text = "\n".join(lines)
    return text if len(text) <= MAX_COMMENTS else text[: MAX_COMMENTS - 4] + " ..."


def can_write(study: Study) -> bool:
    """Whether the standard's references allow a segmentation of this source.

    Several frames without a frame of reference (a cine loop) cannot be placed in space.
    """
    with quiet():
        return (
            len(study.frames) == 1
            or bool(study.others)
            or bool(study.source.get("FrameOfReferenceUID"))
        )


def _segments(
    prompts: Sequence[str],
    descriptions: Sequence[str],
    finding: Concept,
    anatomy: Concept | None,
    model: str,
) -> list[Any]:
    import highdicom
    from pydicom.sr.coding import Code

    def code(concept: Concept) -> Code:
        return Code(concept.value, concept.scheme, concept.meaning)

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="causalseg",
        family=Code("123110", "DCM", "Artificial Intelligence"),
        version=__version__,
        parameters={"model": model} if model else None,
    )
    segments = []
    for number, (prompt, text) in enumerate(zip(prompts, descriptions, strict=True), start=1):
        segment = highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=_label(prompt),
            segmented_property_category=code(CATEGORY),
            segmented_property_type=code(finding),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            anatomic_regions=[code(anatomy)] if anatomy else None,
        )
        segment.SegmentDescription = text
        segments.append(segment)
    return segments


def _label(prompt: str) -> str:
    """The prompt as a segment's label (LO): 64 characters, and no backslash, which separates."""
    text = prompt.replace("\\", "/")
    return text if len(text) <= 64 else text[:61].rstrip() + "..."


def _stack(study: Study, arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Displayed stacks, one (n, H, W) per prompt, as (n, H, W, prompts) in the source's
    geometry.
    """
    return np.stack(
        [np.stack([study.display.undo(frame) for frame in array]) for array in arrays], axis=-1
    )


def write_seg(
    study: Study,
    prompts: Sequence[str],
    arrays: Sequence[npt.NDArray[Any]],
    path: Path,
    *,
    notes: Sequence[Sequence[str]] = (),
    seg_type: SegType = "binary",
    finding: Concept = LESION,
    anatomy: Concept | None = None,
    model: str = "",
) -> list[str]:
    """Write one DICOM SEG with a segment for each prompt, and check it pixel for pixel.

    Args:
        study: what `read_dicom` returned.
        prompts: up to 1024 characters each.
        arrays: one (n, H, W) stack per prompt in the standard display: uint8 masks of 0 and 1 for
            "binary", float probabilities in [0, 1] for "fractional" (stored in steps of 1/255).
        path: where to write; the caller renames it when this returns.
        notes: for each prompt, what must be known of its answer. Prompt and notes are the segment's
            description; where they do not fit, all notes stand in the image's comments.
        seg_type: "binary" or "fractional".
        finding: coded property type of the segments.
        anatomy: coded anatomic region; by default the one of the header's body part, if known.
        model: identity of the checkpoint, kept as a parameter of the algorithm.

    Returns:
        Warnings about what had to be mended in the copy of the source's header.

    Raises:
        UnfitSourceError: the source cannot be referred to.
        InputError: a prompt is too long, or the file cannot be read back by highdicom and by
            pydicom, or differs from the masks.

    """
    if study.kind != "dicom":
        raise InputError("--format seg needs a DICOM image: use --format png or nifti.")
    if not can_write(study):
        raise UnfitSourceError(
            "this multi-frame DICOM object has no frame of reference, so a DICOM SEG cannot "
            "refer to its frames: use --format png."
        )
    if any(len(prompt) > 1024 for prompt in prompts):
        raise InputError("a prompt has more than the 1024 characters that DICOM SEG can keep.")
    stack = _stack(study, arrays)
    if seg_type == "binary":
        stack = np.asarray(stack != 0, dtype=np.uint8)
    else:
        # Quantised here, so that what is stored is known exactly: highdicom keeps multiples.
        stack = np.rint(np.asarray(stack, dtype=np.float64) * 255.0) / 255.0
    region = anatomy or ANATOMY.get(study.body_part or "")
    told = list(notes) or [()] * len(prompts)
    descriptions = [described(one, about) for one, about in zip(prompts, told, strict=True)]
    whole = [" | ".join([one, *about]) for one, about in zip(prompts, told, strict=True)]
    comments = commented(told) if descriptions != whole else ""
    with quiet():
        segments = _segments(prompts, descriptions, finding, region, model)
        fitted = [fit_source(source) for source in study.sources]
        try:
            _save([source for source, _ in fitted], stack, segments, seg_type, path, comments)
        except Exception as error:
            # highdicom's own checks raise several kinds, whose messages quote the header.
            names = named_attributes(str(error), study.source)
            about = f"look at its {', '.join(names)}" if names else type(error).__name__
            raise UnfitSourceError(
                "a DICOM SEG cannot be made for this source, whose header lacks or contradicts "
                f"what the standard asks for: {about}; or use --format png."
            ) from None
        _verify(path, study, stack, seg_type, descriptions)
    return list(dict.fromkeys(note for _, mended in fitted for note in mended))


def _save(
    sources: list[Any],
    stack: npt.NDArray[Any],
    segments: list[Any],
    seg_type: SegType,
    path: Path,
    comments: str,
) -> None:
    import highdicom
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    segmentation = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=stack,
        segmentation_type=seg_type.upper(),
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="causalseg",
        manufacturer_model_name="causalseg",
        software_versions=__version__,
        device_serial_number="0",
        content_label="CAUSALSEG",
        content_description="Research only, not for diagnosis",
        transfer_syntax_uid=UID(ExplicitVRLittleEndian),
        omit_empty_frames=False,
    )
    # UTF-8, whatever the source has: a prompt may be in any script.
    segmentation.decode()
    segmentation.SpecificCharacterSet = "ISO_IR 192"
    segmentation.SeriesDescription = "causalseg (research only)"
    if comments:
        segmentation.ImageComments = comments
    if not sources[0].get("ImageOrientationPatient"):
        segmentation.PatientOrientation = sources[0].get("PatientOrientation") or ""
    segmentation.save_as(path)


def read_seg(path: Path, sources: Sequence[str] = ()) -> npt.NDArray[np.float64]:
    """The segments of a DICOM SEG, in the order of the source's frames.

    Args:
        path: the SEG's.
        sources: SOP instance UIDs of the images of a series, in their order; a single source
            need not be named.

    Returns:
        (n, H, W, segments): 0 and 1 for a binary one, value / 255 for a fractional one.

    Raises:
        InputError: a frame of the source lacks some segment.

    """
    from pydicom import dcmread

    dataset = dcmread(path)
    pixels = np.asarray(dataset.pixel_array).reshape(-1, int(dataset.Rows), int(dataset.Columns))
    order = {uid: number for number, uid in enumerate(sources)}
    found: dict[tuple[int, int, int], npt.NDArray[Any]] = {}
    for index, frame in enumerate(pixels):
        group = "SegmentIdentificationSequence"
        segment = int(frame_attribute(dataset, index, group, "ReferencedSegmentNumber"))
        # Frames are stored in the order of their positions in space, not of the source.
        images = frame_attribute(dataset, index, "DerivationImageSequence", "SourceImageSequence")
        number = int(images[0].get("ReferencedFrameNumber") or 1)
        place = order.get(str(images[0].ReferencedSOPInstanceUID), 0)
        found[place, number, segment] = frame
    frames = sorted({key[:2] for key in found})
    segments = range(1, len(dataset.SegmentSequence) + 1)
    try:
        values = np.stack(
            [np.stack([found[*frame, segment] for segment in segments], -1) for frame in frames]
        ).astype(np.float64)
    except KeyError:
        raise InputError("the DICOM SEG lacks a segment of some frame.") from None
    if dataset.SegmentationType == "FRACTIONAL":
        values /= float(dataset.MaximumFractionalValue)
    return values


def _verify(
    path: Path,
    study: Study,
    stack: npt.NDArray[Any],
    seg_type: SegType,
    descriptions: Sequence[str],
) -> None:
    """Read the file with pydicom and highdicom, as others will, before anybody gets it."""
    import highdicom
    from pydicom import dcmread

    stored = read_seg(path, [str(source.SOPInstanceUID) for source in study.sources])
    error = 1e-6 if seg_type == "fractional" else 0.0
    kept = [str(s.SegmentDescription) for s in dcmread(path).SegmentSequence]
    same = stored.shape == stack.shape and bool(np.abs(stored - stack).max() <= error)
    if not same or kept != [one.strip() for one in descriptions]:
        raise InputError("the DICOM SEG read back differs from the masks: it was not kept.")
    try:
        highdicom.seg.segread(path)
    except Exception as failure:
        raise UnfitSourceError(
            f"highdicom cannot open the DICOM SEG of this source ({type(failure).__name__}), so "
            "other software may not either: use --format png."
        ) from None
