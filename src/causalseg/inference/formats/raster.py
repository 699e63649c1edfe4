"""PNG, JPEG, TIFF and BMP: one image, no geometry."""

from pathlib import Path

from causalseg.data.images import Picture, decode_picture, read_image_bytes
from causalseg.inference.formats.study import Study

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def read_raster(path: Path) -> Study:
    """Read a picture upright, with its turn and warnings.

    Raises:
        InputError: the file is not a readable image (see `causalseg.data.images.read_image`).

    """
    return picture_study(decode_picture(read_image_bytes(path), str(path)))


def picture_study(picture: Picture) -> Study:
    """A picture as a study of one frame."""
    return Study(
        kind="raster",
        frames=[picture.pixels],
        display=picture.display,
        warnings=picture.warnings,
    )
