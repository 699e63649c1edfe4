"""What a training run is made of. Every run writes the complete config that it used."""

import math
from dataclasses import dataclass, field
from typing import Literal

from causalseg.data.datamodule import DataConfig
from causalseg.errors import InputError
from causalseg.models.registry import ModelOptions


@dataclass(kw_only=True)
class OptimizerConfig:
    """Adam with a cosine schedule; the defaults are the paper's."""

    lr: float = 3e-5
    """Learning rate of everything but the towers."""
    image_lr_factor: float = 1.0
    """The image tower's rate, as a factor of `lr`."""
    text_lr_factor: float = 1.0
    """The text tower's rate, as a factor of `lr`."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW); 0 is plain Adam."""
    warmup_steps: int = 0
    """Optimisation steps of linear warm-up before the cosine."""
    ema_decay: float = 0.0
    """Evaluate and export an exponential moving average of the weights; 0 is off."""

    def __post_init__(self) -> None:
        if not 0 < self.lr < math.inf:
            raise InputError(f"optimizer.lr must be a positive number, not {self.lr}.")
        for name in ("image_lr_factor", "text_lr_factor", "weight_decay", "warmup_steps"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"optimizer.{name} must be at least 0.")
        if not 0 <= self.ema_decay < 1:
            raise InputError(
                f"optimizer.ema_decay must lie from 0 to below 1, not {self.ema_decay}."
            )


@dataclass(kw_only=True)
class TrainerConfig:
    """The options of Lightning's Trainer that runs of this package need."""

    max_epochs: int = 2000
    """The cosine schedule ends here too."""
    patience: int = 100
    """Stop after this many epochs without a better validation Dice."""
    accelerator: str = "auto"
    """`cpu`, `gpu`, or any other that Lightning knows."""
    devices: int = 1
    """Devices, or processes on a CPU; more than one is DDP."""
    num_nodes: int = 1
    """Machines."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic of the forward pass; losses are float32."""
    channels_last: bool = False
    """Memory format of the image tower, or of the whole model where it has none: a quarter faster
    with bf16 on a CPU, no gain in fp32."""
    accumulate_grad_batches: int = 1
    """Batches per optimisation step."""
    gradient_clip_val: float | None = None
    """Largest norm of the gradient."""
    check_val_every_n_epoch: int = 1
    """Epochs between validations."""
    sample_every_n_epoch: int = 10
    """Epochs between pictures of validation cases."""

    def __post_init__(self) -> None:
        if self.max_epochs < 1:
            raise InputError(f"trainer.max_epochs must be positive, not {self.max_epochs}.")
        counts = ("patience", "devices", "num_nodes", "accumulate_grad_batches")
        for name in (*counts, "check_val_every_n_epoch", "sample_every_n_epoch"):
            if getattr(self, name) < 1:
                raise InputError(f"trainer.{name} must be at least 1.")
        if self.check_val_every_n_epoch > self.max_epochs:
            raise InputError(
                f"trainer.check_val_every_n_epoch ({self.check_val_every_n_epoch}) is more than "
                f"trainer.max_epochs ({self.max_epochs}): no checkpoint would ever be chosen."
            )
        if self.gradient_clip_val is not None and not 0 < self.gradient_clip_val < math.inf:
            raise InputError("trainer.gradient_clip_val must be above 0, or null for no clipping.")


@dataclass(kw_only=True)
class RunConfig:
    """One reproducible run.

    Raises:
        InputError: `model` has an unknown option (when the model is built).

    """

    data: DataConfig
    architecture: str = "causalclipseg"
    """The model's name; `causalseg models` lists them."""
    model: ModelOptions = field(default_factory=dict)
    """Options of the architecture's config, e.g. `{"encoder": "RN101"}`."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    init: str | None = None
    """A checkpoint (.safetensors) of the same model to start from."""
    out: str = "runs/causalclipseg"
    """The run's folder."""
    ckpt_path: str | None = None
    """Continue from `last`, or from a .ckpt file."""
    seed: int = 0
    """Decides the weights, the order of the data and its augmentation."""

    def __post_init__(self) -> None:
        if not self.out:
            raise InputError("out is empty: name the run's folder.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed must be between 0 and 2**32 - 1, not {self.seed}.")
