"""Text-guided medical image segmentation with causal intervention.

    >>> from causalseg import Segmenter
    >>> result = Segmenter.load("default")("xray.png", "lower left lung")
    >>> result.mask, result.probability, result.warnings, result.save("results", "xray")

Segmenter: a trained model, ready for images and sentences.
Segmentation: its answer to one image and one sentence.
InputError: what all of it raises where something given cannot be used, in one sentence.
build_model: an untrained model by name, such as "causalclipseg" or "mcdrl".
tokenize: CLIP's tokens of a sentence.

Training, scoring, data and captions are commands first (`causalseg --help`); docs/reference/
python-api.md lists their functions. The names here load on first use, so that `import causalseg`
stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from causalseg.version import __version__

if TYPE_CHECKING:
    from causalseg.errors import InputError
    from causalseg.inference.segmentation import Segmentation
    from causalseg.inference.segmenter import Segmenter
    from causalseg.models.registry import build_model
    from causalseg.text.tokenizer import tokenize

__all__ = ["InputError", "Segmentation", "Segmenter", "__version__", "build_model", "tokenize"]

_HOMES = {
    "InputError": "causalseg.errors",
    "Segmentation": "causalseg.inference.segmentation",
    "Segmenter": "causalseg.inference.segmenter",
    "build_model": "causalseg.models.registry",
    "tokenize": "causalseg.text.tokenizer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'causalseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
