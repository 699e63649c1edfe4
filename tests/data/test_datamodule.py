from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from causalseg.data.datamodule import DataConfig, LViTDataModule
from causalseg.errors import InputError


class Recorder(LightningModule):
    """Writes down what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, list[int], float]] = []

    def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
        total = batch["image"].double().sum().item()
        self.seen.append((self.current_epoch, batch["index"].tolist(), total))
        return self.weight.sum()

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        self.log("score", batch["mask"].mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def config(root: Path, **changes: Any) -> DataConfig:
    return DataConfig(root, **{"size": 32, "batch_size": 4, "seed": 5, **changes})


def fit(
    folder: Path,
    data: DataConfig,
    epochs: int,
    ckpt: Path | None = None,
    at_end: bool | None = True,
) -> Recorder:
    recorder = Recorder()
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        num_sanity_val_steps=0,
        callbacks=[
            ModelCheckpoint(
                folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=at_end
            )
        ],
    )
    module = LViTDataModule(data)
    trainer.fit(recorder, module, ckpt_path=ckpt, weights_only=False)
    return recorder


@pytest.fixture(scope="module", params=[0, 2])
def unbroken(
    request: pytest.FixtureRequest,
    small_phantoms: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> "tuple[DataConfig, Recorder]":
    """A fit of four epochs with so many loader processes, and its data."""
    data = config(small_phantoms, workers=request.param)
    return data, fit(tmp_path_factory.mktemp("whole"), data, 4)


@pytest.mark.parametrize("at_end", [True, False], ids=["epoch end", "validation end"])
def test_a_resumed_fit_sees_the_batches_it_would_have_seen(
    unbroken: "tuple[DataConfig, Recorder]", tmp_path: Path, at_end: bool
) -> None:
    data, whole = unbroken
    fit(tmp_path / "half", data, 2, at_end=at_end)
    rest = fit(tmp_path / "rest", data, 4, tmp_path / "half" / "epoch=1.ckpt")
    assert {epoch for epoch, _, _ in rest.seen} == {2, 3}
    assert rest.seen == [entry for entry in whole.seen if entry[0] >= 2]


def test_each_epoch_takes_every_image_once_in_another_order_and_shape(
    small_phantoms: Path, tmp_path: Path
) -> None:
    seen = fit(tmp_path, config(small_phantoms, workers=2), 3).seen
    orders = [[i for e, batch, _ in seen if e == epoch for i in batch] for epoch in range(3)]
    assert all(sorted(order) == list(range(21)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    totals = [sum(total for e, _, total in seen if e == epoch) for epoch in range(3)]
    assert len(set(totals)) == 3, "workers that live on are told the epoch"


def test_two_processes_share_an_epoch_without_overlap(small_phantoms: Path) -> None:
    from causalseg.data.datamodule import EpochSampler

    module = LViTDataModule(config(small_phantoms))
    dataset = module.dataset("train")
    halves = []
    for rank in range(2):
        sampler = EpochSampler(dataset, num_replicas=2, rank=rank, seed=5)
        sampler.set_epoch(3)
        halves.append(list(sampler))
    assert {epoch for half in halves for epoch, _ in half} == {3}
    indices = [i for half in halves for _, i in half]
    assert set(indices) == set(range(21))
    assert len(indices) == 22, "one is repeated so that both have the same count"


def test_a_loader_leaves_the_global_random_state_alone(small_phantoms: Path) -> None:
    module = LViTDataModule(config(small_phantoms))
    module.setup("fit")
    before = torch.get_rng_state()
    list(module.train_dataloader())
    assert torch.equal(before, torch.get_rng_state())


def test_validation_and_test_are_plain_and_in_order(small_phantoms: Path) -> None:
    module = LViTDataModule(config(small_phantoms, batch_size=2))
    module.setup("test")
    assert list(module.manifests) == ["test"]
    indices = [i for batch in module.test_dataloader() for i in batch["index"].tolist()]
    assert indices == list(range(6))
    assert module.dataset("val").augment is None
    assert module.dataset("train").augment is not None


def test_provenance_says_what_was_read_and_left_out(phantom_copy: Path) -> None:
    mask = next(iter(sorted((phantom_copy / "Train_Folder" / "labelcol").iterdir())))
    mask.unlink()
    with pytest.raises(InputError):
        LViTDataModule(config(phantom_copy)).setup("fit")
    module = LViTDataModule(config(phantom_copy, allow_problems=True, train_limit=7))
    module.setup("fit")
    record = module.provenance()
    assert record["train"].records == 7
    assert record["val"].left_out == []
    assert any(mask.name in line for line in record["train"].left_out)
    assert record["train"].fingerprint == module.manifests["train"].fingerprint()


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"workers": -1}, {"train_limit": 0}])
def test_impossible_settings_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"data.{next(iter(bad))}"):
        DataConfig("x", **bad)
