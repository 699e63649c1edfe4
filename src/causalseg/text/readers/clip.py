"""CLIP's byte-pair tokens, between [SOS] and [EOS]."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from causalseg.text.readers.base import TextReader, check_context
from causalseg.text.tokenizer import cut_text, token_lengths, tokenize

if TYPE_CHECKING:
    from torch import Tensor


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
        check_context(self.context_length)

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
