"""Anybody's predictions: a folder of masks or probability maps, one file per image."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.data.images import read_mask, read_values
from causalseg.data.manifest import Record
from causalseg.errors import InputError
from causalseg.evaluation.metrics import BoolArray
from causalseg.inference.maps import foreground, resize_map

Probability = NDArray[np.float32]
_ENDINGS = frozenset({".png", ".tif", ".tiff", ".bmp", ".npy"})
_NAMED = 5  # how many missing files a message names


@dataclass(frozen=True)
class Prediction:
    """A predicted mask (h, w) of any size, and the probabilities it came from, if known."""

    mask: BoolArray
    probability: Probability | None = None
    threshold: float = 0.5

    @classmethod
    def of_probability(cls, probability: Probability, threshold: float) -> "Prediction":
        """Foreground where the probability is at least the threshold."""
        return cls(foreground(probability, threshold), probability, threshold)

    def at(self, shape: tuple[int, int]) -> "Prediction":
        """The prediction at another size: probabilities bilinear, bare masks nearest."""
        if self.mask.shape == shape:
            return self
        if self.probability is not None:
            return self.of_probability(resize_map(self.probability, shape), self.threshold)
        picture = Image.fromarray(self.mask.astype(np.uint8))
        resized = picture.resize((shape[1], shape[0]), Image.Resampling.NEAREST)
        return Prediction(np.asarray(resized) > 0)


def find_predictions(folder: Path, records: Iterable[Record]) -> dict[str, Path]:
    """The prediction file of each record, by the mask's or the image's name without its ending.

    Raises:
        InputError: the folder is absent, a prediction is missing, or two files claim one record.

    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the folder that holds the predictions.")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _ENDINGS:
            files.setdefault(path.stem, []).append(path)
    found: dict[str, Path] = {}
    missing: list[str] = []
    for record in records:
        stems = dict.fromkeys([Path(record.name).stem, record.image.stem])
        claims = [path for stem in stems for path in files.get(stem, [])]
        if len(claims) > 1:
            names = " and ".join(path.name for path in claims)
            raise InputError(f"{names} in {folder} are both predictions of {record.name}: keep one")
        if claims:
            found[record.name] = claims[0]
        else:
            missing.append(record.name)
    if missing:
        some = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        raise InputError(
            f"{len(missing)} of {len(missing) + len(found)} predictions are missing in {folder}: "
            f"{some}; a file is named like the mask, as PNG, TIFF, BMP or NPY."
        )
    return found


def read_prediction(path: Path, *, probabilities: bool, threshold: float) -> Prediction:
    """Read one prediction.

    Args:
        path: an image file or .npy, (h, w).
        probabilities: the file holds probabilities: 8 bit / 255, 16 bit / 65535, float as it is.
            Otherwise it must be binary, since thresholding silently would hide a mistake.
        threshold: applied to probabilities.

    Raises:
        InputError: unreadable, not two-dimensional, not binary, or outside [0, 1].

    """
    if path.suffix.lower() != ".npy" and not probabilities:
        return Prediction(read_mask(path))
    array = _read_array(path)
    if array.ndim != 2:
        raise InputError(f"{path} has shape {array.shape}; a prediction is (height, width).")
    if not probabilities:
        if not np.isin(array, (0, 1, 255)).all() or len(np.unique(array)) > 2:
            raise InputError(
                f"{path} is not binary: give --probabilities if these files are probability maps."
            )
        return Prediction(array > 0)
    if np.issubdtype(array.dtype, np.integer):
        array = array / np.iinfo(array.dtype).max
    values = array.astype(np.float32)
    if not (values.min() >= 0 and values.max() <= 1):
        raise InputError(f"{path} holds values outside 0..1 or NaN; apply the sigmoid first.")
    return Prediction.of_probability(values, threshold)


def _read_array(path: Path) -> NDArray[Any]:
    if path.suffix.lower() != ".npy":
        return read_values(path)
    try:
        # Mapped, so that a header which claims more than the file holds costs nothing.
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses the header, and may raise anything.
        raise InputError(f"{path} cannot be read as a prediction: {error}.") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path} is an array of {array.dtype}, not of numbers.")
    return array.astype(np.uint8) if array.dtype == np.bool_ else array
