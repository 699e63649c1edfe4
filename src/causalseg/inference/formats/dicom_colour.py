"""Colours of DICOM to 8 bits: palettes (PS3.3 C.7.6.3.1.5) and RGB of more than 8 bits."""

from typing import Any

import numpy as np
import numpy.typing as npt

from causalseg.errors import InputError
from causalseg.inference.formats.dicom_pixels import to_bytes
from causalseg.inference.formats.dicom_tables import bits_used, is_little, read_lookup_table
from causalseg.inference.formats.study import Pixels


def palette_of(dataset: Any) -> tuple[npt.NDArray[np.uint8], int, list[str]]:
    """The palette as (entries, 3) uint8, the index of its first entry, and warnings.

    Raises:
        InputError: it is missing or damaged.

    """
    if dataset.get("SegmentedRedPaletteColorLookupTableData"):
        from pydicom.pixels import apply_color_lut

        first = int(dataset.RedPaletteColorLookupTableDescriptor[1])
        count = int(dataset.RedPaletteColorLookupTableDescriptor[0]) % 65536 or 65536
        colours = apply_color_lut(np.arange(first, first + count), dataset)[..., :3]
        declared = 8 * colours.dtype.itemsize
        stack = colours.astype(np.float64)
    else:
        tables = [
            read_lookup_table(
                dataset,
                f"{name}PaletteColorLookupTableDescriptor",
                f"{name}PaletteColorLookupTableData",
                little=is_little(dataset),
            )
            for name in ("Red", "Green", "Blue")
        ]
        found = [table for table in tables if table is not None]
        if len(found) != 3 or len({len(table.entries) for table in found}) != 1:
            raise InputError("the DICOM header's palette is missing or damaged.")
        first, declared = found[0].first, found[0].bits
        stack = np.stack([table.entries for table in found], axis=-1)
    bits = max(8, bits_used(int(stack.max()), declared))
    notes = []
    if bits != declared:
        notes = [f"the palette declares {declared} bits and holds {bits}: {bits} were taken."]
    return to_bytes(np.clip(stack / float(2**bits - 1), 0.0, 1.0)), first, notes


def palette_frame(stored: npt.NDArray[Any], palette: npt.NDArray[np.uint8], first: int) -> Pixels:
    """Palette indices (H, W) as colours (H, W, 3)."""
    return palette[np.clip(stored.astype(np.int64) - first, 0, len(palette) - 1)]


def colour_scale(stored: npt.NDArray[Any], dataset: Any) -> tuple[int, list[str]]:
    """Bits of a colour sample, from the declared bits and the largest sample, and warnings."""
    declared = int(dataset.BitsStored)
    if declared <= 8:
        return 8, []
    bits = max(8, bits_used(int(stored.max()), declared))
    if bits == declared:
        return declared, []
    return bits, [f"the colours declare {declared} bits and hold {bits}: {bits} were taken."]


def colour_frame(stored: npt.NDArray[Any], bits: int) -> Pixels:
    """RGB samples (H, W, 3) of that many bits as uint8."""
    if bits == 8:
        return np.asarray(stored, dtype=np.uint8)
    return to_bytes(np.clip(stored.astype(np.float64) / float(2**bits - 1), 0.0, 1.0))
