"""Images, masks and tokens of one split, decoded and resized once."""

import warnings
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Self, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from causalseg.data.augment import AugmentConfig, affine, draw_change, mirror_swap, tone_curve
from causalseg.data.manifest import Manifest
from causalseg.data.pixels import load_pixels
from causalseg.data.preprocessing import Preprocessing
from causalseg.data.rewrites import RewriteConfig, check_sides, keep
from causalseg.data.texts import TextRow, TextTable
from causalseg.text.readers.base import TextReader


class Sample(TypedDict):
    """What a model is trained and tested on."""

    image: Tensor
    """(3, S, S) float32, normalised."""
    mask: Tensor
    """(1, S, S) float32 of 0 and 1."""
    tokens: Tensor
    """(L,) int64."""
    index: int
    """Place in `manifest.records`."""


class SegmentationDataset(Dataset[Sample]):
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
        augment: bool | AugmentConfig = False,
        rewrite: RewriteConfig | None = None,
        seed: int = 0,
        cache: str | Path | None = None,
    ) -> None:
        """Decode every record.

        Args:
            manifest: The split.
            preprocessing: The model's: size S, mean and std, text reader.
            augment: Flip with the caption's sides swapped, affine and tone changes; how far and
                how often, or True for the defaults.
            rewrite: How often a caption is rewritten and its mask with it; only with `augment`.
            seed: Decides the augmentation.
            cache: A folder for a memory map instead of RAM; made once for each content and size.

        """
        self.manifest = manifest
        self.preprocessing = preprocessing
        self.augment = AugmentConfig() if augment is True else augment or None
        self.seed = seed
        self.epoch = 0
        self.pixels = load_pixels(manifest, preprocessing, cache)
        captions = [record.caption for record in manifest.records]
        used = rewrite if augment and rewrite is not None else RewriteConfig()
        self.texts = TextTable(captions, preprocessing.reader, mirror=bool(augment), rewrite=used)
        if used.one_lung > 0 or used.other_lung > 0:
            check_sides(captions, self.pixels[:, -1])
        self._report_cut()

    def prepared_for(self, preprocessing: Preprocessing) -> Self:
        """The same records for another model that takes images of the same size.

        Returns:
            A view that shares the decoded pixels, with its own normalisation and tokens.

        """
        assert preprocessing.size == self.preprocessing.size
        if preprocessing == self.preprocessing:
            return self
        view = copy(self)
        view.preprocessing = preprocessing
        view.texts = self.texts.read_by(preprocessing.reader)
        view._report_cut()
        return view

    def _report_cut(self) -> None:
        name, reader = f"{self.manifest.root.name}/{self.manifest.split}", self.preprocessing.reader
        report_cut([record.caption for record in self.manifest.records], reader, name)
        report_cut(self.texts.rewritten, reader, f"{name}, rewritten")

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch for items that are asked for by index alone."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.manifest)

    def planes(self, epoch: int, index: int) -> NDArray[np.uint8]:
        """The pixels and the mask of a record, (C + 1, S, S), before augmentation."""
        found: NDArray[np.uint8] = self.pixels[index]
        del epoch  # for data sets whose pixels change from epoch to epoch
        return found

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """One record, by index or by (epoch, index)."""
        epoch, index = key if isinstance(key, tuple) else (self.epoch, key)
        planes = self.planes(epoch, index)
        pixels, mask = planes[:-1], planes[-1:]
        row = self.texts.own[index].row
        if self.augment is None:
            image = torch.from_numpy(pixels.astype(np.float32)).div_(255)
            target = torch.from_numpy(mask.astype(np.float32))
        else:
            rng = np.random.default_rng((self.seed, epoch, index))
            change = draw_change(rng, self.augment)
            text = self.texts.draw(rng, index)
            mask, row = keep(mask, text.keeps), text.row
            chance = self.augment.mirror_swap
            if (
                chance
                and rng.random() < chance
                and text.keeps == "all"
                and text.mirrored is not None
            ):
                pixels, mask = mirror_swap(pixels, mask)
                text = TextRow(text.mirrored, text.row)
                row = text.row
            if change.flip and text.mirrored is not None:
                pixels, mask, row = pixels[..., ::-1], mask[..., ::-1], text.mirrored
            image, target = affine(tone_curve(pixels, change), mask, change)
        return {
            "image": self.preprocessing.normalise(image),
            "mask": target,
            "tokens": self.texts.tokens[row],
            "index": index,
        }


def report_cut(captions: Sequence[str], reader: TextReader, name: str) -> None:
    """Warn once, with the count and the words lost, when captions do not fit the reader."""
    lost = {caption: reader.lost(caption) for caption in set(captions)}
    count = sum(bool(lost[caption]) for caption in captions)
    if count:
        words = sorted({text for text in lost.values() if text})
        shown = ", ".join(repr(text) for text in words[:5]) + (", ..." if len(words) > 5 else "")
        warnings.warn(
            f"{name}: {count} of {len(captions)} captions exceed {reader.limit} tokens and are "
            f"cut; lost at their ends: {shown}",
            stacklevel=4,
        )
