"""DICOM in: any transfer syntax that a plugin decodes, single or multi-frame, grey or colour.

Messages contain no value of the header except coded ones (modality, body part), so no patient data
reaches a terminal or a log.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.data.images import check_size
from causalseg.errors import InputError
from causalseg.inference.formats.dicom_colour import (
    colour_frame,
    colour_scale,
    palette_frame,
    palette_of,
)
from causalseg.inference.formats.dicom_decode import stored_values
from causalseg.inference.formats.dicom_geometry import (
    display_and_notes,
    is_lateral_view,
    laterality_of,
    spacing_and_notes,
)
from causalseg.inference.formats.dicom_pixels import grey_frame
from causalseg.inference.formats.study import MAX_VALUES, Display, Pixels, Study

_IMPLICIT, _EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NO_PICTURES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation already: give the image it refers to",
    "1.2.840.10008.5.1.4.1.1.66.7": "a segmentation already: give the image it refers to",
    "1.2.840.10008.5.1.4.1.1.30": "a parametric map: give the image it was computed from",
    "1.2.840.10008.5.1.4.1.1.481.2": "a radiotherapy dose: give the image it was planned on",
}
_GREYS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the parser: its warnings and log lines quote the values they complain about."""
    import logging

    try:
        from pydicom import config
    except ImportError as error:
        raise InputError("reading DICOM needs an extra: pip install 'causalseg[dicom]'.") from error
    logger = logging.getLogger("pydicom")
    level, mode = logger.level, config.settings.reading_validation_mode
    logger.setLevel(logging.CRITICAL + 1)
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        config.settings.reading_validation_mode = mode


def read_dicom_header(path: Path, *, pixels: bool = False) -> Any:
    """The pydicom data set of a file, by default up to its pixels.

    Raises:
        InputError: not DICOM, truncated, or of a kind that could expand without bound.

    """
    with quiet():
        from pydicom import dcmread
        from pydicom.filereader import read_file_meta_info

        try:
            content = path.read_bytes()
            if content[128:132] == b"DICM":
                meta = read_file_meta_info(path)
                if str(meta.get("TransferSyntaxUID", "")) == _DEFLATED:
                    raise InputError(
                        "this DICOM file is deflated as a whole, which could expand without "
                        "bound: convert it to explicit little endian first."
                    )
            dataset = dcmread(io.BytesIO(content), force=True, stop_before_pixels=not pixels)
            if "TransferSyntaxUID" not in dataset.file_meta:
                # An old file that does not name it: as the parser found it.
                implicit = dataset.original_encoding[0]
                dataset.file_meta.TransferSyntaxUID = _IMPLICIT if implicit else _EXPLICIT
            return dataset
        except InputError:
            raise
        except OSError as error:
            raise InputError(f"the DICOM file cannot be opened ({error.strerror}).") from None
        except Exception as error:
            # pydicom raises whatever its parser ran into, with values in the message.
            raise InputError(
                f"the DICOM file is damaged or truncated ({type(error).__name__})."
            ) from None


def _code(value: Any) -> str | None:
    """A coded value that may be shown, or None."""
    text = str(value or "").strip().upper()
    return text if _CODE.fullmatch(text) else None


def _check(dataset: Any) -> int:
    """Number of frames, after the checks that need no decoding."""
    kind = _NO_PICTURES.get(str(dataset.get("SOPClassUID") or ""))
    if kind is not None:
        raise InputError(f"this DICOM file is {kind}.")
    if str(dataset.get("Modality") or "").strip() == "RTDOSE":
        raise InputError("this DICOM file is a radiotherapy dose, not an image.")
    present = any(
        name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    )
    if not present:
        raise InputError("this DICOM file holds no image (it has no pixel data).")
    try:
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        frames = int(dataset.get("NumberOfFrames") or 1)
        samples = int(dataset.get("SamplesPerPixel") or 1)
    except (AttributeError, TypeError, ValueError):
        raise InputError("the DICOM header does not give the image's size.") from None
    if min(rows, columns, frames, samples) < 1:
        raise InputError(f"the DICOM header gives an empty image ({frames} x {rows} x {columns}).")
    check_size(columns, rows, "the DICOM image")
    if rows * columns * frames * samples > MAX_VALUES:
        raise InputError(
            f"the DICOM header claims {frames} frames of {rows} x {columns} pixels, more than "
            f"the {MAX_VALUES} that are read: split the object into parts."
        )
    return frames


def _frames(
    dataset: Any, stored: Any, display: Display, chosen: tuple[float, float] | None
) -> tuple[list[Pixels], list[str]]:
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    notes: list[str] = []
    if photometric not in (_COLOURS if stored.ndim == 4 else _GREYS):
        samples = "three samples" if stored.ndim == 4 else "one sample"
        raise InputError(
            f"the DICOM header says {_code(photometric) or 'nothing'} of a picture with {samples} "
            "a pixel, which is not read: convert the file first."
        )
    if photometric.startswith("MONOCHROME"):
        shown = []
        for number, frame in enumerate(stored):
            pixels, more = grey_frame(frame, dataset, number, chosen)
            shown.append(pixels)
            notes += more
    elif photometric == "PALETTE COLOR":
        palette, first, notes = palette_of(dataset)
        shown = [palette_frame(frame, palette, first) for frame in stored]
    else:
        bits, notes = colour_scale(stored, dataset)
        shown = [colour_frame(frame, bits) for frame in stored]
    return [np.ascontiguousarray(display.apply(frame)) for frame in shown], list(
        dict.fromkeys(notes)
    )


def read_dicom(path: Path, window: tuple[float, float] | None = None) -> Study:
    """Read a DICOM image object.

    Args:
        path: one file, with or without the preamble.
        window: (center, width) in the units after the modality transform, instead of the header's
            first window.

    Raises:
        InputError: not an image, damaged, too large, or not decodable.

    """
    # Values are parsed when they are accessed, so the parser is silent throughout.
    with quiet():
        dataset = read_dicom_header(path, pixels=True)
        try:
            return _study(dataset, window)
        except InputError:
            raise
        except MemoryError:
            raise InputError("the DICOM image does not fit into memory.") from None
        except Exception as error:
            # A value that cannot be parsed raises one of many kinds, which quote it.
            raise InputError(
                f"the DICOM header contradicts itself ({type(error).__name__})."
            ) from None


def _study(dataset: Any, window: tuple[float, float] | None) -> Study:
    count = _check(dataset)
    display, notes = display_and_notes(dataset, count)
    spacing, about_spacing = spacing_and_notes(dataset, count)
    stored, about_values = stored_values(dataset, count)
    frames, about_pixels = _frames(dataset, stored, display or Display(), window)
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES":
        notes.append("the header says that text is burned into the image: pictures may show it.")
    if spacing and display and display.transpose:
        spacing = spacing[::-1]
    return Study(
        kind="dicom",
        frames=frames,
        display=display or Display(),
        spacing=spacing,
        modality=_code(dataset.get("Modality")),
        body_part=_code(dataset.get("BodyPartExamined")),
        warnings=(*notes, *about_spacing, *about_values, *about_pixels),
        source=dataset,
        laterality=laterality_of(dataset),
        lateral_view=is_lateral_view(dataset),
        oriented=display is not None,
    )
