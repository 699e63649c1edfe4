"""NIfTI in and out: slices along a stated body axis, affine and orientation kept."""

import gzip
import zlib
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from causalseg.data.images import check_size
from causalseg.errors import InputError
from causalseg.inference.formats.dicom_pixels import rescale, to_bytes, window
from causalseg.inference.formats.nifti_file import load_volume, nibabel_
from causalseg.inference.formats.study import Pixels, Study, odd_size

Axis = Literal["axial", "coronal", "sagittal"]
AXES: tuple[str, ...] = get_args(Axis)

# Array axes in the order (slice, row, column) once the volume runs to the patient's left, back
# and feet (L, P, I): slices are then in the standard display.
_PLANES: dict[str, tuple[int, int, int]] = {
    "axial": (2, 1, 0),
    "coronal": (1, 2, 0),
    "sagittal": (0, 2, 1),
}

_OBLIQUE = 20.0
"""Degrees."""


def _to_standard(image: Any) -> npt.NDArray[np.float64]:
    """nibabel's orientation transform from the file's axes to (L, P, I)."""
    nibabel = nibabel_()
    current = nibabel.io_orientation(image.affine)
    if np.isnan(current).any():
        raise InputError("the NIfTI affine is singular: the axes' directions are unknown.")
    target = nibabel.orientations.axcodes2ornt(("L", "P", "I"))
    transform: npt.NDArray[np.float64] = nibabel.orientations.ornt_transform(current, target)
    return transform


def read_nifti(
    path: Path, axis: str = "axial", window_: tuple[float, float] | None = None
) -> Study:
    """Read a volume as slices in the standard display, numbered as in the file's own array.

    Args:
        path: `.nii`, `.nii.gz`, or either file of a `.hdr/.img` pair; NIfTI-1 or 2, 2D or 3D.
        axis: the body plane of the slices: axial, coronal or sagittal. For an oblique affine, the
            nearest array axis.
        window_: (center, width); without it the whole volume's min..max is used.

    Raises:
        InputError: not such a volume, damaged, too large, or holding NaN.

    """
    if axis not in AXES:
        raise InputError(f"--axis must be one of {', '.join(AXES)}, not {axis!r}.")
    loaded = load_volume(path)
    image, stored, slope, inter = loaded.image, loaded.stored, loaded.slope, loaded.inter
    low, high = sorted(float(end) * slope + inter for end in (stored.min(), stored.max()))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("the NIfTI volume holds NaN or infinity: replace them first.")
    transform = _to_standard(image)
    nibabel = nibabel_()
    volume = nibabel.apply_orientation(stored.reshape(_three(stored.shape)), transform)
    planes = _PLANES[axis]
    ordered = np.transpose(volume, planes)
    check_size(ordered.shape[2], ordered.shape[1], f"a slice ({axis})")
    number, flipped = _file_axis(transform, planes[0])
    if flipped:
        ordered = ordered[::-1]

    def shown(plane: npt.NDArray[Any]) -> Pixels:
        values = plane.astype(np.float64) * slope + inter
        grey = rescale(values, low, high) if window_ is None else window(values, *window_)
        return np.ascontiguousarray(to_bytes(grey))

    frames = [shown(plane) for plane in ordered]
    zooms = nibabel.affines.voxel_sizes(image.affine) * _millimetres(image.header)
    sizes = [float(zooms[_file_axis(transform, plane)[0]]) for plane in planes]
    notes = [] if window_ else ["no window was given: scaled from the volume's min to its max."]
    if int(image.header["qform_code"]) == 0 and int(image.header["sform_code"]) == 0:
        notes.append("the NIfTI header gives no orientation: the sides are unconfirmed.")
    notes += _disagreement(image.header) + _odd_geometry(image.affine, zooms)
    return Study(
        kind="nifti",
        frames=frames,
        spacing=(sizes[1], sizes[2]),
        thickness=sizes[0],
        warnings=tuple(notes),
        source=(image, transform, planes),
        axis=number,
    )


def _millimetres(header: Any) -> float:
    """Millimetres per unit of length in the header; an unknown unit is taken as millimetres."""
    return {1: 1000.0, 3: 0.001}.get(int(header["xyzt_units"]) & 7, 1.0)


