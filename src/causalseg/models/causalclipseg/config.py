"""Options of CausalCLIPSeg."""

from dataclasses import dataclass
from typing import Literal

from causalseg.encoders.config import ResNetConfig, encoder_config
from causalseg.errors import InputError
from causalseg.models.base import ModelConfig

# Channels of (fused features, first decoder step, second decoder step).
_HEADS = {"compact": (128, 128, 48), "tiny": (64, 64, 32)}
_ENCODERS = {"paper": "RN101", "compact": "compact"}


@dataclass(frozen=True, kw_only=True)
class CausalCLIPSegConfig(ModelConfig):
    """CausalCLIPSeg as in the paper, unless an option says otherwise."""

    encoder: str = ""
    """Towers: RN101 (the paper's), RN50, compact or tiny; left out, those of `size`."""
    weights: str = "random"
    """Initial weights of the towers: `random`, `openai:RN101`, `imagenet:FILE` or a local file."""
    masker: bool | Literal["additive", "random"] = True
    """Split the features into causal and confounding (Eq. 2). Off: all features are causal.
    Controls: `additive`, which hides nothing, F^c = F + M; `random`, a fixed M of noise."""
    mask_hidden: int = 32
    """Channels between the masker's two convolutions."""
    per_channel_mask: bool = False
    """A mask for each channel and location (official code) instead of each location (paper)."""
    unified_stage: int = 2
    """Stage to whose size all features are brought: 2 (28 x 28 at 224 px), or 3 (14 x 14, as in
    the official code, where finer stages are average-pooled)."""
    head_channels: tuple[int, int, int] | None = None
    """Channels of the fused features and of the decoder's two upsampling steps; `None`: the
    official code's 512, 512, 256, or less for the small encoders."""
    kernel_size: int = 3
    """K of the text kernel W_tau (C x K x K), odd."""
    adversary: Literal["reversal", "reversal-all", "literal", "alternating", "none"] = "reversal"
    """How L_s is played (Eq. 3). `reversal`: D_s minimises L_s, the masker alone maximises it;
    `reversal-all`: so does the image tower. `alternating`: the masker's game in alternate steps.
    `literal`: all minimise L_c - lambda L_s, without a lower bound. `none`: no such branch."""
    adversary_weight: float = 0.05
    """lambda of Eq. 3."""
    dice_weight: float = 0.0
    """Weight of a soft Dice term added to L_c (not in the paper)."""
    gradient_checkpointing: bool = False
    """Recompute the image tower's stages in the backward pass: less memory, more time."""
    fast: bool = True
    """Reordered arithmetic; False computes Eq. 1 plainly at full resolution, with the same
    parameters and result, for tests and benchmarks."""

    def __post_init__(self) -> None:
        if not self.encoder:
            object.__setattr__(self, "encoder", _ENCODERS[self.size])
        if not isinstance(self.image, ResNetConfig):
            raise InputError(
                f"causalclipseg reads a ResNet's stages, and encoder {self.encoder!r} is a ViT; "
                "choose RN101, RN50, compact or tiny."
            )
        if self.masker is not True and self.adversary != "none":
            raise InputError(
                f"with masker {str(self.masker).lower()} there are no confounding features; "
                "set adversary to 'none'."
            )
        if self.unified_stage not in (stages := tuple(range(2, len(self.image.layers) + 1))):
            whose = f"{stages} for encoder {self.encoder!r}"
            raise InputError(f"unified_stage must be one of {whose}, not {self.unified_stage}.")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise InputError(f"kernel_size must be odd and positive, not {self.kernel_size}.")

    @property
    def idle(self) -> tuple[str, ...]:
        """Options that have no effect given the others, such as lambda without an adversary."""
        idle = () if self.masker in (True, "additive") else ("mask_hidden", "per_channel_mask")
        return idle + (("adversary_weight",) if self.adversary == "none" else ())

    @property
    def image(self) -> ResNetConfig:
        """The image tower's sizes."""
        return encoder_config(self.encoder).image  # type: ignore[return-value]

    @property
    def head(self) -> tuple[int, int, int]:
        """`head_channels`, resolved."""
        return self.head_channels or _HEADS.get(self.encoder, (512, 512, 256))
