"""DICOM pixels to 8 bits: modality transform, window, inversion, palette (PS3.3 C.11, C.7.6.3).

A transform is worked out once for each stored value, not for each pixel: a frame of 16 bits has at
most 65536 of them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from causalseg.errors import InputError
from causalseg.inference.formats.dicom_tables import Table, Values, is_little, read_lookup_table
from causalseg.inference.formats.study import Pixels

Bools = npt.NDArray[np.bool_]
_FEW = 8
"""Values that an image of black and white may have."""


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
        width: w, more than 0. LINEAR is defined from 1 on, for integers; below 1, and at 1 where
            values are not all integers, the scale is a fine one and LINEAR_EXACT is taken.
        function: LINEAR `(x - (c - 0.5)) / (w - 1) + 0.5`, LINEAR_EXACT `(x - c) / w + 0.5`, or
            SIGMOID `1 / (1 + exp(-4 (x - c) / w))`.

    Raises:
        InputError: width or function is not one of the standard's.

    """
    if not (np.isfinite(center) and np.isfinite(width)) or width <= 0:
        raise InputError(f"the window's width must be above 0, not {width:g}.")
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -60, 60))))
    fine = width < 1 or (width == 1 and bool((values % 1 != 0).any()))
    if function == "LINEAR_EXACT" or (function == "LINEAR" and fine):
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if function != "LINEAR":
        raise InputError("the window's function is none of LINEAR, LINEAR_EXACT and SIGMOID.")
    if width == 1:
        return np.where(values <= center - 0.5, 0.0, 1.0)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def rescale(values: Values, low: float, high: float) -> Values:
    """Values low..high to [0, 1], clipped; 0 where high is not above low."""
    if high <= low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def to_bytes(values: Values) -> Pixels:
    """[0, 1] to 0..255, rounded."""
    return np.rint(values * 255.0).astype(np.uint8)


def numbers(value: Any) -> list[float | None]:
    """The numbers of an element of any multiplicity; None for one that is empty or not a number."""
    if value is None or isinstance(value, str) or not hasattr(value, "__iter__"):
        value = [value]
    found: list[float | None] = []
    for part in value:
        try:
            header_number = float(part)
        except (TypeError, ValueError):
            header_number = float("nan")
        found.append(header_number if np.isfinite(header_number) else None)
    return found


def header_number(value: Any) -> float | None:
    """The first number of an element; None where it is missing, empty or not a number."""
    return next(iter(numbers(value)), None)


def _modality(levels: Values, present: Bools, dataset: Any, frame: int) -> tuple[Values, list[str]]:
    """Rescale slope and intercept, or the modality lookup table."""
    if dataset.get("ModalityLUTSequence"):
        table = read_lookup_table(
            dataset.ModalityLUTSequence[0], "LUTDescriptor", "LUTData", little=is_little(dataset)
        )
        if table is None:
            raise InputError("the DICOM header's modality lookup table is empty or damaged.")
        table = table.placed(float(levels[present].min()), float(levels[present].max()))
        return table.look_up(levels), []
    group = "PixelValueTransformationSequence"
    written = [
        frame_attribute(dataset, frame, group, f"Rescale{x}") for x in ("Slope", "Intercept")
    ]
    slope, intercept = map(header_number, written)
    notes = []
    if any(text not in (None, "") and header_number(text) is None for text in written):
        notes = ["the header's rescale slope or intercept is no number: it was left aside."]
    if slope is None and intercept:
        notes.append("the header has a rescale intercept without a slope: 1 was taken.")
    elif slope == 0:
        notes = ["the header's rescale slope is 0, which leaves no image: 1 was taken."]
    return levels * (slope or 1.0) + (intercept or 0.0), notes


def padding_of(levels: Values, dataset: Any) -> Bools:
    """Which stored values are padding: the padding value, or the range to its limit."""
    ends = []
    for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = dataset.get(name)
        if isinstance(value, bytes):
            value = int.from_bytes(value, "little" if is_little(dataset) else "big")
        end = header_number(value)
        if end is not None:
            ends.append(_as_stored(int(end), dataset))
    if not ends:
        for kind in ("Float", "DoubleFloat"):
            names = (f"{kind}PixelPaddingValue", f"{kind}PixelPaddingRangeLimit")
            ends += [end for name in names if (end := header_number(dataset.get(name))) is not None]
    if not ends:
        return np.zeros(levels.shape, np.bool_)
    return (levels >= min(ends)) & (levels <= max(ends))


def _as_stored(value: int, dataset: Any) -> float:
    """A number in the range of this object's pixels, whatever its value representation.

    A padding of -2000 is often written as the unsigned 63536.
    """
    bits = int(dataset.get("BitsStored") or dataset.get("BitsAllocated") or 16)
    value &= (1 << bits) - 1
    signed = int(dataset.get("PixelRepresentation") or 0) == 1
    return float(value - (1 << bits) if signed and value >> (bits - 1) else value)


