"""Images, masks and tokens of one split, decoded and resized once."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from causalseg.data.augment import AugmentConfig, affine, draw, tone_curve
from causalseg.data.manifest import Manifest
from causalseg.data.pixels import load_pixels
from causalseg.data.preprocessing import Preprocessing


class Item(TypedDict):
    """What a model is trained and tested on."""

    image: Tensor
    """(3, S, S) float32, normalised."""
    mask: Tensor
    """(1, S, S) float32 of 0 and 1."""
    tokens: Tensor
    """(L,) int64."""
    index: int
    """Place in `manifest.records`."""


class SegmentationDataset(Dataset[Item]):
    """A split in memory (or in a memory map), ready to be served in well under a millisecond.

    Pixels are kept as uint8 planes (N, C, S, S): one grey or three colour planes, then the mask.
    Colour planes that are equal throughout the split are kept once.

    An item is asked for by its index or by (epoch, index); the pair decides every random number
    of the augmentation, together with the seed, so that a resumed run sees the same items.
    """

    def __init__(
        self,
        manifest: Manifest,
        preprocessing: Preprocessing,
        *,
        augment: bool = False,
        seed: int = 0,
        cache: str | Path | None = None,
    ) -> None:
        """Decode every record.

        Args:
            manifest: The split.
            preprocessing: Size S, mean and std, context length L.
            augment: Flip with the caption's sides swapped, affine and tone changes.
            seed: Of the augmentation.
            cache: A folder for a memory map instead of RAM; made once for each content and size.

        """
        self.manifest = manifest
        self.preprocessing = preprocessing
        self.augment = AugmentConfig() if augment else None
        self.seed = seed
        self.epoch = 0
        self.pixels = load_pixels(manifest, preprocessing, cache)
        captions = [record.caption for record in manifest.records]
        self.tokens, self._plain, self._swapped = _token_table(
            captions, preprocessing.context_length, swap=augment
        )
        report_cut(captions, preprocessing.context_length, f"{manifest.root.name}/{manifest.split}")

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch for items that are asked for by index alone."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        """One record, by index or by (epoch, index)."""
        epoch, index = key if isinstance(key, tuple) else (self.epoch, key)
        planes = self.pixels[index]
        token_row = int(self._plain[index])
        if self.augment is None:
            pixels = torch.from_numpy(planes[:-1].astype(np.float32)).div_(255)
            mask = torch.from_numpy(planes[-1:].astype(np.float32))
        else:
            change = draw(np.random.default_rng((self.seed, epoch, index)), self.augment)
            if change.flip and self._swapped[index] >= 0:
                planes = planes[..., ::-1]
                token_row = int(self._swapped[index])
            pixels, mask = affine(tone_curve(planes[:-1], change), planes[-1:], change)
        return {
            "image": self.preprocessing.normalise(pixels),
            "mask": mask,
            "tokens": self.tokens[token_row],
            "index": index,
        }


def _token_table(
    captions: Sequence[str], context_length: int, *, swap: bool
) -> tuple[Tensor, NDArray[np.int64], NDArray[np.int64]]:
    """Tokens once for each distinct text.

    Returns:
        tokens (D, L) int64; each caption's row; each swapped caption's row, -1 where the sides
        cannot be swapped safely.

    """
    from causalseg.text.tokenizer import tokenize

    rows: dict[str, int] = {}
    plain = np.array([rows.setdefault(caption, len(rows)) for caption in captions], np.int64)
    swapped = np.full(len(captions), -1, np.int64)
    if swap:
        from causalseg.text.captions import swap_sides

        mirror = {caption: swap_sides(caption) for caption in set(captions)}
        for i, caption in enumerate(captions):
            text = mirror[caption]
            if text is not None:
                swapped[i] = rows.setdefault(text, len(rows))
    return tokenize(list(rows), context_length), plain, swapped


def report_cut(captions: Sequence[str], context_length: int, name: str) -> None:
    """Warn once, with the count and the words lost, when captions exceed the context length."""
    from causalseg.text.tokenizer import cut_text

    lost = {caption: cut_text(caption, context_length) for caption in set(captions)}
    count = sum(bool(lost[caption]) for caption in captions)
    if count:
        words = sorted({text for text in lost.values() if text})
        shown = ", ".join(repr(text) for text in words[:5]) + (", ..." if len(words) > 5 else "")
        warnings.warn(
            f"{name}: {count} of {len(captions)} captions exceed {context_length} tokens and are "
            f"cut; lost at their ends: {shown}",
            stacklevel=3,
        )
