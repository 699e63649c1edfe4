"""Several data sets as domains: pooled sources, their hold-out, and an unseen target."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from causalseg.data.datamodule import DataConfig, LViTDataModule
from causalseg.data.dataset import Sample, SegmentationDataset
from causalseg.data.lvit import read_lvit, splits_of
from causalseg.data.manifest import SPLITS, Manifest, Problem, Record, Split
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError

Sharing = Literal["none", "images"]


def find_domains(roots: Sequence[str]) -> dict[str, Path]:
    """Folder name -> root of each domain; only looks at folders, opens no file.

    Raises:
        InputError: fewer than two, a root is not a data set or lacks a Val_Folder (hold-out), or
            two have the same name.

    """
    domains: dict[str, Path] = {}
    for text in roots:
        root = Path(text)
        if "val" not in splits_of(root):
            raise InputError(f"{root} has no Val_Folder, which the hold-out of a source needs.")
        name = root.resolve().name
        if name in domains:
            raise InputError(f"two domains are called {name}: {domains[name]} and {root}.")
        domains[name] = root
    if len(domains) < 2:
        raise InputError("leave-one-domain-out needs at least two domains: --data.domains A,B,...")
    return domains


def roles(root: Path, sharing: Sharing) -> dict[str, tuple[Split, ...]]:
    """Which splits serve which role.

    Domains of different patients (`none`): a source trains on all but its Val_Folder, which is
    the hold-out; a target is scored on everything it has. Copies of the same images (`images`):
    train on Train_Folder, hold out Val_Folder, score Test_Folder, so that no image is in two roles.
    """
    present = splits_of(root)
    if sharing == "images":
        return {"train": ("train",), "holdout": ("val",), "target": ("test",)}
    rest: tuple[Split, ...] = tuple(s for s in SPLITS if s in present and s != "val")
    return {"train": rest, "holdout": ("val",), "target": tuple(s for s in SPLITS if s in present)}


def pool(
    roots: Sequence[Path],
    role: str,
    sharing: Sharing,
    *,
    limit: int | None = None,
    seed: int = 0,
    allow_problems: bool = False,
) -> Manifest:
    """The records of a role of several domains as one manifest.

    Args:
        roots: the folders of the domains.
        role: "train", "holdout" or "target".
        sharing: see `roles`.
        limit: at most this many of each domain, chosen by a shuffle with the seed.
        seed: decides which records the limit keeps.
        allow_problems: leave out what has errors instead of raising.

    """
    records: list[Record] = []
    left_out: list[Problem] = []
    for root in roots:
        parts = [
            read_lvit(root, split, allow_problems=allow_problems)
            for split in roles(root, sharing)[role]
        ]
        whole = replace(parts[0], records=tuple(r for part in parts for r in part.records))
        records += whole.limit(limit, seed).records
        left_out += [problem for part in parts for problem in part.left_out]
    parent = Path(os.path.commonpath([root.resolve() for root in roots]))
    split: Split = "val" if role == "holdout" else "train" if role == "train" else "test"
    return Manifest(parent, split, tuple(records), tuple(left_out))


def colour_and_blur(image: Tensor, rng: np.random.Generator) -> Tensor:
    """A colour cast, brightness, and in half of the cases a blur.

    Args:
        image: (3, S, S) in 0..1.
        rng: where the random numbers come from.

    Returns:
        (3, S, S) in 0..1.

    """
    gains = rng.uniform(0.6, 1.4) * rng.uniform(0.75, 1.25, size=3)
    blurred, sigma = rng.random() < 0.5, rng.uniform(0.3, 0.02 * image.shape[-1] + 0.3)
    out = (image * torch.from_numpy(gains.astype(np.float32)).view(3, 1, 1)).clamp(0, 1)
    if not blurred:
        return out
    pixels = (out * 255).round().byte().permute(1, 2, 0).numpy()
    soft = np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))
    return torch.from_numpy(soft).permute(2, 0, 1).float() / 255


class DomainDataset(SegmentationDataset):
    """A view of a data set for one run: shares its pixels, has a seed and options of its own.

    Args:
        base: the decoded records.
        seed: decides the augmentation.
        text: for every record instead of its own caption, or None.
        photometric: add `colour_and_blur` to every item.

    """

    def __init__(
        self,
        base: SegmentationDataset,
        *,
        seed: int,
        text: str | None = None,
        photometric: bool = False,
    ) -> None:
        vars(self).update(vars(base))
        self.seed = seed
        self.text = text
        self._read_text()
        self.photometric = photometric

    def prepared_for(self, preprocessing: Preprocessing) -> Self:
        """As of the base."""
        view = super().prepared_for(preprocessing)
        view._read_text()
        return view

    def _read_text(self) -> None:
        given = None if self.text is None else self.preprocessing.tokens([self.text])[0]
        self.same_tokens: Tensor | None = given

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """The base's item, with the options applied."""
        item = super().__getitem__(key)
        if self.same_tokens is not None:
            item["tokens"] = self.same_tokens
        if self.photometric:
            epoch, index = key if isinstance(key, tuple) else (self.epoch, key)
            rng = np.random.default_rng((self.seed, epoch, index, 1))
            mean, std = (
                torch.tensor(values).view(3, 1, 1)
                for values in (self.preprocessing.mean, self.preprocessing.std)
            )
            changed = colour_and_blur(item["image"] * std + mean, rng)
            item["image"] = self.preprocessing.normalise(changed)
        return item


class DomainDataModule(LViTDataModule):
    """Serves given data sets: pooled sources for training, their hold-out for validation."""

    def __init__(self, config: DataConfig, datasets: Mapping[Split, SegmentationDataset]) -> None:
        super().__init__(config)
        self._datasets = dict(datasets)
        self.manifests = {split: dataset.manifest for split, dataset in datasets.items()}
