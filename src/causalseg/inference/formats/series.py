"""The slices of a DICOM series, one file each, as one study in their order in space.

A series counts as a volume where each of its files has one frame with a position and an
orientation, as in CT, MR and PET. Radiographs of one series (front and side) are images of their
own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.data.display import Display
from causalseg.errors import InputError
from causalseg.inference.formats.dicom import quiet, read_dicom
from causalseg.inference.formats.dicom_pixels import numbers
from causalseg.inference.formats.orientation import names_plane
from causalseg.inference.formats.study import MAX_VALUES, Study

_TAGS = (
    "SeriesInstanceUID",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "Rows",
    "Columns",
)


def group_series(paths: Iterable[Path]) -> list[tuple[Path, ...]]:
    """DICOM files by the volume they are slices of, in order of first appearance.

    Returns:
        A tuple of several files for each volume, and of one for every other file.

    """
    groups: dict[object, list[Path]] = {}
    for path in paths:
        groups.setdefault(_volume_of(path) or path, []).append(path)
    return [tuple(group) for group in groups.values()]


def _volume_of(path: Path) -> tuple[object, ...] | None:
    """What all slices of a volume share; None for a file that is not a slice."""
    with quiet():
        from pydicom import dcmread

        try:
            header = dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(_TAGS))
            series = str(header.get("SeriesInstanceUID") or "")
            cosines = numbers(header.get("ImageOrientationPatient"))
            position = numbers(header.get("ImagePositionPatient"))
            frames = int(header.get("NumberOfFrames") or 1)
            size = (int(header.get("Rows") or 0), int(header.get("Columns") or 0))
        except Exception:  # Its own reader reports what is wrong.
            return None
    if not series or frames != 1 or len(position) != 3 or not names_plane(cosines):
        return None
    return series, size, tuple(round(cosine or 0.0, 3) for cosine in cosines)


def read_series(paths: Sequence[Path], window: tuple[float, float] | None = None) -> Study:
    """Read the slices of one volume.

    Args:
        paths: one file per slice, in any order.
        window: as for `read_dicom`, the same for all slices.

    Returns:
        A study whose frames run along the normal of the slices (for axial ones from the feet to
        the head); `thickness` is the distance from slice to slice where it is even.

    Raises:
        InputError: a file cannot be read, the files are not of one series, or two slices are at the
            same place.

    """
    slices = []
    pixels = 0
    for path in paths:
        study = read_dicom(path, window)
        if len(study.frames) != 1:
            raise InputError("a file of the DICOM series has several frames: give it alone.")
        pixels += study.frames[0].size
        if pixels > MAX_VALUES:
            raise InputError(f"the DICOM series holds more than {MAX_VALUES} pixels.")
        with quiet():
            # The pixels are in the frame; the SEG needs only the header.
            del study.source.PixelData
            slices.append((_place(study.source), study))
    first = slices[0][1]
    if any(_shared(study) != _shared(first) for _, study in slices):
        raise InputError(
            "the files of this folder are not of one DICOM series with one size, orientation and "
            "pixel spacing: give the series one at a time."
        )
    slices.sort(key=lambda pair: pair[0])
    thickness, notes = _distance([place for place, _ in slices])
    ordered = [study for _, study in slices]
    notes += [note for study in ordered for note in study.warnings]
    return replace(
        ordered[0],
        frames=[study.frames[0] for study in ordered],
        thickness=thickness,
        warnings=tuple(dict.fromkeys(notes)),
        others=tuple(study.source for study in ordered[1:]),
    )


def _place(source: Any) -> float:
    """Millimetres along the normal of the slice."""
    cosines = numbers(source.get("ImageOrientationPatient"))
    position = numbers(source.get("ImagePositionPatient"))
    if len(position) != 3 or None in position or not names_plane(cosines):
        raise InputError("a file of the DICOM series does not say where its slice lies.")
    across, down = (np.array(part, dtype=np.float64) for part in (cosines[:3], cosines[3:]))
    return float(np.cross(across, down) @ np.array(position, dtype=np.float64))


def _shared(
    study: Study,
) -> tuple[str, tuple[int, ...], Display, tuple[float, float] | None]:
    with quiet():
        series = str(study.source.get("SeriesInstanceUID") or "")
    return series, study.frames[0].shape, study.display, study.spacing


def _distance(places: Sequence[float]) -> tuple[float | None, list[str]]:
    """Millimetres from slice to slice, None where they differ, and warnings."""
    gaps = np.diff(np.asarray(places))
    if not len(gaps):
        return None, []
    if gaps.min() < 1e-3:
        raise InputError(
            "two slices of the DICOM series lie at one place: give the phases or acquisitions "
            "one at a time."
        )
    if gaps.max() - gaps.min() > 0.05 * gaps.mean():
        return None, [
            "the slices of the DICOM series are not evenly spaced, so some may be missing: no "
            "volume is given."
        ]
    return float(gaps.mean()), []
