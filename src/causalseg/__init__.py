"""Text-guided medical image segmentation with causal intervention.

The public names load on first use, so that `import causalseg` stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from causalseg.version import __version__

if TYPE_CHECKING:
    from causalseg.inference.segmentation import Segmentation
    from causalseg.inference.segmenter import Segmenter
    from causalseg.models.registry import build_model
    from causalseg.text.tokenizer import tokenize

__all__ = ["Segmentation", "Segmenter", "__version__", "build_model", "tokenize"]

_HOMES = {
    "Segmentation": "causalseg.inference.segmentation",
    "Segmenter": "causalseg.inference.segmenter",
    "build_model": "causalseg.models.registry",
    "tokenize": "causalseg.text.tokenizer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'causalseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
