"""One training step, for any model with an objective."""

import math
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from causalseg.evaluation.metrics import batch_dice
from causalseg.models.base import SegmentationModel
from causalseg.models.output import SegmentationOutput
from causalseg.training.config import OptimizerConfig

THRESHOLDS = tuple(round(0.1 + 0.05 * i, 2) for i in range(17))
"""Thresholds on the probability from which validation chooses: 0.10 to 0.90."""


class SegmentationModule(L.LightningModule):
    """Trains a model and validates it by macro Dice, choosing the threshold on validation.

    Logged each epoch: `train_*` for everything the objective returns, `val_loss`, `val_dice`
    (macro Dice at the best threshold, at the size of the run) and `val_threshold`.
    """

    def __init__(self, model: SegmentationModel, config: OptimizerConfig) -> None:
        super().__init__()
        self.model = model
        self.objective = model.objective()
        self.config = config
        # Sum of per-image Dice at each threshold, with the number of images last. No
        # buffer: weight averaging would average it.
        self.dice_sums = torch.zeros(len(THRESHOLDS) + 1)

    def on_train_epoch_start(self) -> None:
        """Tell the model the epoch, for a schedule of its own."""
        self.model.on_epoch(self.current_epoch)

    def _forward(self, batch: Mapping[str, Tensor]) -> SegmentationOutput:
        output: SegmentationOutput = self.model(batch["image"], batch["tokens"])
        output.logits = output.logits.float()
        if output.confounder_logits is not None:
            output.confounder_logits = output.confounder_logits.float()
        return output

    def training_step(self, batch: Mapping[str, Tensor], _: int) -> Tensor:
        """The objective's loss."""
        losses = self.objective(self._forward(batch), batch, self.global_step)
        count = len(batch["image"])
        for name, value in losses.items():
            self.log(
                f"train_{name}",
                value.detach(),
                on_step=False,
                on_epoch=True,
                prog_bar=name in ("loss", "causal", "confounding"),
                batch_size=count,
                sync_dist=True,
            )
        return losses["loss"]

    def on_before_optimizer_step(self, _: torch.optim.Optimizer) -> None:
        """Leave the parameters whose turn it is not out of this step."""
        for name, parameter in self.model.named_parameters():
            if not self.objective.updates(name, self.global_step):
                parameter.grad = None

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        self.dice_sums = torch.zeros(len(THRESHOLDS) + 1, device=self.device)

    def validation_step(self, batch: Mapping[str, Tensor], _: int) -> None:
        """Per-image Dice at every threshold."""
        output = self._forward(batch)
        loss = nn.functional.binary_cross_entropy_with_logits(output.logits, batch["mask"])
        count = len(batch["image"])
        self.log("val_loss", loss, batch_size=count, sync_dist=True)
        truth = batch["mask"] > 0.5
        probability = output.logits.sigmoid()
        for i, threshold in enumerate(THRESHOLDS):
            self.dice_sums[i] += batch_dice(probability >= threshold, truth).sum()
        self.dice_sums[-1] += count

    def validation_result(self) -> tuple[float, float]:
        """Macro Dice over all processes, and the threshold at which it is best."""
        sums = self.all_gather(self.dice_sums)
        assert isinstance(sums, Tensor)
        sums = sums.view(-1, len(THRESHOLDS) + 1).sum(0)
        macro = sums[:-1] / sums[-1]
        best = int(macro.argmax())
        return float(macro[best]), THRESHOLDS[best]

    def on_validation_epoch_end(self) -> None:
        """Log the Dice and the threshold."""
        score, threshold = self.validation_result()
        self.log("val_dice", score, prog_bar=True, sync_dist=True)
        self.log("val_threshold", threshold, sync_dist=True)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm; Lightning refuses a fused optimiser, whose gradients no scaler touched."""
        if self.device.type == "cpu" and gradient_clip_val:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """Adam(W) with the groups that the model names."""
        optimizer = torch.optim.AdamW(
            [
                {"params": g.parameters, "lr": self.config.lr * g.factor, "name": g.name}
                for g in self.model.parameter_groups(self.config)
            ],
            weight_decay=self.config.weight_decay,
            # Fused is several times faster on a CPU. None, not False, leaves a GPU its own default.
            fused=True if self.device.type == "cpu" else None,
        )
        return scheduled(optimizer, self.config.warmup_steps, self.trainer)


def scheduled(
    optimizer: torch.optim.Optimizer, warmup_steps: int, trainer: L.Trainer
) -> OptimizerLRSchedulerConfig:
    """An optimiser with its rate after `cosine_factor`, as Lightning wants both."""
    total = int(trainer.estimated_stepping_batches)
    schedule = LambdaLR(optimizer, cosine_factor(warmup_steps, total))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class cosine_factor:  # noqa: N801  (a function with parameters, picklable for DDP's processes)
    """Step -> factor of the learning rate: linear warm-up, then a cosine down to 0."""

    def __init__(self, warmup: int, total: int) -> None:
        self.warmup, self.total = warmup, total

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        progress = (step - self.warmup) / max(self.total - self.warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
