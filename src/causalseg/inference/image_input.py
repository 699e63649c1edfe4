"""Whatever a user gives as an image, as upright pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from causalseg.data.images import (
    Channels,
    Picture,
    decode_picture,
    picture_of,
    read_binary,
    read_image_bytes,
)
from causalseg.errors import InputError
from causalseg.inference.domain import domain_warnings
from causalseg.inference.formats import kind_of, read_study, short_path
from causalseg.scratch import private_folder

ImageLike = str | Path | bytes | BinaryIO | Image.Image | NDArray[Any] | Tensor
"""A path, the bytes or a binary file of any format, a Pillow image, an array, or a tensor."""


def as_picture(
    image: ImageLike, channels: Channels = "last", provenance: Mapping[str, Any] | None = None
) -> Picture:
    """Read or convert to upright uint8 pixels, (H, W) or (H, W, 3), by the rules of `data.images`.

    Args:
        image: see `ImageLike`.
        channels: "first" for arrays and tensors (1, H, W), (3, H, W) or (4, H, W).
        provenance: of the model, with which the header of a DICOM or NIfTI file is compared.

    Raises:
        InputError: unreadable, of several frames, of another shape, empty, or not finite.

    """
    if channels not in ("first", "last"):
        raise InputError(f"channels must be 'first' or 'last', not {channels!r}.")
    if image is None:
        raise InputError("the image is None: give a path, bytes, a Pillow image or an array.")
    if hasattr(image, "read"):
        image = read_binary(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return _decoded(bytes(image), provenance or {})
    if not isinstance(image, str | Path):
        return picture_of(image, channels=channels)
    if isinstance(image, str) and " " in image.strip() and not Path(image).suffix[1:].isalnum():
        raise InputError(
            f"the image {short_path(image)!r} is a sentence, not a file: give the image first, "
            "then the text."
        )
    path = Path(image)
    if kind_of(path) not in ("dicom", "nifti"):
        return decode_picture(read_image_bytes(path), str(path))
    return _of_scan(path, provenance or {})


def _decoded(data: bytes, provenance: Mapping[str, Any]) -> Picture:
    """The picture in the bytes of a file; readers of DICOM and NIfTI need it on the disk."""
    if data[128:132] != b"DICM" and data[344:347] not in (b"n+1", b"ni1"):
        return decode_picture(data, "the image")
    with private_folder() as folder:
        path = folder / ("upload.dcm" if data[128:132] == b"DICM" else "upload.nii")
        path.write_bytes(data)
        return _of_scan(path, provenance)


def _of_scan(path: Path, provenance: Mapping[str, Any]) -> Picture:
    study = read_study(path)
    if len(study.frames) != 1:
        raise InputError(
            f"the file holds {len(study.frames)} frames where one image is wanted: use "
            "'causalseg predict', or give one frame as an array."
        )
    warnings = (*study.warnings, *domain_warnings(study, provenance))
    return Picture(study.frames[0], study.display, warnings, study.spacing)
