"""Which reader a file needs, by its first bytes and not its name."""

import gzip
import zlib
from pathlib import Path

from causalseg.errors import InputError
from causalseg.inference.formats.nifti_file import pair_header
from causalseg.inference.formats.raster import SUFFIXES, read_raster
from causalseg.inference.formats.study import Study, StudyKind

_RASTER_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"BM")
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
_NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")


def short_path(path: object) -> str:
    """A path that fits one line of a terminal: control characters escaped, cut in the middle."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))
    return text if len(text) <= 200 else f"{text[:90]}...{text[-90:]}"


def _start(path: Path) -> bytes:
    """The first 352 bytes, inflated where the file is compressed."""
    with path.open("rb") as file:
        start = file.read(352)
    if start[:2] == b"\x1f\x8b":
        with gzip.open(path) as file:
            return file.read(352)
    return start


def kind_of(path: Path) -> StudyKind | None:
    """The kind of a file by content; by suffix where the content says nothing; else None.

    A damaged file with an image's suffix counts as that image, so that its reader reports it.
    """
    name = path.name.lower()
    by_suffix: StudyKind | None = None
    if name.endswith(SUFFIXES):
        by_suffix = "raster"
    elif name.endswith(_DICOM_SUFFIXES):
        by_suffix = "dicom"
    elif name.endswith(_NIFTI_SUFFIXES):
        by_suffix = "nifti"
    try:
        if path.exists() and not path.is_file():
            return by_suffix  # a pipe would be waited for
        start = _start(path)
    except (OSError, EOFError, zlib.error):
        return by_suffix
    if start[128:132] == b"DICM" or start[:2] in (b"\x08\x00", b"\x02\x00"):
        return "dicom"
    if start[344:347] in (b"n+1", b"ni1") or start[4:7] in (b"n+2", b"ni2"):
        return "nifti"
    if start.startswith(_RASTER_MAGIC):
        return "raster"
    if name.endswith((".img", ".img.gz")) and pair_header(path) is not None:
        return None  # The voxels of a pair, which is listed by its header.
    return by_suffix


def read_study(
    path: str | Path, *, axis: str = "axial", window: tuple[float, float] | None = None
) -> Study:
    """Read an image file of any supported kind.

    Args:
        path: PNG, JPEG, TIFF, BMP, DICOM or NIfTI; the content decides. Or a folder that holds
            the slices of one DICOM series.
        axis: the plane in which a NIfTI volume is cut: axial, coronal or sagittal.
        window: (center, width) for DICOM and NIfTI, instead of the header's or of min..max.

    Raises:
        InputError: one sentence about the file. For DICOM and NIfTI it does not name the file,
            whose name may hold patient data; the caller knows which one it gave.

    """
    if "\0" in str(path):
        raise InputError("the file name holds a NUL character, which no file name may hold.")
    path = Path(path)
    try:
        directory, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise InputError(f"the file name cannot be used ({error.strerror}).") from None
    if directory:
        return _read_folder(path, window)
    if not exists:
        raise InputError("there is no such file: check the path.")
    if not path.is_file():
        raise InputError("this is a device, pipe or socket: name a regular file.")
    try:
        if path.stat().st_size == 0:
            raise InputError("the file is empty (0 bytes): fetch it again.")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror}).") from None
    kind = "nifti" if pair_header(path) is not None else kind_of(path)
    if kind == "dicom":
        from causalseg.inference.formats.dicom import read_dicom

        return read_dicom(path, window)
    if kind == "nifti":
        from causalseg.inference.formats.nifti import read_nifti

        return read_nifti(path, axis, window)
    if kind == "raster":
        return read_raster(path)
    raise InputError("the file is none of PNG, JPEG, TIFF, BMP, DICOM and NIfTI.")


def _read_folder(folder: Path, window: tuple[float, float] | None) -> Study:
    """The one DICOM series of a folder."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."]
    slices = [path for path in files if path.name != "DICOMDIR" and kind_of(path) == "dicom"]
    if not slices:
        raise InputError("this is a folder where one image file, or a DICOM series, is wanted.")
    from causalseg.inference.formats.series import group_series, read_series

    groups = group_series(slices)
    if len(groups) > 1 or len(slices) < 2:
        raise InputError(
            f"this folder holds {len(groups)} DICOM images or series where one series is wanted: "
            "name the one that is meant."
        )
    return read_series(slices, window)
