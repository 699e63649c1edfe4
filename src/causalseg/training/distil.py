"""Teach a trained text tower what other wordings mean, from sentences alone.

The teacher is the model itself, reading the captions it was trained on; the student is a copy of
its text tower, which learns to give another wording of a caption the caption's own encoding. No
image and no mask is needed, and what the model does for its own captions hardly moves.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from causalseg.errors import InputError
from causalseg.models.base import SegmentationModel
from causalseg.text.readers.base import TextReader

Progress = Callable[[int, float], None]
"""Called after each step with its number, from 1, and its error."""
Pairs = Callable[[np.random.Generator], tuple[str, str]]
"""Draws a sentence and the caption that means the same."""
OWN = 1.0
"""Captions that the student reads as they are, so as not to forget them, for each sentence."""


@dataclass(frozen=True, kw_only=True)
class DistilConfig:
    """How long the text tower is taught."""

    steps: int = 2000
    """Optimisation steps."""
    batch_size: int = 96
    """Sentences a step."""
    lr: float = 1e-3
    """Highest learning rate: a tenth of the steps up to it, then a cosine down to 0."""
    weight_decay: float = 0.01
    seed: int = 0
    held_out: int = 1000
    """Sentences that are never trained on, to measure by."""


@dataclass(frozen=True)
class DistilReport:
    """How well the held-out sentences are understood, before and after."""

    config: DistilConfig
    nearest_before: float
    """Share of sentences whose encoding is nearest to that of their own caption."""
    nearest_after: float
    error_before: float
    """Squared distance to the caption's encoding, as a share of the captions' variance."""
    error_after: float


def distil_text(
    model: SegmentationModel,
    reader: TextReader,
    pairs: Pairs,
    config: DistilConfig,
    progress: Progress | None = None,
) -> DistilReport:
    """Teach `model`'s text tower in place.

    Args:
        model: trained; only what `encode_text` uses of it changes.
        reader: of the model, with room for the longer sentences.
        pairs: draws a sentence and its caption.
        config: how long, and with which rate.
        progress: told about each step.

    Raises:
        InputError: the model has no text tower of its own that could be taught.

    """
    taught = [
        p for name, p in model.named_parameters() if name.partition(".")[0] in model.text_parts
    ]
    if not taught:
        raise InputError(f"{type(model).__name__} has no text tower that could be taught.")
    teacher = copy.deepcopy(model).eval().requires_grad_(False)
    rng = np.random.default_rng(config.seed)
    held = _distinct(pairs, np.random.default_rng((config.seed, 1)), config.held_out)
    captions = sorted({caption for _, caption in held})
    known = _encode(teacher, reader, captions)
    variance = float(known.var(0).mean())
    before = _measure(model, reader, held, captions, known)
    unseen = {sentence for sentence, _ in held}
    optimizer = torch.optim.AdamW(
        taught, lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.lr, total_steps=config.steps, pct_start=0.1
    )
    model.train()
    for step in range(1, config.steps + 1):
        drawn = [p for p in (pairs(rng) for _ in range(config.batch_size)) if p[0] not in unseen]
        sentences, meant = (list(column) for column in zip(*drawn, strict=True))
        own = meant[: round(OWN * len(meant))]
        target = _encode(teacher, reader, meant + own)
        tokens = reader(sentences + own)
        error = nn.functional.mse_loss(_single(model.encode_text(tokens)), target) / variance
        optimizer.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(taught, 1.0)
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step, float(error.detach()))
    model.eval()
    after = _measure(model, reader, held, captions, known)
    return DistilReport(config, before[0], after[0], before[1], after[1])


def _single(text: Tensor | tuple[Tensor, ...]) -> Tensor:
    if isinstance(text, Tensor):
        return text
    raise InputError("only a model whose sentence becomes one vector can be taught wordings.")


@torch.no_grad()
def _encode(model: SegmentationModel, reader: TextReader, texts: Sequence[str]) -> Tensor:
    """(N, T): each distinct text is encoded once."""
    distinct = sorted(set(texts))
    row = {text: i for i, text in enumerate(distinct)}
    return _single(model.encode_text(reader(distinct)))[[row[text] for text in texts]]


def _distinct(pairs: Pairs, rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """About `count` pairs, each sentence once."""
    return list(
        {sentence: (sentence, c) for sentence, c in (pairs(rng) for _ in range(count))}.values()
    )


def _measure(
    model: SegmentationModel,
    reader: TextReader,
    held: Sequence[tuple[str, str]],
    captions: Sequence[str],
    known: Tensor,
) -> tuple[float, float]:
    """Share of sentences nearest to their own caption, and their error over the variance."""
    found = _encode(model, reader, [sentence for sentence, _ in held])
    index = torch.tensor([captions.index(caption) for _, caption in held])
    nearest = torch.cdist(found, known).argmin(1)
    error = (found - known[index]).square().mean() / known.var(0).mean()
    return float((nearest == index).float().mean()), float(error)
