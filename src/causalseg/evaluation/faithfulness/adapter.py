"""The three methods through which the faithfulness suite can test any text-guided model.

    class MyModel:
        def encode(self, image):            # uint8 (H, W) or (H, W, 3)
            return my_net.image_features(image)
        def probabilities(self, encoded, texts):   # T texts, "" among them
            return my_net.maps(encoded, texts)     # float (T, h, w) in [0, 1]
        def threshold(self):
            return 0.5

`causalseg faithfulness --model my_model.py:MyModel --data ROOT --out DIR` runs it. `encode` is
called once per image; where a model fuses early and nothing can be shared, it may return the image
itself.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from causalseg.errors import InputError
from causalseg.inference.encoded import EncodedImages
from causalseg.inference.segmenter import Segmenter

METHODS = ("encode", "probabilities", "threshold")


class TextSegmenter(Protocol):
    """What the suite asks of a model."""

    def encode(self, image: NDArray[np.uint8]) -> Any:
        """Encode whatever several texts can share of an image, uint8 (H, W) or (H, W, 3)."""
        ...

    def probabilities(self, encoded: Any, texts: Sequence[str]) -> NDArray[np.float32]:
        """Foreground probability (T, h, w) in [0, 1] under each of T texts, "" included."""
        ...

    def threshold(self) -> float:
        """A pixel is foreground where its probability is at least this."""
        ...


class SegmenterAdapter:
    """Our own models as a `TextSegmenter`."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def encode(self, image: NDArray[np.uint8]) -> EncodedImages:
        """What all texts of an image share."""
        return self._segmenter.encode([image])

    def probabilities(self, encoded: EncodedImages, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities (T, S, S) of one image under T texts."""
        return self._segmenter.probabilities(encoded, texts)

    def threshold(self) -> float:
        """The checkpoint's threshold."""
        return self._segmenter.threshold


def load_adapter(name: str, device: str = "cpu", *, flip: bool = False) -> TextSegmenter:
    """A checkpoint of ours, or `FILE.py:NAME` where NAME() makes a model with the three methods.

    Naming a Python file runs it: name only files you trust.

    Args:
        name: of the checkpoint or class.
        device: of a checkpoint.
        flip: see `Segmenter.load`; for checkpoints alone.

    Raises:
        InputError: no such file or name, a method is missing, or `flip` with a class.

    """
    file, colon, attribute = name.rpartition(":")
    if not (colon and file.endswith(".py")):
        return SegmenterAdapter(Segmenter.load(name, device=device, flip=flip))
    if flip:
        raise InputError("--flip is for checkpoints: your own class can flip by itself.")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"{path} is not a Python file: give FILE.py:NAME.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise InputError(f"{path} has no {attribute!r}: give FILE.py:NAME.")
    model: TextSegmenter = getattr(module, attribute)()
    missing = [method for method in METHODS if not callable(getattr(model, method, None))]
    if missing:
        raise InputError(f"{name} lacks the method(s) {', '.join(missing)} of the adapter.")
    return model
