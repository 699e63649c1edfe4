"""How a DICOM image lies and how large its pixels are: orientation, spacing, side, view."""

import re
from typing import Any

from causalseg.errors import InputError
from causalseg.inference.formats.dicom_pixels import frame_attribute, numbers
from causalseg.inference.formats.orientation import (
    LATERAL_VIEWS,
    display_of,
    letters_of,
    names_plane,
    orientation_warnings,
)
from causalseg.inference.formats.study import Display, odd_size

_DIRECTION = re.compile(r"[LRAPHF]{1,3}")


def _turn_of(dataset: Any, frame: int) -> tuple[Display | None, str, list[str]]:
    """The turn to the standard display, the header's own words for it, and warnings."""
    group = "PlaneOrientationSequence"
    cosines = numbers(frame_attribute(dataset, frame, group, "ImageOrientationPatient"))
    notes = []
    named = _patient_orientation(dataset)
    if names_plane(cosines):
        letters = letters_of(cosines[:3]), letters_of(cosines[3:])
        display = display_of(*letters)
        if named and display_of(*named) not in (None, display):
            notes = [
                "the header's Image Orientation (Patient) and Patient Orientation disagree about "
                "which way the patient lies: the first was taken, check the sides."
            ]
        return display, "with columns to {} and rows to {}".format(*letters), notes
    if cosines not in ([], [None]):
        notes = ["the header's Image Orientation (Patient) names no plane and was left aside."]
    if named is None:
        return None, "", notes
    return display_of(*named), "with columns to {} and rows to {}".format(*named), notes


def _patient_orientation(dataset: Any) -> tuple[str, str] | None:
    """Directions of the columns and of the rows by Patient Orientation, where it names two."""
    named = dataset.get("PatientOrientation")
    if not named or isinstance(named, str) or len(named) != 2:
        return None
    columns, rows = (str(part).strip().upper() for part in named)
    return (columns, rows) if all(map(_DIRECTION.fullmatch, (columns, rows))) else None


def display_and_notes(dataset: Any, frames: int) -> tuple[Display | None, list[str]]:
    """The turn that all frames need, and warnings.

    Raises:
        InputError: the frames need different ones.

    """
    turns = {_turn_of(dataset, frame)[:2] for frame in range(frames)}
    if len(turns) > 1:
        raise InputError(
            "the frames of this DICOM object have different orientations: split it into one "
            "object for each orientation."
        )
    display, words, notes = _turn_of(dataset, 0)
    return display, notes + orientation_warnings(display, words)


def _spacing_of(dataset: Any, frame: int) -> tuple[float, float] | None:
    value = numbers(frame_attribute(dataset, frame, "PixelMeasuresSequence", "PixelSpacing"))
    if len(value) == 2 and value[0] is not None and value[1] is not None:
        return value[0], value[1]
    return None


def spacing_and_notes(dataset: Any, frames: int) -> tuple[tuple[float, float] | None, list[str]]:
    """Millimetres (between rows, between columns) of a stored frame, the same for all frames."""
    notes: list[str] = []
    spacing = _spacing_of(dataset, 0)
    if any(_spacing_of(dataset, frame) != spacing for frame in range(1, frames)):
        return None, ["the frames have different pixel spacings: no area is given."]
    if spacing is None and dataset.get("ImagerPixelSpacing"):
        imager = numbers(dataset.ImagerPixelSpacing)
        if len(imager) == 2 and imager[0] is not None and imager[1] is not None:
            spacing = imager[0], imager[1]
            notes = ["the spacing is the detector's, not the body's: areas are magnified."]
    if spacing is None:
        return None, []
    if min(spacing) <= 0:
        return None, ["the header's pixel spacing is not positive and is left aside."]
    return spacing, notes + odd_size(spacing, "pixels")


def laterality_of(dataset: Any) -> str | None:
    """The side, L or R, if the header says that the image shows only that one, else None."""
    value = (
        frame_attribute(dataset, 0, "FrameAnatomySequence", "FrameLaterality")
        or dataset.get("ImageLaterality")
        or dataset.get("Laterality")
    )
    return str(value) if str(value or "") in ("L", "R") else None


def is_lateral_view(dataset: Any) -> bool:
    """Whether View Position names a lateral view."""
    return str(dataset.get("ViewPosition") or "").strip().upper() in LATERAL_VIEWS
