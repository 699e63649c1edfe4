"""What a mask file means: which of its pixels are foreground, or that it does not say so.

The rules are stated in docs/reference/data-format.md.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalseg.data.raster import Raster, decode_raster
from causalseg.errors import InputError


def decode_mask(data: bytes, name: str) -> NDArray[np.bool_]:
    """`images.read_mask` for bytes that are in memory already; `name` is used in messages."""
    raster = decode_raster(data, name)
    values = raster.values
    planes = values[..., None] if values.ndim == 2 else values
    if raster.indices is not None and _is_flat(raster):
        raise InputError(
            f"{name} is not a binary mask: all entries of its palette have one colour. Save it as "
            "a grey PNG of 0 and 255."
        )
    if raster.alpha is not None and (raster.alpha != raster.alpha.flat[0]).any():
        return _by_palette(_painted(planes, raster.alpha, name), raster, name)
    if raster.key is not None and np.any(raster.key):
        raise InputError(
            f"{name} is not a binary mask: it marks a level other than 0 as transparent. Save it "
            "without transparency."
        )
    foreground: NDArray[np.bool_] = (planes != 0).any(axis=-1)
    if not foreground.any():
        return foreground
    level = planes.reshape(-1, planes.shape[-1])[np.argmax(foreground)]
    if not (planes[foreground] == level).all():
        raise InputError(
            f"{name} is not a binary mask: it has {_levels(planes)} levels where 0 and one other "
            "are allowed. Threshold it and save it as PNG (JPEG blurs the edges)."
        )
    if foreground.all() and int(level.max()) not in (1, 255, 65535):
        raise InputError(
            f"{name} is not a binary mask: every pixel is {level.max():g}, which is neither "
            "0 nor 1 nor 255."
        )
    return _by_palette(foreground, raster, name)


def _is_flat(raster: Raster) -> bool:
    """Whether several palette entries are in use and all have one colour."""
    indices, colours = raster.indices, raster.values
    return bool((colours == colours[:1, :1]).all() and (indices != indices.flat[0]).any())  # type: ignore[union-attr]


def _by_palette(foreground: NDArray[np.bool_], raster: Raster, name: str) -> NDArray[np.bool_]:
    """The foreground; InputError where it is entry 0 of a palette and others are the background."""
    if raster.indices is None or foreground.all() or not (foreground & (raster.indices == 0)).any():
        return foreground
    raise InputError(
        f"{name} is not a binary mask: entry 0 of its palette, the background of most masks, is "
        "the bright or opaque one. Save it as a grey PNG in which the lesion is 255."
    )


def _painted(planes: NDArray[Any], alpha: NDArray[np.uint8], name: str) -> NDArray[np.bool_]:
    """The foreground of a mask painted on transparency: one colour and one alpha, else 0."""
    painted: NDArray[np.bool_] = alpha != 0
    one_alpha = (alpha[painted] == alpha[painted][0]).all()
    if not one_alpha or not (planes[painted] == planes[painted][0]).all():
        raise InputError(
            f"{name} is not a binary mask: it has transparency and several levels besides. Save "
            "it as a grey PNG of 0 and 255, without transparency."
        )
    return painted


def _levels(planes: NDArray[Any]) -> int:
    return len(np.unique(planes.reshape(-1, planes.shape[-1]), axis=0))
