"""What a run leaves in its folder while it trains."""

import csv
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from PIL import Image

from causalseg.data.datamodule import LViTDataModule
from causalseg.errors import InputError
from causalseg.files import make_folder, write_csv
from causalseg.inference.pictures import as_rgb, overlay
from causalseg.models.checkpoint import save_checkpoint
from causalseg.terminal import say
from causalseg.training.module import SegmentationModule


class EpochTable(L.Callback):
    """Writes `metrics.csv` and `times.csv`, one row per epoch; a resumed run extends both.

    Times stand apart because they differ from run to run: `seconds` by the clock, validation
    included, and `cpu_seconds` that this process computed, which a busy machine does not lengthen.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.times = folder / "metrics.csv", folder / "times.csv"
        self._began = (0.0, 0.0)

    def on_train_epoch_start(self, *_: Any) -> None:
        """Note the time."""
        self._began = (time.perf_counter(), time.process_time())

    def on_train_epoch_end(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        """Add this epoch's row, replacing any row of the same or a later epoch."""
        if not trainer.is_global_zero:
            return
        row = {"epoch": str(trainer.current_epoch), "step": str(trainer.global_step)}
        clock, cpu = self._began
        took = {
            "seconds": f"{time.perf_counter() - clock:.2f}",
            "cpu_seconds": f"{time.process_time() - cpu:.2f}",
        }
        extend(self.times, row | took)
        row |= {k: f"{float(v):.6g}" for k, v in sorted(trainer.callback_metrics.items())}
        extend(self.path, row)
        if not trainer.progress_bar_callback:
            say("  ".join(f"{k} {v}" for k, v in row.items()))


def extend(path: Path, row: dict[str, str]) -> None:
    """Add an epoch's row to a table, in place of any row of the same or a later epoch.

    Raises:
        InputError: the table is damaged.

    """
    old: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="") as file:
            try:
                old = [r for r in csv.DictReader(file) if int(r["epoch"]) < int(row["epoch"])]
            except (ValueError, TypeError, LookupError, csv.Error) as error:
                raise InputError(
                    f"{path} is damaged: mend it, or remove it to start a new table."
                ) from error
    write_csv(path, [*old, row])


@dataclass(frozen=True)
class Selected:
    """Which epoch's weights a checkpoint holds."""

    epoch: int
    val_dice: float | None = None
    """None where the run was stopped before its first validation."""


class Export(L.Callback):
    """Writes `best.safetensors` and `last.safetensors`, ready for `Segmenter`.

    It must stand before a weight-averaging callback, so that at the end of validation the
    averaged weights, which were validated, are still in place.
    """

    def __init__(self, folder: Path, provenance: dict[str, Any]) -> None:
        self.folder = folder
        self.provenance = provenance
        self.best = -1.0

    def state_dict(self) -> dict[str, Any]:
        """Kept in Lightning's checkpoint, so that a resumed run knows the best so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Counterpart of `state_dict`."""
        self.best = state_dict["best"]

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Export after each validation."""
        assert isinstance(module, SegmentationModule)
        if not all(weight.isfinite().all() for weight in module.model.parameters()):
            raise InputError(
                f"the weights are not finite after epoch {trainer.current_epoch}: lower "
                "optimizer.lr, or set trainer.precision to 32-true. Earlier checkpoints are kept."
            )
        score, threshold = module.validation_result()
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        selected = Selected(trainer.current_epoch, score)
        self._save(trainer, module, "last", threshold, selected)
        if score > self.best:
            self.best = score
            self._save(trainer, module, "best", threshold, selected)

    def on_exception(
        self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave a usable checkpoint when a run is interrupted before its first validation."""
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            assert isinstance(module, SegmentationModule)
            if not (self.folder / "last.safetensors").exists():
                self._save(trainer, module, "last", 0.5, Selected(trainer.current_epoch))

    def _save(
        self,
        trainer: L.Trainer,
        module: SegmentationModule,
        name: str,
        threshold: float,
        selected: Selected,
    ) -> None:
        data: LViTDataModule = trainer.datamodule  # type: ignore[attr-defined]
        save_checkpoint(
            self.folder / f"{name}.safetensors",
            module.model,
            preprocessing=data.preprocessing.to_dict(),
            threshold=threshold,
            provenance={**self.provenance, "selected": asdict(selected)},
        )


class SamplePictures(L.Callback):
    """Draws the first validation cases every few epochs: image, truth, prediction."""

    def __init__(self, folder: Path, every: int, count: int = 4) -> None:
        self.folder = folder / "samples"
        self.every = every
        self.count = count

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Draw."""
        assert isinstance(module, SegmentationModule)
        due = trainer.current_epoch % self.every == 0
        if trainer.sanity_checking or not trainer.is_global_zero or not due:
            return
        dataset = trainer.datamodule.dataset("val")  # type: ignore[attr-defined]
        items = [dataset[i] for i in range(min(self.count, len(dataset)))]
        images = torch.stack([item["image"] for item in items]).to(module.device)
        tokens = torch.stack([item["tokens"] for item in items]).to(module.device)
        masks = module.model(images, tokens).logits.sigmoid()[:, 0].float().cpu().numpy() >= 0.5
        rows = []
        for item, mask in zip(items, masks, strict=True):
            pixels = np.ascontiguousarray(dataset.pixels[item["index"]][:-1].transpose(1, 2, 0))
            grey = pixels[..., 0] if pixels.shape[2] == 1 else pixels
            truth = item["mask"][0].numpy() > 0
            rows.append(np.hstack([as_rgb(grey), overlay(grey, truth), overlay(grey, mask)]))
        make_folder(self.folder)
        Image.fromarray(np.vstack(rows)).save(
            self.folder / f"epoch_{trainer.current_epoch:04d}.png"
        )
