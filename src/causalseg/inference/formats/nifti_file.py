"""The files of a NIfTI volume: one, compressed or not, or a pair of header and voxels."""

import gzip
import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from causalseg.data.images import check_claim
from causalseg.errors import InputError
from causalseg.inference.formats.study import MAX_VALUES


def nibabel_() -> Any:
    """nibabel, silenced; InputError where it is not installed."""
    try:
        import nibabel
    except ImportError as error:
        raise InputError("reading NIfTI needs an extra: pip install 'causalseg[dicom]'.") from error
    # Its messages may quote free text from the header.
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)
    return nibabel


@dataclass(frozen=True)
class Volume:
    """A volume as stored: value = stored * slope + inter."""

    image: Any
    stored: npt.NDArray[Any]
    slope: float
    inter: float


def load_volume(path: Path) -> Volume:
    """Read a volume's header and voxels, at a cost bounded by the files' length.

    Raises:
        InputError: not NIfTI, damaged, of several volumes, too large, or without its other file.

    """
    nibabel = nibabel_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _parse(nibabel, *_parts(path))
        except InputError:
            raise
        except MemoryError:
            raise InputError("the NIfTI volume does not fit into memory.") from None
        except Exception as error:
            # nibabel raises many kinds of errors where a file is not what its header says.
            raise InputError(
                f"the NIfTI file is damaged or truncated ({type(error).__name__})."
            ) from None


def _parts(path: Path) -> tuple[Path, Path]:
    """The files of the header and of the voxels: one for `.nii`, two for a `.hdr/.img` pair."""
    if pair_header(path) is not None:
        return pair_header(path) or path, path
    name = path.name.lower()
    if name.endswith((".img", ".img.gz")) and _start(path, 348)[344:347] != b"n+1":
        raise InputError("the voxels (.img) of a NIfTI pair need their .hdr file beside them.")
    if not name.endswith((".hdr", ".hdr.gz")):
        return path, path
    base = path.name[: name.rindex(".hdr")]
    for ending in (".img", ".img.gz", ".IMG"):
        if (data := path.with_name(base + ending)).is_file():
            return path, data
    if _start(path, 348)[344:347] == b"n+1":
        return path, path
    raise InputError("the header (.hdr) of a NIfTI pair needs its .img file beside it.")


def pair_header(path: Path) -> Path | None:
    """The `.hdr` file beside an `.img` file of a NIfTI pair; None for any other file."""
    name = path.name.lower()
    if not name.endswith((".img", ".img.gz")):
        return None
    base = path.name[: name.rindex(".img")]
    found = (path.with_name(base + ending) for ending in (".hdr", ".hdr.gz", ".HDR"))
    return next((header for header in found if header.is_file()), None)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _start(path: Path, length: int, *, checked: bool = False) -> bytes:
    """The first bytes, inflated where the file is compressed, and no more than asked for.

    `checked` looks for the end too, where gzip compares its checksum.
    """
    with gzip.open(path) if _is_gzip(path) else path.open("rb") as file:
        start = file.read(length)
        if checked:
            file.read(1)
        return start


def _parse(nibabel: Any, header_path: Path, data_path: Path) -> Volume:
    start = _start(header_path, 540)
    first = start[:4] in (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
    kind = nibabel.Nifti1Image if first else nibabel.Nifti2Image
    if first and start[344:347] not in (b"n+1", b"ni1"):
        raise InputError(
            "this is an ANALYZE file, which does not say which way the patient lies: convert it "
            "to NIfTI first."
        )
    header = kind.header_class.from_fileobj(io.BytesIO(start[: 348 if first else 540]), check=False)
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    _check_shape(shape, dtype)
    offset = int(header["vox_offset"])
    if offset < 0:
        raise InputError("the NIfTI header gives a negative place of its voxels.")
    if header_path == data_path:
        offset = max(offset, 348)
    count = int(np.prod(shape))
    data = _read(data_path, offset + count * dtype.itemsize)
    stored = np.frombuffer(data, dtype, count, offset).reshape(shape, order="F")
    slope, inter = header.get_slope_inter()
    image = kind(stored, header.get_best_affine(), header)
    return Volume(image, stored, 1.0 if slope is None else float(slope), float(inter or 0.0))


def _read(path: Path, wanted: int) -> bytes:
    """Bytes from the start of a file, inflated; refused unread where it cannot hold so many."""
    length = path.stat().st_size
    if _is_gzip(path):
        check_claim(wanted, length, "the NIfTI file")
    elif length < wanted:
        raise InputError(
            f"the NIfTI header claims {wanted} bytes and the file has {length}: it is damaged or "
            "truncated."
        )
    data = _start(path, wanted, checked=True)
    if len(data) < wanted:
        raise InputError("the NIfTI file is truncated: it holds fewer voxels than its header says.")
    return data


def _check_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.fields is not None or dtype.kind == "c":
        raise InputError("the NIfTI volume is of colours or complex numbers: give a grey one.")
    shown = " x ".join(map(str, shape))
    if len(shape) < 2 or min(shape) < 1 or any(size > 1 for size in shape[3:]):
        raise InputError(
            f"the NIfTI file holds an array of {shown}: one volume is wanted, so split a series "
            "of volumes first."
        )
    if np.prod([float(size) for size in shape]) > MAX_VALUES:
        raise InputError(f"the NIfTI header claims {shown} voxels, more than {MAX_VALUES}.")
