"""CLIP's byte-pair tokens, between [SOS] and [EOS]."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalseg.errors import InputError
from causalseg.text.readers.base import TextReader
from causalseg.text.tokenizer import cut_text, token_lengths, tokenize

if TYPE_CHECKING:
    from torch import Tensor


LONGEST = 1024
"""Largest context length; no CLIP has as many positions."""


@dataclass(frozen=True)
class ClipTokens(TextReader):
    """Reads a sentence as CLIP does: [SOS], tokens, [EOS] (the highest id), then zeros.

    A sentence of more than `context_length` tokens loses its end and keeps [EOS].

    Raises InputError for a length that leaves no room for a token.
    """

    context_length: int = 20
    """L: tokens of a sentence, [SOS] and [EOS] among them."""
    name: ClassVar[str] = "clip"

    def __post_init__(self) -> None:
        length: object = self.context_length
        if not isinstance(length, int) or isinstance(length, bool) or not 3 <= length <= LONGEST:
            raise InputError(
                f"context_length must be a whole number from 3 to {LONGEST}, not {length!r}."
            )

    @property
    def limit(self) -> int:
        """L."""
        return self.context_length

    def __call__(self, texts: Sequence[str]) -> "Tensor":
        """B sentences -> (B, L) int64."""
        return tokenize(texts, self.context_length)

    def lost(self, text: str) -> str:
        """What `tokenize` would cut off."""
        return cut_text(text, self.context_length)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each sentence, [SOS] and [EOS] counted."""
        return token_lengths(texts)
