"""CLIP's byte-pair encoding, run by the `tokenizers` library on CLIP's own vocabulary file.

The vocabulary and its order are those of OpenAI CLIP (MIT, see assets/CLIP_VOCABULARY_LICENSE.txt):
256 byte symbols, the same 256 with the end-of-word mark, 48 894 merges, [SOS] and [EOS].
The special tokens have no spelling: "<end_of_text>" within a text is read as plain text.
"""

import gzip
import html
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from causalseg.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
VOCABULARY_SIZE = 49408
MERGES = VOCABULARY_SIZE - 2 * 256 - 2
SOS = 49406
EOS = 49407
# Words are letters, single digits, or runs of anything else; English contractions stand alone.
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def tokenize(texts: str | Sequence[str], context_length: int = 20) -> "Tensor":
    """Turn texts into CLIP token ids.

    Args:
        texts: one text or B texts. The empty text is allowed and is [SOS][EOS].
        context_length: L, the width of the result; a longer text is cut and keeps [EOS] as its
            last token. `cut_text` tells what is lost.

    Returns:
        (B, L) int64; [SOS] = 49406 first, [EOS] = 49407 last, then zeros.

    Raises:
        InputError: context_length below 2, or a text that is not a string.

    """
    import torch

    _check_length(context_length)
    tokens = torch.zeros(len(_as_list(texts)), context_length, dtype=torch.int64)
    for row, text in enumerate(_as_list(texts)):
        ids = (SOS, *_encode(text)[0][: context_length - 2], EOS)
        tokens[row, : len(ids)] = torch.tensor(ids)
    return tokens


def token_lengths(texts: str | Sequence[str]) -> list[int]:
    """Number of tokens of each text, uncut, [SOS] and [EOS] counted."""
    return [len(_encode(text)[0]) + 2 for text in _as_list(texts)]


def cut_text(text: str, context_length: int) -> str:
    """The end of the (cleaned, lower-case) text that `tokenize` would cut off; "" if none."""
    _check_length(context_length)
    starts = _encode(text)[1]
    kept = context_length - 2
    return clean(text)[starts[kept] :] if len(starts) > kept else ""


def clean(text: str) -> str:
    """CLIP's cleaning: mend mis-decoded Unicode, unescape HTML twice, one space, lower case."""
    if not isinstance(text, str):
        raise InputError(f"a text must be a string, not {type(text).__name__}: {text!r}.")
    return " ".join(html.unescape(html.unescape(_mended(text))).split()).lower()


def _mended(text: str) -> str:
    if text.isascii() and text.isprintable() and "&" not in text:
        return text  # ftfy would change nothing, and takes a while to import
    import ftfy

    mended: str = ftfy.fix_text(text)
    return mended


def _as_list(texts: str | Sequence[str]) -> Sequence[str]:
    return [texts] if isinstance(texts, str) else texts


def _check_length(context_length: int) -> None:
    if context_length < 2:
        raise InputError(
            f"context_length is {context_length}, but [SOS] and [EOS] alone take 2; "
            "give at least 3 for any text to be read."
        )


def _encode(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Token ids without [SOS] and [EOS], and where each starts in the cleaned text."""
    often = not isinstance(text, str) or len(text) <= _OFTEN  # What is not text is refused there.
    return _encode_often(text) if often else _encode_once(text)


# A data set repeats few captions over many images, so most calls are answered from here. Long
# texts come from outside: they would fill memory and rarely come again.
_OFTEN = 256


@lru_cache(maxsize=1 << 13)
def _encode_often(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return _encode_once(text)


def _encode_once(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    encoding = _tokenizer().encode(clean(text), add_special_tokens=False)
    return tuple(encoding.ids), tuple(start for start, _ in encoding.offsets)


def _byte_symbols() -> list[str]:
    """One printable character for each byte, in CLIP's order: printable Latin-1 bytes first."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printable))
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


@lru_cache(maxsize=1)
def _tokenizer() -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    packed = files("causalseg.assets").joinpath(VOCABULARY).read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").split("\n", MERGES + 1)[1 : MERGES + 1]
    merges = [(pair[0], pair[1]) for pair in map(str.split, lines)]
    symbols = _byte_symbols()
    entries = symbols + [symbol + "</w>" for symbol in symbols]
    entries += [first + second for first, second in merges]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>", fuse_unk=False)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