def _windows(dataset: Any, frame: int) -> Iterator[tuple[float, float]]:
    """The header's usable windows, in its order."""
    group = "FrameVOILUTSequence"
    centers = numbers(frame_attribute(dataset, frame, group, "WindowCenter"))
    widths = numbers(frame_attribute(dataset, frame, group, "WindowWidth"))
    for center, width in zip(centers, widths, strict=False):
        if center is not None and width is not None and width > 0:
            yield center, width


def _voi(values: Values, valid: Bools, dataset: Any, frame: int) -> tuple[Values, list[str]]:
    """The header's lookup table or first usable window; without one, the valid min..max."""
    low, high = float(values[valid].min()), float(values[valid].max())
    notes = []
    if dataset.get("VOILUTSequence"):
        table = read_lookup_table(
            dataset.VOILUTSequence[0], "LUTDescriptor", "LUTData", little=is_little(dataset)
        )
        if table is not None:
            return _by_table(table.placed(low, high), values)
        notes = ["the header's VOI lookup table is empty or damaged and was left aside."]
    for center, width in _windows(dataset, frame):
        named = frame_attribute(dataset, frame, "FrameVOILUTSequence", "VOILUTFunction")
        function = str(named or "LINEAR").strip()
        if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            notes.append("the header's window has a function that is unknown: LINEAR was taken.")
            function = "LINEAR"
        return window(values, center, width, function), notes
    notes.append(
        "the header has no window that can be used: scaled from its smallest to its largest value."
    )
    return rescale(values, low, high), notes


def _by_table(table: Table, values: Values) -> tuple[Values, list[str]]:
    used = table.bits_used
    notes = []
    if used != table.bits:
        notes = [f"the VOI lookup table declares {table.bits} bits and holds {used}: {used} taken."]
    return np.clip(table.look_up(values) / float(2**used - 1), 0.0, 1.0), notes


def _levels(stored: npt.NDArray[Any]) -> tuple[Values, Bools, npt.NDArray[Any] | None]:
    """The values a frame may hold, which of them it does, and each pixel's place among them.

    Where there would be too many values: the pixels themselves, all as present, and no places.
    """
    if stored.dtype.kind in "iu":
        low, high = int(stored.min()), int(stored.max())
        if high - low < 65536:
            # Differences modulo the word, which are right for signed and unsigned values.
            word = np.dtype(f"u{stored.dtype.itemsize}")
            words = stored.astype(stored.dtype.newbyteorder("="), copy=False).view(word)
            places = (words - np.array(low).astype(word)).astype(np.uint16)
            present = np.zeros(high - low + 1, np.bool_)
            for row in places:
                present[row] = True
            return np.arange(low, high + 1, dtype=np.float64), present, places
    return stored.astype(np.float64), np.ones(stored.shape, np.bool_), None


def _pick(grey: Pixels, places: npt.NDArray[Any]) -> Pixels:
    """`grey[places]`, row by row: an index of a whole large frame takes eight times as much."""
    shown = np.empty(places.shape, np.uint8)
    for row, place in zip(shown, places, strict=True):
        row[:] = grey[place]
    return shown


def _about_shape(dataset: Any) -> list[str]:
    """A warning where Presentation LUT Shape means the other of black on white, white on black."""
    shape = str(dataset.get("PresentationLUTShape") or "").strip()
    fitting = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}
    if shape not in fitting.values() or shape == fitting[dataset.PhotometricInterpretation]:
        return []
    return [
        f"the header's Presentation LUT Shape ({shape}) contradicts its photometric interpretation "
        f"({dataset.PhotometricInterpretation}): the latter was taken, check what is bright."
    ]


def grey_frame(
    stored: npt.NDArray[Any],
    dataset: Any,
    frame: int,
    chosen: tuple[float, float] | None,
) -> tuple[Pixels, list[str]]:
    """One stored monochrome frame (H, W) as it should be displayed.

    Args:
        stored: integers (or floats) as decoded.
        dataset: its pydicom data set.
        frame: number from 0.
        chosen: (center, width) that replaces the header's window.

    Returns:
        uint8 (H, W), bright as on a light box (MONOCHROME1 is inverted), padding black, and
        warnings.

    """
    levels, present, places = _levels(stored)
    values, notes = _modality(levels, present, dataset, frame)
    notes += _about_shape(dataset)
    if not np.isfinite(values[present]).all():
        raise InputError("the image holds values that are not finite (NaN or infinity).")
    padding = padding_of(levels, dataset)
    valid = present & ~padding
    if not valid.any():
        valid, padding = present, np.zeros_like(padding)
    if chosen is not None:
        shown = window(values, *chosen)
    else:
        shown, more = _voi(values, valid, dataset, frame)
        notes += more
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1.0 - shown
    grey = to_bytes(np.where(padding, 0.0, shown))
    left = np.count_nonzero(np.bincount(grey[valid], minlength=256))
    held = len(np.unique(values[valid][:: values.size // 65536 or 1]))  # of a large frame, some
    if left < min(held, 3) and (left == 1 or held > _FEW):
        notes.append(
            f"the window leaves {'a single grey level' if left == 1 else 'two grey levels'} of "
            "this image: give one that fits (--window)."
        )
    return grey if places is None else _pick(grey, places), notes
