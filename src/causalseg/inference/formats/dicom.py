"""DICOM in: any transfer syntax that a plugin decodes, single or multi-frame, grey or colour.

Messages never contain a value of the header beyond coded ones (modality, body part), so that no
patient data reaches a terminal or a log.
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
from causalseg.inference.formats.dicom_pixels import (
    colour_frame,
    frame_attribute,
    grey_frame,
    stream_size,
)
from causalseg.inference.formats.orientation import (
    LATERAL_VIEWS,
    display_of,
    letters_of,
    orientation_warnings,
)
from causalseg.inference.formats.study import MAX_PIXELS, Display, Pixels, Study

_IMPLICIT, _EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_RLE = "1.2.840.10008.1.2.5"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_DIRECTION = re.compile(r"[LRAPHF]{1,3}")
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


def read_header(path: Path, *, pixels: bool = False) -> Any:
    """The pydicom data set of a file, by default up to its pixels.

    Raises:
        InputError: no DICOM, truncated, or of a kind that could expand without bound.

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
                # An old file without the group that names it: as the parser found it.
                implicit = dataset.original_encoding[0]
                dataset.file_meta.TransferSyntaxUID = _IMPLICIT if implicit else _EXPLICIT
            return dataset
        except InputError:
            raise
        except OSError as error:
            raise InputError(f"the DICOM file cannot be opened ({error.strerror}).") from None
        except Exception as error:
            # pydicom raises whatever its parser ran into, and quotes values in the message.
            raise InputError(
                f"the DICOM file is damaged or truncated ({type(error).__name__})."
            ) from None


def _code(value: Any) -> str | None:
    """A coded value fit to be shown, or None."""
    text = str(value or "").strip().upper()
    return text if _CODE.fullmatch(text) else None


def _check(dataset: Any) -> int:
    """Number of frames, after the checks that need no decoding."""
    if dataset.get("SOPClassUID") == _SEGMENTATION:
        raise InputError("this DICOM file is a segmentation already: give the image it refers to.")
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
    if rows * columns * frames * samples > MAX_PIXELS:
        raise InputError(
            f"the DICOM header claims {frames} frames of {rows} x {columns} pixels, more than "
            f"the {MAX_PIXELS} that are read: split the object into parts."
        )
    return frames


def _check_streams(dataset: Any, frames: int) -> None:
    """Refuse a compressed frame that claims another size than the header."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    from pydicom.encaps import generate_frames

    header = (int(dataset.Rows), int(dataset.Columns))
    for stream in generate_frames(dataset.PixelData, number_of_frames=frames):
        size = stream_size(stream)
        if size is not None and size != header:
            raise InputError(
                f"a compressed frame claims {size[0]} x {size[1]} pixels, the DICOM header "
                f"{header[0]} x {header[1]}."
            )


def _decode(dataset: Any, frames: int) -> Any:
    """Stored values (frames, H, W) or (frames, H, W, 3); YBR comes back as RGB."""
    _check_streams(dataset, frames)
    if dataset.file_meta.TransferSyntaxUID == _RLE:
        # pydicom's own decoder: a faster plugin panics on damaged files and prints a traceback.
        dataset.pixel_array_options(decoding_plugin="pydicom")
    try:
        stored = dataset.pixel_array
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        # Decoders are native code behind several plugins, without a common base class; a panic of
        # one written in Rust is not even an Exception.
        reason = type(error).__name__
        raise InputError(
            f"the DICOM pixels cannot be decoded ({reason}): the file is truncated, or its "
            "transfer syntax needs a plugin (pip install 'causalseg[dicom]')."
        ) from None
    colour = int(dataset.get("SamplesPerPixel") or 1) == 3
    expected = (frames, int(dataset.Rows), int(dataset.Columns), *((3,) if colour else ()))
    if stored.size != int(np.prod(expected)):
        raise InputError("the DICOM pixels do not fill the size that the header gives.")
    return stored.reshape(expected)


def _frames(
    dataset: Any, stored: Any, display: Display, chosen: tuple[float, float] | None
) -> tuple[list[Pixels], list[str]]:
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    frames: list[Pixels] = []
    notes: dict[str, None] = {}
    for number, frame in enumerate(stored):
        if photometric.startswith("MONOCHROME"):
            pixels, note = grey_frame(frame, dataset, number, chosen)
            if note:
                notes[f"{note} value."] = None
        elif photometric == "PALETTE COLOR" or frame.ndim == 3:
            pixels = colour_frame(frame, dataset)
        else:
            raise InputError("the DICOM header gives no photometric interpretation that is known.")
        frames.append(np.ascontiguousarray(display.apply(pixels)))
    return frames, list(notes)


def _display(dataset: Any) -> tuple[Display | None, str]:
    """The turn to the standard display and the header's own words for the stored orientation."""
    cosines = frame_attribute(dataset, 0, "PlaneOrientationSequence", "ImageOrientationPatient")
    if cosines is not None and len(cosines) == 6:
        columns, rows = letters_of(cosines[:3]), letters_of(cosines[3:])
    else:
        named = dataset.get("PatientOrientation")
        if not named or isinstance(named, str) or len(named) != 2:
            return None, ""
        columns, rows = (str(part).strip().upper() for part in named)
        if not (_DIRECTION.fullmatch(columns) and _DIRECTION.fullmatch(rows)):
            return None, ""
    return display_of(columns, rows), f"with columns to {columns} and rows to {rows}"


