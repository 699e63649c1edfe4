"""Run a training from its config."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from causalseg.data.datamodule import DataConfig, LViTDataModule
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.files import check_folder, locked, make_folder, write_bytes
from causalseg.inference.sentences import kind_of_captions
from causalseg.inputs import one_line
from causalseg.models.base import SegmentationModel
from causalseg.models.checkpoint import check_loadable, load_checkpoint
from causalseg.models.registry import build_model
from causalseg.training.callbacks import EpochTable, Export, SamplePictures
from causalseg.training.checkpoint_io import (
    WholeCheckpoints,
    check_checkpoint,
    check_same_model,
)
from causalseg.training.config import RunConfig, TrainerConfig
from causalseg.training.environment import environment
from causalseg.training.module import SegmentationModule


def build_module(config: RunConfig) -> SegmentationModule:
    """The model of a config, from `init` where given, inside its training module."""
    model = build_model(config.architecture, **config.model)
    if config.init:
        start = load_checkpoint(Path(config.init))
        try:
            model.load_state_dict(start.model.state_dict())
        except RuntimeError as error:
            raise InputError(
                f"init: {config.init} holds another model than the config describes; "
                "use a checkpoint of the same architecture and options."
            ) from error
    if config.trainer.channels_last:
        parts = [model.get_submodule(name) for name in model.image_parts] or [model]
        for part in parts:
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return SegmentationModule(model, config.optimizer)


def preprocessing_for(model: SegmentationModel, data: DataConfig) -> Preprocessing:
    """How a model's input is made: the run's image size, the model's normalisation and reader."""
    return Preprocessing(
        size=data.size,
        mean=model.normalisation.mean,
        std=model.normalisation.std,
        reader=model.reader(data.context_length),
    )


def fit(config: RunConfig, data: LViTDataModule | None = None) -> Path:
    """Train.

    The run's folder then holds `run.json` (config, versions, data fingerprint), `metrics.csv` and
    `times.csv`, `best.safetensors` and `last.safetensors` for use, `last.ckpt` to continue from,
    `samples/` and TensorBoard's files. Interrupting with Ctrl-C keeps them all.

    Args:
        config: the run's; with `ckpt_path="last"` a run continues from the end of its last epoch.
        data: what to train on, if not just `config.data` (several domains).

    Returns:
        `best.safetensors`.

    Raises:
        InputError: data, weights, model options or checkpoint cannot be used.

    """
    quiet_lightning()
    L.seed_everything(config.seed, verbose=False)
    folder = Path(config.out)
    check_folder(folder)
    resume = _resume_from(config, folder)
    module = build_module(config)
    if resume is not None:
        check_same_model(resume, module)
    data = data or LViTDataModule(config.data)
    preprocessing = preprocessing_for(module.model, config.data)
    check_loadable(module.model, preprocessing.to_dict())
    data.prepare_for(preprocessing)
    data.setup("fit")
    record = {
        "config": asdict(config),
        "data": {split: asdict(record) for split, record in data.provenance().items()},
        "captions": kind_of_captions(
            [record.caption for record in data.manifests["train"].records]
        ),
        "initial_weights": asdict(module.model.weights_report),
        "environment": asdict(environment()),
        "command": sys.argv,
    }
    make_folder(folder)
    text = json.dumps(record, indent=2, default=str)  # paths as text
    # The first processes of several machines each count as the first, on one shared folder.
    with alone_in(folder) if config.trainer.num_nodes == 1 else nullcontext():
        write_bytes(folder / "run.json", text.encode())
        trainer = _trainer(config, folder, json.loads(text))
        with training_in(folder):
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    return folder / "best.safetensors"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Refuse a second run in a folder while one is going on.

    On several devices, the first process holds the lock for the others.
    """
    if getattr(rank_zero_only, "rank", 0) != 0:
        yield
        return
    told = f"another run is training in {folder}"
    with locked(folder / ".lock", os.O_RDWR | os.O_CREAT, told):
        yield


@contextmanager
def training_in(folder: Path) -> Iterator[None]:
    """Let Lightning end as a command does: InputError for what cannot be written."""
    try:
        yield
    except SystemExit:  # how Lightning ends an interrupted run, after saving
        raise KeyboardInterrupt from None
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}.") from error


def quiet_lightning() -> None:
    """Silence Lightning's advertisements, and its warnings that do not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        r".*isinstance\(treespec, LeafSpec\)",
        r"Checkpoint directory .* exists",
        r".*smaller than the logging interval",
        r".*does not have many workers",
    ):
        warnings.filterwarnings("ignore", message)


def _resume_from(config: RunConfig, folder: Path) -> Path | None:
    if config.ckpt_path is None:
        if (folder / "last.ckpt").exists():
            raise InputError(
                f"{folder} already holds a run; continue it with --ckpt-path last, or name "
                "another folder with --out."
            )
        return None
    path = folder / "last.ckpt" if config.ckpt_path == "last" else Path(config.ckpt_path)
    if path.is_file():
        check_checkpoint(path, config.trainer.max_epochs)
        return path
    if config.ckpt_path == "last":
        return None  # killed before its first epoch ended: there is nothing to go on from
    raise InputError(f"there is no checkpoint {path} to continue from.")


def _trainer(config: RunConfig, folder: Path, record: dict[str, Any]) -> L.Trainer:
    settings = config.trainer
    callbacks: list[Callback] = [
        Export(folder, record),
        SamplePictures(folder, settings.sample_every_n_epoch),
        EpochTable(folder),
        EarlyStopping("val_dice", mode="max", patience=settings.patience),
    ]
    if config.optimizer.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=config.optimizer.ema_decay))
    return make_trainer(settings, folder, callbacks)


def make_trainer(settings: TrainerConfig, folder: Path, callbacks: list[Callback]) -> L.Trainer:
    """Lightning's trainer, which keeps `last.ckpt` in the run's folder after each epoch.

    Raises:
        InputError: there is no such device here.

    """
    cores = os.cpu_count() or 1
    if settings.accelerator == "cpu" and settings.devices > cores:
        # Lightning would start as many processes, whatever the machine has.
        raise InputError(
            f"trainer.devices {settings.devices}: this machine has {cores} cores for as many "
            "processes at most."
        )
    interactive = sys.stderr.isatty()
    last = ModelCheckpoint(
        folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    bar = [RichProgressBar()] if interactive else []
    try:
        return L.Trainer(
            max_epochs=settings.max_epochs,
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy="ddp" if settings.devices * settings.num_nodes > 1 else "auto",
            sync_batchnorm=settings.accelerator == "gpu" and settings.devices > 1,
            precision=settings.precision,
            accumulate_grad_batches=settings.accumulate_grad_batches,
            gradient_clip_val=settings.gradient_clip_val,
            check_val_every_n_epoch=settings.check_val_every_n_epoch,
            callbacks=[*callbacks, *bar, last],
            plugins=[WholeCheckpoints()],
            logger=TensorBoardLogger(folder, name="", version="tensorboard"),
            enable_progress_bar=interactive,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            # Ours is an order of its own, which survives a resume (see EpochSampler).
            use_distributed_sampler=False,
            log_every_n_steps=10,
        )
    except (MisconfigurationException, ValueError, RuntimeError, ImportError) as error:
        raise InputError(
            f"trainer.accelerator {settings.accelerator} with trainer.devices {settings.devices} "
            f"cannot be used here: {one_line(error)}"
        ) from error
