"""PNG, JPEG, TIFF and BMP: one image, no geometry."""

from pathlib import Path

from causalseg.inference.formats.study import Study

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def read_raster(path: Path) -> Study:
    """Read a picture as it is stored.

    Raises:
        InputError: the file is no readable image (see `causalseg.data.images.read_image`).

    """
    from causalseg.data.images import read_image

    return Study(kind="raster", frames=[read_image(path)])