def _spacing(dataset: Any) -> tuple[tuple[float, float] | None, list[str]]:
    """Millimetres (between rows, between columns) of a stored frame."""
    value = frame_attribute(dataset, 0, "PixelMeasuresSequence", "PixelSpacing")
    notes: list[str] = []
    if not value and dataset.get("ImagerPixelSpacing"):
        value = dataset.ImagerPixelSpacing
        notes = ["the spacing is the detector's, not the body's: areas are magnified."]
    try:
        rows, columns = (float(part) for part in value)
    except (TypeError, ValueError):
        return None, []
    if not (0 < rows < float("inf") and 0 < columns < float("inf")):
        return None, ["the header's pixel spacing is not positive and is left aside."]
    return (rows, columns), notes


def _laterality(dataset: Any) -> str | None:
    """The side, L or R, where the header says that the image shows that one only, else None."""
    value = (
        frame_attribute(dataset, 0, "FrameAnatomySequence", "FrameLaterality")
        or dataset.get("ImageLaterality")
        or dataset.get("Laterality")
    )
    return str(value) if str(value or "") in ("L", "R") else None


def _lateral_view(dataset: Any) -> bool:
    """Whether View Position names a lateral view."""
    return str(dataset.get("ViewPosition") or "").strip().upper() in LATERAL_VIEWS


def read_dicom(path: Path, window: tuple[float, float] | None = None) -> Study:
    """Read a DICOM image object.

    Args:
        path: one file, with or without the preamble.
        window: (center, width) in the units after the modality transform, in place of the
            header's first window.

    Raises:
        InputError: not an image, damaged, too large, or not decodable.

    """
    # Values are parsed when they are looked at, so all of it is done in silence.
    with quiet():
        dataset = read_header(path, pixels=True)
        try:
            return _study(dataset, window)
        except InputError:
            raise
        except MemoryError:
            raise InputError("the DICOM image does not fit into memory.") from None
        except Exception as error:
            # A value that cannot be parsed raises one of many kinds, and is quoted.
            raise InputError(
                f"the DICOM header contradicts itself ({type(error).__name__})."
            ) from None


def _study(dataset: Any, window: tuple[float, float] | None) -> Study:
    count = _check(dataset)
    display, turn = _display(dataset)
    notes = orientation_warnings(display, turn)
    spacing, about_spacing = _spacing(dataset)
    stored = _decode(dataset, count)
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
        warnings=(*notes, *about_spacing, *about_pixels),
        source=dataset,
        laterality=_laterality(dataset),
        lateral_view=_lateral_view(dataset),
        oriented=display is not None,
    )
