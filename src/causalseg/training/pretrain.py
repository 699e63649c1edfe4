"""Contrastive pre-training of an encoder's towers on image-sentence pairs."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from causalseg.data.datamodule import DataConfig, LViTDataModule, SplitRecord
from causalseg.data.manifest import Manifest
from causalseg.encoders.tokens import text_reader, vocabulary_of
from causalseg.encoders.weights import PRETRAINED, initialise
from causalseg.errors import InputError
from causalseg.evaluation.alignment import Alignment, retrieval, side_swap
from causalseg.evaluation.files import read_result
from causalseg.files import check_folder, make_folder, write_bytes, write_json
from causalseg.text.captions import mirror_caption
from causalseg.training.callbacks import EpochTable
from causalseg.training.config import OptimizerConfig, TrainerConfig
from causalseg.training.contrastive import ImageTextPair, Name
from causalseg.training.environment import environment
from causalseg.training.fit import alone_in, make_trainer, quiet_lightning, training_in
from causalseg.training.module import scheduled

CONFIG, REPORT = "run.json", "pretrain.json"


@dataclass(kw_only=True)
class PretrainConfig:
    """One pre-training.

    Raises:
        InputError: the seed or the devices cannot be used.

    """

    data: DataConfig
    objective: Name = "clip"
    """`clip`, `convirt` or `gloria`; MCDRL, which reads a dense joint space, needs `clip`."""
    encoder: str = "compact"
    """Towers: RN50, RN101, ResNet50, compact or tiny; with `clip` also ViT-B-16, ViT-L-14 and
    BiomedCLIP, whose vocabulary comes with its weights."""
    weights: str = "random"
    """Weights to start from, as `model.weights`."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(lr=1e-4))
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(max_epochs=50))
    out: str = "runs/pretrain"
    """The run's folder."""
    seed: int = 0
    """Of the weights, the order of the data and its augmentation."""

    def __post_init__(self) -> None:
        if self.trainer.devices * self.trainer.num_nodes > 1:
            raise InputError(
                "pre-training uses one device: set trainer.devices and num_nodes to 1."
            )
        if self.optimizer.ema_decay:
            raise InputError("pre-training keeps no average of weights: leave out ema_decay.")
        if self.trainer.max_epochs < 1:
            raise InputError(f"trainer.max_epochs must be positive, not {self.trainer.max_epochs}.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed must be between 0 and 2**32 - 1, not {self.seed}.")

    @property
    def file(self) -> str:
        """Name of the weights, after what they are."""
        return f"{self.objective}-objective_{self.encoder}_{Path(self.data.root).name}.safetensors"


@dataclass(frozen=True)
class PretrainReport:
    """What the weights are, and what was measured: `pretrain.json`, and in the weights' file."""

    objective: str
    encoder: str
    data: str
    """Name of the data's folder."""
    trained_on: SplitRecord
    epochs: int
    batch_size: int
    size: int
    seed: int
    started_from: str
    validation: Alignment


