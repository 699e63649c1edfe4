"""What every reader returns: pixels ready for the model, and the way back to the source."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from causalseg.data.display import Display, Pixels

__all__ = ["MAX_VALUES", "Display", "Pixels", "Study", "StudyKind"]

StudyKind = Literal["raster", "dicom", "nifti"]

# Pixels (voxels) that a source may hold in all; more is considered a broken or hostile header.
MAX_VALUES = 2**29
_SMALL, _LARGE = 0.005, 50.0
"""Millimetres; pixels and voxels beyond these are reported."""


@dataclass(frozen=True)
class Study:
    """One source: an image, a multi-frame DICOM object or a volume cut into slices."""

    kind: StudyKind
    frames: Sequence[Pixels]
    """Frames in the standard display, uint8 (H, W) or (H, W, 3), all of one shape."""
    display: Display = field(default_factory=Display)
    spacing: tuple[float, float] | None = None
    """Millimetres between the rows and between the columns of a displayed frame."""
    thickness: float | None = None
    """Millimetres from slice to slice, where the source is a volume."""
    modality: str | None = None
    """DICOM's modality code, such as CR, DX, CT."""
    body_part: str | None = None
    """DICOM's body part, such as CHEST."""
    warnings: tuple[str, ...] = ()
    source: Any = None
    """What the writer of the same format needs (a pydicom data set, a nibabel image)."""
    others: tuple[Any, ...] = ()
    """The data sets of the other slices, in order after `source`, where it is a DICOM series."""
    laterality: str | None = None
    """L or R where the header says that the image shows that side only."""
    lateral_view: bool = False
    """The header says that this is a lateral view."""
    oriented: bool = True
    """The header says which way the patient lies (always true for a picture)."""
    axis: int | None = None
    """Axis of the NIfTI array that the slices are numbered along."""

    @property
    def sources(self) -> tuple[Any, ...]:
        """The data sets of all slices of a series, or the one source."""
        return (self.source, *self.others)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of a displayed frame."""
        return self.frames[0].shape[0], self.frames[0].shape[1]


def odd_size(sizes: Sequence[float], of: str) -> list[str]:
    """A warning about sizes in mm that no scan has; `of` is "pixels" or "voxels"."""
    if min(sizes) >= _SMALL and max(sizes) <= _LARGE:
        return []
    shown = " x ".join(f"{size:.3g}" for size in sizes)
    return [f"the header gives {of} of {shown} mm: check its unit of length."]
