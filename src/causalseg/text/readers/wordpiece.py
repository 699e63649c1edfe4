"""BERT's WordPiece tokens, between [CLS] and [SEP]."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from causalseg.errors import InputError
from causalseg.text.readers.base import TextReader, check_context
from causalseg.text.tokenizer import clean

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from torch import Tensor

START, END, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"


def end_last(words: Sequence[str]) -> str:
    """A vocabulary as `WordPiece` keeps it: one word a line, [SEP] the last.

    So the end of a sentence is its highest id, as it is among CLIP's tokens, and all that asks
    where a sentence ends has one answer. `encoders.foreign` moves the embedding's row alike.
    """
    return "\n".join([*(word for word in words if word != END), END])


@dataclass(frozen=True)
class WordPiece(TextReader):
    """Reads a sentence as an uncased BERT does: [CLS], tokens, [SEP] (the highest id), then zeros.

    A sentence of more than `context_length` tokens loses its end and keeps [SEP].

    Raises InputError for a length that leaves no room for a token, or no vocabulary of that kind.
    """

    vocabulary: str = field(repr=False)
    """One word a line, [SEP] the last; it travels in the checkpoint. Of `end_last`."""
    context_length: int = 20
    """L: tokens of a sentence, [CLS] and [SEP] among them."""
    name: ClassVar[str] = "wordpiece"

    def __post_init__(self) -> None:
        check_context(self.context_length)
        given: object = self.vocabulary
        words = given.split("\n") if isinstance(given, str) else []
        if not {START, UNKNOWN} < set(words) or words[-1] != END or len(set(words)) < len(words):
            raise InputError(
                f"a WordPiece vocabulary needs {START}, {UNKNOWN} and {END}, and each word once."
            )
        capitals = [w for w in words if any("A" <= c <= "Z" for c in w) and w[0] + w[-1] != "[]"]
        if capitals:
            raise InputError(
                f"the WordPiece vocabulary has capitals ({capitals[0]!r}) and sentences are "
                "lower-cased; take that of an uncased BERT."
            )

    @property
    def limit(self) -> int:
        """L."""
        return self.context_length

    def __call__(self, texts: Sequence[str]) -> "Tensor":
        """B sentences -> (B, L) int64."""
        import torch

        tokenizer = _tokenizer(self.vocabulary)
        start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
        tokens = torch.zeros(len(texts), self.context_length, dtype=torch.int64)
        for row, text in enumerate(texts):
            ids = (start, *self._encode(text).ids[: self.context_length - 2], end)
            tokens[row, : len(ids)] = torch.tensor(ids)
        return tokens

    def lost(self, text: str) -> str:
        """The end of the cleaned, lower-case sentence that does not fit; "" where all is read."""
        starts, kept = self._encode(text).offsets, self.context_length - 2
        return clean(text)[starts[kept][0] :] if len(starts) > kept else ""

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each sentence, [CLS] and [SEP] counted."""
        return [len(self._encode(text).ids) + 2 for text in texts]

    def _encode(self, text: str) -> "Encoding":
        return _tokenizer(self.vocabulary).encode(clean(text), add_special_tokens=False)


@lru_cache(maxsize=4)
def _tokenizer(vocabulary: str) -> "Tokenizer":
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    numbers = {word: number for number, word in enumerate(vocabulary.split("\n"))}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer
