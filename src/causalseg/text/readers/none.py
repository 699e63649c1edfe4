"""The reader of models that see the image alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalseg.text.readers.base import TextReader

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NoText(TextReader):
    """Reads nothing: (B, 0). No text is lost, because none is used."""

    name: ClassVar[str] = "none"

    limit: ClassVar[None] = None

    def __call__(self, texts: Sequence[str]) -> "Tensor":
        """B sentences -> (B, 0) int64."""
        import torch

        return torch.zeros(len(texts), 0, dtype=torch.int64)

    def lost(self, text: str) -> str:  # noqa: ARG002
        """Nothing."""
        return ""

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Zeros."""
        return [0] * len(texts)
