"""Batches for training, validation and testing, the same after a resume as without a stop."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, DistributedSampler

from causalseg.data.augment import AugmentConfig
from causalseg.data.dataset import Sample, SegmentationDataset
from causalseg.data.leaks import LeakRule
from causalseg.data.lvit import read_lvit
from causalseg.data.manifest import Manifest, Split
from causalseg.data.preprocessing import Preprocessing
from causalseg.data.rewrites import RewriteConfig
from causalseg.errors import InputError
from causalseg.text.readers.clip import ClipTokens


@dataclass
class DataConfig:
    """Which data, at what size, in what batches."""

    root: str | Path
    """Folder in the LViT layout (Train_Folder, Val_Folder, Test_Folder)."""
    size: int = 224
    """Side of the square that images and masks are resized to, in pixels."""
    context_length: int = 20
    """Tokens of a caption, with start and end; longer captions are cut, counted and reported."""
    batch_size: int = 16
    """Images per batch (and device)."""
    workers: int = 0
    """Loader processes. The pixels are in memory, so 0 is right unless augmentation is slow."""
    cache: str | None = None
    """Folder for a memory map of the decoded pixels; None keeps them in RAM."""
    augment: bool = True
    """Change training images: flip with the sides swapped in the caption, scale, rotation, shift,
    gamma, contrast and brightness."""
    mirror_swap: float = 0.0
    """Probability that the lesion and the same place of the other half change sides in a training
    image, and the words left and right in its caption, while all else stays; only with `augment`.
    Against whatever tells the side without being the lesion, such as a marker."""
    rewrite: RewriteConfig = field(default_factory=RewriteConfig)
    """Rewrite training captions, and their masks with them; only with `augment`."""
    allow_problems: bool = False
    """Leave out and record what has errors, instead of refusing the data set."""
    leaks: LeakRule = "refuse"
    """Copies of images and subjects that two splits share: `refuse` the data; `leave_out` those in
    the split farther from the test split; `keep` them, as a published split has them."""
    subject_pattern: str | None = None
    """Regular expression that finds the subject in a mask's name; its first group counts."""
    seed: int = 0
    """Of the order, the augmentation and the limits' choice."""
    train_limit: int | None = None
    """Train on this many records only, chosen by a shuffle with the seed."""
    val_limit: int | None = None
    """Validate on this many records only, chosen by a shuffle with the seed."""

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        for name, least in (("batch_size", 1), ("workers", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"data.{name} must be at least {least}.")
        if not 0 <= self.mirror_swap <= 1:
            raise InputError(f"data.mirror_swap must lie between 0 and 1, not {self.mirror_swap}.")
        for name in ("train_limit", "val_limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"data.{name} must be at least 1, or null for all.")

    @property
    def preprocessing(self) -> Preprocessing:
        """What these settings make for a model that takes CLIP's images and tokens."""
        return Preprocessing(size=self.size, reader=ClipTokens(self.context_length))


class EpochSampler(DistributedSampler[Sample]):
    """Yields (epoch, index) in an order that depends on seed and epoch alone.

    The pair tells the data set the epoch in whichever process it lives. As a DistributedSampler
    it is left in place by Lightning, which calls `set_epoch` on it; one replica takes all.
    """

    def __iter__(self) -> Iterator[Any]:
        for index in super().__iter__():
            yield self.epoch, index


class LateLoader(DataLoader[Sample]):
    """A loader whose workers start at the first batch and not before.

    Lightning asks a resumed fit's loader for its iterator before it tells the sampler the epoch;
    workers that start at once would fetch the first batches of the wrong epoch.
    """

    def __iter__(self) -> Any:
        yield from super().__iter__()


@dataclass(frozen=True)
class SplitRecord:
    """What a run read of a split, for its `run.json` and its checkpoints."""

    root: str
    fingerprint: str
    records: int
    left_out: list[str]
    """Where, what kind and which problem."""


class LViTDataModule(LightningDataModule):
    """Reads the splits that a stage needs and serves them in batches.

    Attributes:
        manifests: The manifest of each split read so far, after the limits.
        preprocessing: What the batches are prepared by.

    """

    def __init__(self, config: DataConfig) -> None:
        super().__init__()
        self.config = config
        self.preprocessing = config.preprocessing
        self.manifests: dict[Split, Manifest] = {}
        self._datasets: dict[Split, SegmentationDataset] = {}

    def prepare_for(self, preprocessing: Preprocessing) -> None:
        """Serve batches for a model with this preprocessing; what is decoded already is kept."""
        self.preprocessing = preprocessing
        self._datasets = {
            split: dataset.prepared_for(preprocessing) for split, dataset in self._datasets.items()
        }

    def setup(self, stage: str) -> None:
        """Read what a stage of Lightning ("fit", "validate", "test", "predict") needs."""
        needed: dict[str, tuple[Split, ...]] = {"fit": ("train", "val"), "validate": ("val",)}
        for split in needed.get(stage, ("test",)):
            self.dataset(split)

    def dataset(self, split: Split) -> SegmentationDataset:
        """The data set of a split, read and decoded on first use."""
        if split not in self._datasets:
            config = self.config
            limits = {"train": config.train_limit, "val": config.val_limit, "test": None}
            manifest = read_lvit(
                config.root,
                split,
                allow_problems=config.allow_problems,
                leaks=config.leaks,
                subject_pattern=config.subject_pattern,
            )
            self.manifests[split] = manifest.limit(limits[split], config.seed)
            self._datasets[split] = SegmentationDataset(
                self.manifests[split],
                self.preprocessing,
                augment=(config.augment and split == "train")
                and AugmentConfig(mirror_swap=config.mirror_swap),
                rewrite=config.rewrite,
                seed=config.seed,
                cache=config.cache,
            )
        return self._datasets[split]

    def provenance(self) -> dict[Split, SplitRecord]:
        """What was read of each split."""
        return {
            split: SplitRecord(
                root=str(manifest.root),
                fingerprint=manifest.fingerprint(),
                records=len(manifest),
                left_out=[f"{p.where}: {p.kind}: {p.message}" for p in manifest.left_out],
            )
            for split, manifest in self.manifests.items()
        }

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled batches; the last one of an epoch may be smaller."""
        dataset = self.dataset("train")
        trainer = self.trainer
        sampler = EpochSampler(
            dataset,
            num_replicas=trainer.world_size if trainer else 1,
            rank=trainer.global_rank if trainer else 0,
            shuffle=True,
            seed=self.config.seed,
        )
        return self._loader(dataset, sampler)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Validation batches in the text file's order."""
        return self._loader(self.dataset("val"), None)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Test batches in the text file's order."""
        return self._loader(self.dataset("test"), None)

    def _loader(
        self, dataset: SegmentationDataset, sampler: EpochSampler | None
    ) -> DataLoader[Sample]:
        return LateLoader(
            dataset,
            batch_size=self.config.batch_size,
            sampler=sampler,
            num_workers=self.config.workers,
            persistent_workers=self.config.workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Its own generator: a loader must not move the global random state that a resumed
            # run restores.
            generator=torch.Generator().manual_seed(self.config.seed),
        )
