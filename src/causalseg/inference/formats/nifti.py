"""NIfTI in and out: slices along a stated body axis, affine and orientation kept."""

import gzip
import logging
import warnings
import zlib
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from causalseg.data.images import check_size
from causalseg.errors import InputError
from causalseg.inference.formats.dicom_pixels import rescale, to_bytes, window
from causalseg.inference.formats.study import MAX_PIXELS, Study

Axis = Literal["axial", "coronal", "sagittal"]
AXES: tuple[str, ...] = get_args(Axis)

# Array axes in the order (slice, row, column) once the volume runs to the patient's left, back
# and feet (L, P, I): slices are then in the standard display.
_PLANES: dict[str, tuple[int, int, int]] = {
    "axial": (2, 1, 0),
    "coronal": (1, 2, 0),
    "sagittal": (0, 2, 1),
}


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise InputError("reading NIfTI needs an extra: pip install 'causalseg[dicom]'.") from error
    # Its messages about a header may quote free text from it.
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)
    return nibabel


def _load(path: Path) -> tuple[Any, npt.NDArray[np.float64]]:
    nibabel = _nibabel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _parse(nibabel, path)


def _parse(nibabel: Any, path: Path) -> tuple[Any, npt.NDArray[np.float64]]:
    try:
        kind = nibabel.Nifti1Image if _header(path)[:4] in _SIZES_1 else nibabel.Nifti2Image
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            image = _from_gzip(kind, path)
        else:
            image = kind.from_bytes(raw)
            _check(image)
        values = np.asarray(image.dataobj, dtype=np.float64)
    except InputError:
        raise
    except MemoryError:
        raise InputError("the NIfTI volume does not fit into memory.") from None
    except Exception as error:
        # nibabel raises many kinds for one fact: the file is not what its header says.
        raise InputError(
            f"the NIfTI file is damaged or truncated ({type(error).__name__})."
        ) from None
    return image, values


_SIZES_1 = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")


def _header(path: Path) -> bytes:
    """The first bytes, inflated where the file is compressed."""
    raw = path.open("rb").read(2)
    if raw != b"\x1f\x8b":
        with path.open("rb") as file:
            return file.read(348)
    with gzip.open(path) as file:
        return file.read(348)


def _from_gzip(kind: Any, path: Path) -> Any:
    """A compressed volume, inflated only as far as its header says."""
    with gzip.open(path) as file:
        header = kind.header_class.from_fileobj(file, check=False)
        _check_shape(header.get_data_shape(), header.get_data_dtype())
        size = int(header["vox_offset"]) + int(
            np.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
        )
        file.seek(0)
        return kind.from_bytes(file.read(max(size, 352)))


def _check(image: Any) -> None:
    _check_shape(image.shape, image.get_data_dtype())


def _check_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.fields is not None or dtype.kind == "c":
        raise InputError("the NIfTI volume is of colours or complex numbers: give a grey one.")
    shown = " x ".join(map(str, shape))
    if len(shape) < 2 or min(shape) < 1 or any(size > 1 for size in shape[3:]):
        raise InputError(
            f"the NIfTI file holds an array of {shown}: one volume is wanted, so split a series "
            "of volumes first."
        )
    if np.prod([float(size) for size in shape]) > MAX_PIXELS:
        raise InputError(f"the NIfTI header claims {shown} voxels, more than {MAX_PIXELS}.")


def _to_standard(image: Any) -> npt.NDArray[np.float64]:
    """nibabel's orientation transform from the file's axes to (L, P, I)."""
    nibabel = _nibabel()
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
        path: `.nii` or `.nii.gz`, NIfTI-1 or NIfTI-2, 2D or 3D.
        axis: the body plane of the slices: axial, coronal or sagittal. For an oblique affine, the
            nearest array axis.
        window_: (center, width); without it the whole volume's min..max is used.

    Raises:
        InputError: not such a volume, damaged, too large, or holding NaN.

    """
    if axis not in AXES:
        raise InputError(f"--axis must be one of {', '.join(AXES)}, not {axis!r}.")
    image, values = _load(path)
    if not np.isfinite(values).all():
        raise InputError("the NIfTI volume holds NaN or infinity: replace them first.")
    transform = _to_standard(image)
    nibabel = _nibabel()
    volume = nibabel.apply_orientation(values.reshape(_three(values.shape)), transform)
    planes = _PLANES[axis]
    ordered = np.transpose(volume, planes)
    check_size(ordered.shape[2], ordered.shape[1], f"a slice ({axis})")
    number, flipped = _file_axis(transform, planes[0])
    if flipped:
        ordered = ordered[::-1]
    low, high = float(values.min()), float(values.max())
    frames = [
        np.ascontiguousarray(
            to_bytes(rescale(plane, low, high) if window_ is None else window(plane, *window_))
        )
        for plane in ordered
    ]
    zooms = nibabel.affines.voxel_sizes(image.affine)
    sizes = [float(zooms[_file_axis(transform, plane)[0]]) for plane in planes]
    notes = [] if window_ else ["no window was given: scaled from the volume's min to its max."]
    if int(image.header["qform_code"]) == 0 and int(image.header["sform_code"]) == 0:
        notes.append("the NIfTI header gives no orientation: the sides are unconfirmed.")
    return Study(
        kind="nifti",
        frames=frames,
        spacing=(sizes[1], sizes[2]),
        thickness=sizes[0],
        warnings=tuple(notes),
        source=(image, transform, planes),
        axis=number,
    )


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
    nibabel = _nibabel()
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
