"""DICOM pixels to 8 bits: modality transform, window, inversion, palette (PS3.3 C.11, C.7.6.3)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from causalseg.errors import InputError
from causalseg.inference.formats.study import Pixels

Values = npt.NDArray[np.float64]


def frame_attribute(dataset: Any, frame: int, group: str, keyword: str) -> Any:
    """An attribute of one frame: per-frame group, shared group, then the data set itself."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in ([per_frame[frame]] if frame < len(per_frame) else [], shared[:1]):
        for item in groups:
            macro = item.get(group)
            if macro and macro[0].get(keyword) is not None:
                return macro[0].get(keyword)
    return dataset.get(keyword)


def window(
    values: Values, center: float, width: float, function: str = "LINEAR"
) -> npt.NDArray[np.float64]:
    """Window values to [0, 1] (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Args:
        values: after the modality transform, any shape.
        center: c, in the units of `values`.
        width: w; at least 1 for LINEAR, more than 0 for the others.
        function: LINEAR `(x - (c - 0.5)) / (w - 1) + 0.5`, LINEAR_EXACT `(x - c) / w + 0.5`, or
            SIGMOID `1 / (1 + exp(-4 (x - c) / w))`.

    Raises:
        InputError: width or function is not one of the standard's.

    """
    least = 1.0 if function == "LINEAR" else 0.0
    if not (np.isfinite(center) and np.isfinite(width)) or width < least or width == 0:
        raise InputError(f"the window's width must be at least 1, not {width:g}.")
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -60, 60))))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if function != "LINEAR":
        raise InputError("the window's function is none of LINEAR, LINEAR_EXACT and SIGMOID.")
    if width == 1:
        return np.where(values <= center - 0.5, 0.0, 1.0)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def scale(values: Values, valid: npt.NDArray[np.bool_] | None = None) -> Values:
    """Values min..max to [0, 1]; a constant image becomes 0. `valid` leaves out the padding."""
    kept = values if valid is None or not valid.any() else values[valid]
    return rescale(values, float(kept.min()), float(kept.max()))


def rescale(values: Values, low: float, high: float) -> Values:
    """Values low..high to [0, 1], clipped; 0 where high is not above low."""
    if high <= low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def to_bytes(values: Values) -> Pixels:
    """[0, 1] to 0..255, rounded."""
    return np.rint(values * 255.0).astype(np.uint8)


def _modality(stored: npt.NDArray[Any], dataset: Any, frame: int) -> Values:
    """Rescale slope and intercept, or the modality lookup table."""
    group = "PixelValueTransformationSequence"
    slope = frame_attribute(dataset, frame, group, "RescaleSlope")
    intercept = frame_attribute(dataset, frame, group, "RescaleIntercept")
    if dataset.get("ModalityLUTSequence"):
        from pydicom.pixels import apply_modality_lut

        return np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    values = stored.astype(np.float64)
    if slope is None:
        return values
    return values * float(slope) + float(intercept or 0.0)


def _first(value: Any) -> float:
    """The first of one or several values: the first window is the one meant for display."""
    return float(
        value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value
    )


def _voi(
    values: Values, dataset: Any, frame: int, valid: npt.NDArray[np.bool_] | None
) -> tuple[Values, str | None]:
    """The header's window or lookup table; without one, the frame's min..max and a warning."""
    group = "FrameVOILUTSequence"
    center = frame_attribute(dataset, frame, group, "WindowCenter")
    width = frame_attribute(dataset, frame, group, "WindowWidth")
    if dataset.get("VOILUTSequence"):
        from pydicom.pixels import apply_voi

        table = dataset.VOILUTSequence[0]
        out = np.asarray(apply_voi(np.rint(values).astype(np.int64), dataset), dtype=np.float64)
        return np.clip(out / float(2 ** int(table.LUTDescriptor[2]) - 1), 0.0, 1.0), None
    if center is not None and width is not None and center != "" and width != "":
        function = frame_attribute(dataset, frame, group, "VOILUTFunction") or "LINEAR"
        return window(values, _first(center), _first(width), str(function)), None
    return scale(values, valid), "the header has no window: scaled from its smallest to its largest"


def grey_frame(
    stored: npt.NDArray[Any],
    dataset: Any,
    frame: int,
    chosen: tuple[float, float] | None,
) -> tuple[Pixels, str | None]:
    """One stored monochrome frame (H, W) as it is to be displayed.

    Args:
        stored: integers (or floats) as decoded.
        dataset: its pydicom data set.
        frame: number from 0.
        chosen: (center, width) that replaces the header's window.

    Returns:
        uint8 (H, W), bright as on a light box (MONOCHROME1 is inverted), and a warning or None.

    """
    values = _modality(stored, dataset, frame)
    if not np.isfinite(values).all():
        raise InputError("the image holds values that are not finite (NaN or infinity).")
    padding = dataset.get("PixelPaddingValue")
    valid = None if padding is None else stored != int(padding)
    warning = None
    if chosen is not None:
        shown = window(values, *chosen)
    else:
        shown, warning = _voi(values, dataset, frame, valid)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1.0 - shown
    if valid is not None:
        shown = np.where(valid, shown, 0.0)
    return to_bytes(shown), warning


def colour_frame(stored: npt.NDArray[Any], dataset: Any) -> Pixels:
    """One colour frame, palette indices (H, W) or RGB (H, W, 3), as uint8 (H, W, 3)."""
    bits = int(dataset.BitsStored)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        stored = apply_color_lut(stored, dataset)
        bits = 8 * stored.dtype.itemsize
    if bits == 8:
        return np.asarray(stored, dtype=np.uint8)
    return to_bytes(np.clip(stored.astype(np.float64) / float(2**bits - 1), 0.0, 1.0))


def _codestream(stream: bytes) -> bytes:
    """The JPEG 2000 codestream inside JP2 boxes; any other stream as it is.

    Raises:
        InputError: a box that goes nowhere, on which parsers have been seen to loop for ever.

    """
    if not stream.startswith(b"\x00\x00\x00\x0cjP  "):
        return stream
    at = 12
    while at < len(stream):
        length = int.from_bytes(stream[at : at + 4], "big")
        if stream[at + 4 : at + 8] == b"jp2c":
            return stream[at + 8 :]
        if length < 8:
            break
        at += length
    raise InputError("the JPEG 2000 boxes of a frame are damaged.")


def stream_size(stream: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream claims; None if not found.

    The header's size is checked before decoding, but a decoder allocates what the stream claims.

    Raises:
        InputError: JP2 boxes that hold no codestream.

    """
    stream = _codestream(stream)
    if stream[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000: start, then the size segment
        extent = [int.from_bytes(stream[at : at + 4], "big") for at in (8, 12, 16, 20)]
        return extent[1] - extent[3], extent[0] - extent[2]
    at = 2 if stream[:2] == b"\xff\xd8" else len(stream)
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        # Start of frame: C0..CF but for tables and reserved ones; F7 in JPEG-LS.
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = stream[at + 5 : at + 7], stream[at + 7 : at + 9]
            return int.from_bytes(rows, "big"), int.from_bytes(columns, "big")
        at += 1 if marker == 0xFF else 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return None