class PretrainModule(L.LightningModule):
    """Trains a pair of towers."""

    def __init__(self, pair: ImageTextPair, config: OptimizerConfig) -> None:
        super().__init__()
        self.pair, self.config = pair, config

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """The objective's loss."""
        losses = self.pair.losses(batch["image"], batch["tokens"])
        for name, value in losses.items():
            self.log(
                f"train_{name}", value.detach(), on_step=False, on_epoch=True,
                batch_size=len(batch["image"]),
            )  # fmt: skip
        return losses["loss"]

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine; towers at their share of the rate."""
        config, towers = self.config, (self.pair.image_tower, self.pair.text_tower)
        factors = (config.image_lr_factor, config.text_lr_factor)
        groups = [
            {"params": list(tower.parameters()), "lr": config.lr * factor}
            for tower, factor in zip(towers, factors, strict=True)
        ]
        known = {id(p) for group in groups for p in group["params"]}  # type: ignore[attr-defined]
        rest = [p for p in self.pair.parameters() if id(p) not in known]
        groups.append({"params": rest, "lr": config.lr})
        optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        return scheduled(optimizer, config.warmup_steps, self.trainer)


def pretrain(config: PretrainConfig) -> tuple[Path, PretrainReport]:
    """Pre-train on the training split, and measure on the validation split.

    The folder then holds the weights, `pretrain.json` (what was measured), `run.json`,
    `metrics.csv` and `last.ckpt`. A run that was stopped is continued from the end of its last
    epoch. No mask is looked at, and no image of another split is trained on.

    Args:
        config: what to train, on what, and where to write it.

    Returns:
        The weights' file, for `model.weights` of every model with towers of this encoder, and what
        was measured.

    Raises:
        InputError: data, encoder or weights cannot be used, or the folder holds a run with other
            options.

    """
    quiet_lightning()
    L.seed_everything(config.seed, verbose=False)
    folder = check_folder(Path(config.out))
    _check_same(folder, config)
    pair = ImageTextPair(config.encoder, config.objective)
    start = initialise(pair.image_tower, pair.text_tower, config.weights)
    reader = text_reader(pair.text_tower.config, config.weights, config.data.context_length)
    data = LViTDataModule(config.data)
    data.prepare_for(replace(data.preprocessing, reader=reader))
    data.setup("fit")
    make_folder(folder)
    with alone_in(folder):
        write_json(
            folder / CONFIG, {"config": _plain(config), "environment": asdict(environment())}
        )
        trainer = make_trainer(config.trainer, folder, [EpochTable(folder)])
        last = folder / "last.ckpt"
        module = PretrainModule(pair, config.optimizer)
        with training_in(folder):
            trainer.fit(
                module,
                data.train_dataloader(),
                ckpt_path=last if last.is_file() else None,
                weights_only=True,
            )
        name = Path(config.data.root).name
        report = PretrainReport(
            objective=config.objective,
            encoder=config.encoder,
            data=name,
            trained_on=replace(data.provenance()["train"], root=name),
            epochs=config.trainer.max_epochs,
            batch_size=config.data.batch_size,
            size=config.data.size,
            seed=config.seed,
            started_from=start.source,
            validation=measure_alignment(pair.cpu().eval(), data),
        )
        content = save(
            {name: value.contiguous().cpu() for name, value in pair.tensors().items()},
            {PRETRAINED: json.dumps(asdict(report) | vocabulary_of(reader))},
        )
        write_bytes(folder / config.file, content)
        write_json(folder / REPORT, asdict(report))
    return folder / config.file, report


def _plain(config: PretrainConfig) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(asdict(config), default=str))
    return {key: value for key, value in found.items() if key != "out"}


def _check_same(folder: Path, config: PretrainConfig) -> None:
    if not (folder / CONFIG).exists():
        return
    before, now = read_result(folder / CONFIG).get("config"), _plain(config)
    if before != now:
        differ = sorted(k for k in now if not isinstance(before, dict) or before.get(k) != now[k])
        raise InputError(
            f"{folder} holds a pre-training with other options ({', '.join(differ)}): name another "
            "folder with --out."
        )


@torch.inference_mode()
def measure_alignment(pair: ImageTextPair, data: LViTDataModule) -> Alignment:
    """Retrieval and left against right on the validation split.

    Args:
        pair: in evaluation mode.
        data: whose validation split is read.

    """
    manifest, dataset = data.manifests["val"], data.dataset("val")
    seen = []
    for start in range(0, len(dataset), data.config.batch_size):
        stop = min(start + data.config.batch_size, len(dataset))
        batch = torch.stack([dataset[i]["image"] for i in range(start, stop)])
        seen.append(pair.encode_images(batch)[0])
    images = torch.cat(seen)
    captions = [record.caption for record in manifest.records]
    distinct = sorted(set(captions))
    reader = data.preprocessing.reader
    cosines = (images @ pair.encode_texts(reader(distinct))[0].T).numpy()
    column = {caption: i for i, caption in enumerate(distinct)}
    own = np.array([column[caption] for caption in captions])
    subjects = [record.subject for record in manifest.records]
    swap, turned = None, _turned(manifest)
    if turned:
        swapped = pair.encode_texts(reader(list(turned.values())))[0]
        places = np.array(list(turned))
        swap = side_swap(
            cosines[places, own[places]],
            (images[places] * swapped).sum(1).numpy(),
            [subjects[i] for i in places],
        )
    return Alignment(retrieval(cosines, own, subjects), swap)


def _turned(manifest: Manifest) -> dict[int, str]:
    """Index of a record -> its caption with the sides exchanged, where that reads differently."""
    found = {i: mirror_caption(record.caption) for i, record in enumerate(manifest.records)}
    return {
        i: text
        for i, text in found.items()
        if text is not None and text != manifest.records[i].caption
    }
