"""What people give as an image, as upright pixels."""

from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from causalseg.data.images import Picture, decode_picture, picture_of, read_image_bytes
from causalseg.errors import InputError
from causalseg.inference.formats import kind_of, read_study

ImageLike = str | Path | bytes | BinaryIO | Image.Image | NDArray[Any] | Tensor
"""A path of any format, the bytes or binary file of a picture, a Pillow image, or an array."""


def as_picture(image: ImageLike) -> Picture:
    """Read or convert to upright uint8 pixels, (H, W) or (H, W, 3), by the rules of `data.images`.

    Raises:
        InputError: unreadable, of several frames, of another shape, empty, or not finite.

    """
    if not isinstance(image, str | Path):
        return picture_of(image)
    path = Path(image)
    if kind_of(path) not in ("dicom", "nifti"):
        return decode_picture(read_image_bytes(path), str(path))
    study = read_study(path)
    if len(study.frames) != 1:
        raise InputError(
            f"the file holds {len(study.frames)} frames where one image is wanted: use "
            "'causalseg predict', or give one frame as an array."
        )
    return Picture(study.frames[0], study.display, study.warnings)