def _disagreement(header: Any) -> list[str]:
    """A warning where qform and sform are both given and differ about directions or sizes."""
    if int(header["qform_code"]) <= 0 or int(header["sform_code"]) <= 0:
        return []
    nibabel = nibabel_()
    try:
        forms = header.get_qform(), header.get_sform()
    except Exception:  # not a quaternion
        return ["the NIfTI header's qform is damaged: the sform was taken."]
    same = nibabel.aff2axcodes(forms[0]) == nibabel.aff2axcodes(forms[1])
    sizes = [nibabel.affines.voxel_sizes(form) for form in forms]
    if same and not np.allclose(sizes[0], sizes[1], rtol=0.02):
        return [
            "the NIfTI header's qform and sform disagree about the size of a voxel: the sform's "
            "was taken, check the areas."
        ]
    if same:
        return []
    return [
        "the NIfTI header's qform and sform disagree about which way the patient lies: the sform "
        "was taken, check the sides."
    ]


def _odd_geometry(affine: Any, zooms: npt.NDArray[np.float64]) -> list[str]:
    """Warnings about slices that lie aslant, and sizes in mm that no scan has."""
    notes = []
    tilt = float(np.degrees(nibabel_().affines.obliquity(affine).max()))
    if tilt > _OBLIQUE:
        notes.append(
            f"the volume lies aslant by {tilt:.0f} degrees: it was cut along the nearest of its "
            "own axes."
        )
    return notes + odd_size(zooms.tolist(), "voxels")


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    padded = (*shape, 1, 1)
    return padded[0], padded[1], padded[2]


def _file_axis(transform: npt.NDArray[np.float64], standard: int) -> tuple[int, bool]:
    """The file's array axis that became axis `standard`, and whether it was flipped."""
    for axis, (target, flip) in enumerate(transform):
        if int(target) == standard:
            return axis, flip < 0
    raise AssertionError("an orientation transform is a permutation")


def to_volume(study: Study, slices: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Slices (n, H, W) in the standard display back to the file's own array axes and shape."""
    nibabel = nibabel_()
    image, transform, planes = study.source
    if _file_axis(transform, planes[0])[1]:
        slices = slices[::-1]
    standard = np.transpose(slices, np.argsort(planes))
    shape = _three(image.shape)
    # The inverse of the transform: each file axis takes the standard axis that it became.
    inverse = np.empty((3, 2))
    for axis, (target, flip) in enumerate(transform):
        inverse[int(target)] = (axis, flip)
    volume = nibabel.apply_orientation(standard, inverse)
    if volume.shape != shape:
        raise AssertionError("the inverse orientation must restore the shape")
    restored: npt.NDArray[Any] = np.ascontiguousarray(volume).reshape(image.shape)
    return restored


def write_nifti(study: Study, slices: npt.NDArray[Any], path: Path) -> None:
    """Write slices (n, H, W) as a volume with the source's affine, shape and orientation codes.

    uint8 masks are stored as they are; floats in [0, 1] as 16 bit with the slope in the header.
    The file is read back and compared before this returns.

    Raises:
        InputError: what was read back differs.

    """
    image = study.source[0]
    volume = to_volume(study, slices)
    if volume.dtype != np.uint8:
        volume = np.rint(volume * 65535.0).astype(np.uint16)
    header = image.header.copy()
    header["magic"] = header.single_magic
    header.set_data_dtype(volume.dtype)
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        if name in header:
            header[name] = b""  # free text, which may name a patient
    header["cal_min"], header["cal_max"] = 0, 0
    header.extensions.clear()
    out = type(image)(volume, image.affine, header)
    if volume.dtype == np.uint16:
        out.header.set_slope_inter(1.0 / 65535.0, 0.0)
    raw = out.to_bytes()
    path.write_bytes(gzip.compress(raw, 6, mtime=0))
    try:
        again = type(image).from_bytes(gzip.decompress(path.read_bytes()))
        same = np.array_equal(np.asanyarray(again.dataobj.get_unscaled()), volume)
    except (OSError, zlib.error):
        same = False
    if not same or not np.allclose(again.affine, image.affine, atol=1e-5):
        raise InputError("the NIfTI mask read back differs from what was written: disk trouble?")
