"""Which tokens a text tower reads."""

from pathlib import Path

from causalseg.encoders.config import BertConfig, TextConfig
from causalseg.encoders.foreign import read_vocabulary
from causalseg.encoders.weights import model_files, pretrained_as
from causalseg.errors import InputError
from causalseg.text.readers.clip import ClipTokens
from causalseg.text.readers.wordpiece import WordPiece, end_last


def text_reader(
    config: TextConfig | BertConfig, weights: str, context_length: int
) -> ClipTokens | WordPiece:
    """What turns sentences into the tokens of a text tower.

    Args:
        config: of the text tower.
        weights: as of `initialise`; a BERT's vocabulary stands beside its weights, or it is a
            `vocab.txt` itself.
        context_length: tokens of a sentence at most.

    Raises:
        InputError: a BERT's vocabulary is absent or does not fit.

    """
    if isinstance(config, TextConfig):
        return ClipTokens(context_length)
    path = Path(weights)
    if path.is_file() and path.suffix == ".safetensors":
        given = (pretrained_as(path) or {}).get("vocabulary")
        if not isinstance(given, str):
            raise InputError(f"{path} has no WordPiece vocabulary; give the folder of a BERT.")
        return WordPiece(given, context_length)
    if path.is_file():
        words = read_vocabulary(lambda name: path if name == "vocab.txt" else None, weights)
    elif path.is_dir() or weights.partition(":")[0] in ("hf", "open_clip"):
        words = read_vocabulary(model_files(weights), weights)
    else:
        raise InputError(
            f"a BERT reads its own tokens and {weights!r} has no vocabulary of them: give the "
            "folder of a BERT with its vocab.txt, or hf:ORG/NAME."
        )
    if len(words) > config.vocabulary:
        raise InputError(
            f"{weights} has {len(words)} words and this text tower {config.vocabulary}."
        )
    return WordPiece(end_last(words), context_length)


def vocabulary_of(reader: ClipTokens | WordPiece) -> dict[str, str]:
    """What a file of weights must say of its reader for `text_reader` to make it again."""
    return {"vocabulary": reader.vocabulary} if isinstance(reader, WordPiece) else {}
