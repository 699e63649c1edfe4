"""What the rows of a planted-confounder grid are trained on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from causalseg.data.datamodule import DataConfig, EpochSampler, LViTDataModule
from causalseg.data.dataset import Sample, SegmentationDataset
from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit, split_folder
from causalseg.data.manifest import Split
from causalseg.data.planted import PLANT_TABLE, PlantSpec, Version, plant, read_tie
from causalseg.experiments.confound_config import ConfoundRow
from causalseg.inputs.tables import read_table


class BalancedSampler(EpochSampler):
    """Draws with replacement so that every group comes up equally often, as many as before."""

    def __init__(self, dataset: SegmentationDataset, groups: Sequence[str], seed: int) -> None:
        super().__init__(dataset, num_replicas=1, rank=0, shuffle=True, seed=seed)
        _, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
        self.weights = 1 / counts[codes] / len(counts)

    def __iter__(self) -> Iterator[Any]:
        rng = np.random.default_rng((self.seed, self.epoch))
        for index in rng.choice(len(self.weights), len(self.weights), p=self.weights):
            yield self.epoch, int(index)


class MovedPlants(SegmentationDataset):
    """A training split in which every item shows its plant agreeing or in conflict, at random."""

    def __init__(self, base: SegmentationDataset, other: NDArray[np.uint8]) -> None:
        vars(self).update(vars(base))
        self.other = other

    def planes(self, epoch: int, index: int) -> NDArray[np.uint8]:
        """As the base's, with the plant as it is or in the other place."""
        moved = np.random.default_rng((self.seed, epoch, index, 2)).random() < 0.5
        found: NDArray[np.uint8] = (self.other if moved else self.pixels)[index]
        return found


class PlantedDataModule(LViTDataModule):
    """A planted data set, as a row wants it.

    Args:
        config: its root is the planted data set.
        row: which row of the grid.
        clean: the data set that was planted into.
        spec: which plant.

    """

    def __init__(self, config: DataConfig, row: ConfoundRow, clean: Path, spec: PlantSpec) -> None:
        super().__init__(config)
        self.row, self.clean, self.spec = row, clean, spec

    def dataset(self, split: Split) -> SegmentationDataset:
        """As the base's, with moving plants where the row has them."""
        found = super().dataset(split)
        if split == "train" and self.row.random_plant and not isinstance(found, MovedPlants):
            self._datasets[split] = found = MovedPlants(found, self._moved(found))
        return found

    def _moved(self, dataset: SegmentationDataset) -> NDArray[np.uint8]:
        """The split's planes with each plant in the other place."""
        tie = read_tie(self.clean, self.spec.predicts)
        versions = self._versions()
        clean = {record.name: record for record in read_lvit(self.clean, "train").records}
        planes: NDArray[np.uint8] = dataset.pixels.copy()
        for i, record in enumerate(dataset.manifest.records):
            version: Version = "conflict" if versions[record.name][1] == "aligned" else "aligned"
            source = clean[record.name]
            image, _ = plant(
                read_image(source.image), read_mask(source.mask), version, self.spec, tie,
                record.name,
            )  # fmt: skip
            resized = self.preprocessing.resize(image)
            channels = resized[None] if resized.ndim == 2 else resized.transpose(2, 0, 1)
            planes[i, :-1] = channels[: planes.shape[1] - 1]
        return planes

    def _versions(self) -> dict[str, tuple[str, str]]:
        """Name -> (the answer, the version of its plant) in the training split."""
        columns = ("Image", self.spec.predicts, "version")
        table = split_folder(Path(self.config.root), "train") / PLANT_TABLE
        rows = [row.fields for row in read_table(table, columns)]
        return {row["Image"]: (row[self.spec.predicts], row["version"]) for row in rows}

    def train_dataloader(self) -> DataLoader[Sample]:
        """As the base's, in the row's order."""
        if not self.row.rebalanced:
            return super().train_dataloader()
        dataset, versions = self.dataset("train"), self._versions()
        groups = [" ".join(versions[record.name]) for record in dataset.manifest.records]
        return self._loader(dataset, BalancedSampler(dataset, groups, self.config.seed))
