"""The confounder dictionary Z: domain prompts through CLIP's text encoder, or a control."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from causalseg.encoders.config import encoder_config
from causalseg.encoders.tokens import text_reader
from causalseg.encoders.tower import SentenceTower
from causalseg.errors import InputError
from causalseg.files import write_bytes
from causalseg.inputs import one_line, read_json
from causalseg.models.mcdrl.prompts import Prompts
from causalseg.text.batch import cut_at_eos
from causalseg.text.readers.clip import ClipTokens
from causalseg.text.readers.wordpiece import WordPiece

DICTIONARY_FORMAT = "causalseg-confounders-1"

IRRELEVANT = (
    "a red bicycle leans against a brick wall",
    "two dogs run along a sandy beach",
    "a bowl of oranges on a wooden table",
    "an old train crosses a stone bridge",
    "children play football in a park",
    "a black cat sleeps on a sofa",
    "snow covers the roof of a farmhouse",
    "a violin lies beside its open case",
    "a crowded market street in the rain",
    "a sailing boat on a calm lake",
    "fresh bread in a baker's window",
    "a hot air balloon over green hills",
    "a bookshelf full of novels",
    "a lighthouse at the end of a pier",
    "a field of sunflowers at noon",
    "a tram stops at a busy corner",
)
"""Sentences that are not medical, for the control of that name."""


@dataclass(frozen=True)
class Dictionary:
    """Prompts and their vectors."""

    encoder: str
    weights: str
    """Where the text encoder's weights came from."""
    fingerprint: str
    """SHA-256 of the text encoder's weights."""
    prompts: tuple[str, ...]
    vectors: Tensor
    """(M, d) float32, as the text encoder gives them (not normalised)."""


def fingerprint(tower: nn.Module) -> str:
    """SHA-256 over names and float32 values of a module's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tower.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def embed(tower: SentenceTower, reader: ClipTokens | WordPiece, sentences: list[str]) -> Tensor:
    """Text embeddings (n, d) of sentences.

    Args:
        tower: which encodes them.
        reader: of the tower's tokens, as long as its positions.
        sentences: n of them.

    Raises:
        InputError: a sentence exceeds the text encoder's positions (nothing is cut).

    """
    for sentence, length in zip(sentences, reader.lengths(sentences), strict=True):
        if length > reader.limit:
            raise InputError(
                f"the prompt {sentence!r} has {length} tokens; at most {reader.limit} fit."
            )
    vectors: Tensor = tower.eval()(cut_at_eos(reader(sentences)))
    return vectors


def sentences_for(kind: str, template: str, prompts: Prompts, seed: int) -> list[str]:
    """The sentences of a dictionary made of text: `text`, `shuffled` or `irrelevant`."""
    if template == "domain":
        proper = prompts.domain_sentences()
    else:
        proper = [s for row in prompts.class_domain_sentences() for s in row]
    if kind == "irrelevant":
        cycles = -(-len(proper) // len(IRRELEVANT))
        pool = [s if i == 0 else f"{s}, number {i}" for i in range(cycles) for s in IRRELEVANT]
        return pool[: len(proper)]
    return proper if kind == "text" else shuffle_words(proper, seed)


def shuffle_words(sentences: list[str], seed: int) -> list[str]:
    """All words of all sentences, permuted; each sentence keeps its number of words."""
    words = [word for sentence in sentences for word in sentence.split()]
    order = torch.randperm(len(words), generator=torch.Generator().manual_seed(seed)).tolist()
    mixed = iter([words[i] for i in order])
    return [" ".join(next(mixed) for _ in sentence.split()) for sentence in sentences]


def gaussian(count: int, like: Tensor, seed: int) -> Tensor:
    """Random vectors (count, d) with the mean norm of `like` (n, d)."""
    noise = torch.randn(count, like.shape[1], generator=torch.Generator().manual_seed(seed))
    scaled: Tensor = noise * (like.norm(dim=1).mean() / like.shape[1] ** 0.5)
    return scaled


def build_dictionary(
    encoder: str, weights: str, tower: SentenceTower, prompts: Prompts, template: str = "domain"
) -> Dictionary:
    """Z for the domain prompts."""
    sentences = sentences_for("text", template, prompts, 0)
    reader = text_reader(tower.config, weights, tower.config.context_length)
    vectors = embed(tower, reader, sentences)
    return Dictionary(encoder, weights, fingerprint(tower), tuple(sentences), vectors)


def save_dictionary(path: Path, dictionary: Dictionary) -> None:
    """Write a dictionary as readable JSON, whole or not at all."""
    vectors = dictionary.vectors.tolist()
    content = {
        "format": DICTIONARY_FORMAT,
        "encoder": dictionary.encoder,
        "weights": dictionary.weights,
        "text_encoder_sha256": dictionary.fingerprint,
        "embedding": dictionary.vectors.shape[1],
        "vectors": dict(zip(dictionary.prompts, vectors, strict=True)),
    }
    head, _, body = json.dumps(content).partition('"vectors": {')
    body = body.replace('], "', '],\n  "').replace("]}}", "]\n}}\n")
    write_bytes(path, f'{head}"vectors": {{\n  {body}'.encode())


def load_dictionary(path: Path) -> Dictionary:
    """Read a dictionary.

    Raises:
        InputError: the file is absent, no JSON, of another format, or its vectors differ in size.

    """
    if not path.exists():
        raise InputError(f"there is no dictionary {path}; build it: causalseg confounders.")
    content = read_json(path)
    if content.get("format") != DICTIONARY_FORMAT:
        raise InputError(f"{path} is not a dictionary written by 'causalseg confounders build'.")
    encoder, weights, digest, table = (
        content.get(name) for name in ("encoder", "weights", "text_encoder_sha256", "vectors")
    )
    if not isinstance(encoder, str) or not isinstance(weights, str) or not isinstance(digest, str):
        raise InputError(f"{path} is damaged: encoder and weights must be texts; build it again.")
    try:
        vectors = torch.tensor(list(table.values()), dtype=torch.float32)  # type: ignore[union-attr]
    except (AttributeError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({one_line(error)}); build it again.") from None
    good = vectors.ndim == 2 and bool(vectors.isfinite().all())
    dictionary = Dictionary(encoder, weights, digest, tuple(table or ()), vectors)
    if not good or vectors.shape[1] != encoder_config(dictionary.encoder).embedding:
        raise InputError(f"the vectors of {path} do not fit encoder {dictionary.encoder}.")
    return dictionary
