"""Options of MCDRL. Where the paper is silent, the default is stated and may be changed."""

from dataclasses import dataclass
from typing import Any, Literal

from causalseg.encoders.config import CLIPConfig, encoder_config
from causalseg.encoders.dense import dense_stride
from causalseg.errors import InputError
from causalseg.models.base import ModelConfig
from causalseg.models.mcdrl.prompts import Prompts, parse_prompts, read_prompts

Elsewhere = Literal["keep", "zero"]
DICTIONARIES = ("text", "random", "learned", "shuffled", "irrelevant")

_SMALL = ("compact", "tiny")


@dataclass(frozen=True, kw_only=True)
class MCDRLConfig(ModelConfig):
    """MCDRL and its controls."""

    encoder: str = ""
    """Towers: RN50, RN101, ViT-B-16, ViT-L-14, BiomedCLIP, compact or tiny; left out, those of
    `size`."""
    weights: str = "random"
    """Initial weights of the towers: `random`, `openai:RN50`, `imagenet:FILE`, a local file, or a
    folder or `open_clip:ORG/NAME` of a CLIP model such as BiomedCLIP."""
    prompts: str | dict[str, Any] = "endoscopy"
    """Class and domain prompts: `endoscopy`, `chest_xray`, a YAML file, or the table itself (which
    replaces the name here, so that a checkpoint needs no file)."""
    lesion: str | None = None
    """Class that the data's masks show; None: the first of the prompts."""
    patch_features: Literal["maskclip", "plain"] = "maskclip"
    """What a ViT's similarity is computed from: the last block's value path, or its output."""
    alpha: float = 0.5
    """Share of positions selected as candidate regions, in (0, 1]; 1: no selection."""
    elsewhere: Elsewhere = "keep"
    """What positions that are not selected pass to the head: the dense map, or zero."""
    intervention: bool = True
    """The causal intervention network. Off: F_ca = F and L_causal is off."""
    warmup_epochs: int = 10
    """Epochs before the intervention is switched on (the paper: 10 of 50)."""
    attend: Literal["confounders", "self"] = "confounders"
    """Keys and values: the confounders Z, or the queries themselves: a control with as many
    parameters and no Z."""
    dictionary: str = "text"
    """Z: `text`, `random` (Gaussian), `learned`, `shuffled` (the prompts' words, mixed),
    `irrelevant` (other sentences), or a JSON file of 'causalseg confounders build'."""
    template: Literal["domain", "class-domain"] = "domain"
    """Sentences of Z: one per domain (M), or one for each class and domain (K * M)."""
    dictionary_update: Literal["frozen", "ema"] = "frozen"
    """`ema`: in training, each entry moves by 0.05 towards the features that attend to it."""
    dictionary_seed: int = 0
    """Seed of the random and shuffled dictionaries."""
    prior: tuple[float, ...] | None = None
    """P(z), one weight for each entry of Z, which multiplies the attention; None: uniform."""
    depth: int = 3
    """Layers of the intervention network, 1 to 5."""
    heads: int = 8
    """Attention heads of a layer."""
    residual: bool = True
    """False: attention alone, so that each output lies in the span of Z's values."""
    head_channels: tuple[int, ...] | None = None
    """Channels after each step of the head; None: 4 steps at stride 32, else 3, by encoder."""
    causal_weight: float = 0.5
    """Weight of L_causal."""
    causal_scale: Literal["normalised", "raw"] = "normalised"
    """L_causal between unit vectors, or between features as they are."""
    contrast_weight: float = 0.1
    """Weight of L_contrast."""
    temperature: float = 0.5
    """Of L_contrast."""
    image_rate: float = 0.01
    """Learning rate of pretrained image weights as a share of that of new modules: 1e-5 against
    1e-3. 0 freezes them, with their batch-norm statistics."""

    def __post_init__(self) -> None:
        if not self.encoder:
            object.__setattr__(self, "encoder", "RN50" if self.size == "paper" else "compact")
        prompts = read_prompts(self.prompts)
        object.__setattr__(self, "prompts", prompts.to_dict())
        if self.lesion is not None and self.lesion not in prompts.classes:
            raise InputError(f"lesion {self.lesion!r} is none of {', '.join(prompts.classes)}.")
        if not 0 < self.alpha <= 1:
            raise InputError(f"alpha must lie in (0, 1], not {self.alpha}.")
        if not 1 <= self.depth <= 5:
            raise InputError(f"depth must be 1 to 5, not {self.depth}.")
        if self.heads < 1 or self.clip.embedding % self.heads:
            raise InputError(f"heads must divide {self.clip.embedding}, and {self.heads} does not.")
        if self.temperature <= 0:
            raise InputError(f"temperature must be positive, not {self.temperature}.")
        if self.image_rate < 0:
            raise InputError(f"image_rate must not be negative, and {self.image_rate} is.")
        if self.prior is not None and (min(self.prior, default=0) < 0 or sum(self.prior) <= 0):
            raise InputError("prior weights must not be negative, nor all zero.")
        if self.dictionary_update == "ema" and (
            self.attend == "self" or self.dictionary == "learned"
        ):
            raise InputError("a dictionary that is learned or unused cannot be updated by 'ema'.")

    @property
    def clip(self) -> CLIPConfig:
        """Sizes of the towers."""
        return encoder_config(self.encoder)

    @property
    def prompt_table(self) -> Prompts:
        """The prompts, typed."""
        assert isinstance(self.prompts, dict)
        return parse_prompts(self.prompts, "the prompts")

    @property
    def lesion_index(self) -> int:
        """Which class the masks show."""
        classes = self.prompt_table.classes
        return 0 if self.lesion is None else classes.index(self.lesion)

    @property
    def head(self) -> tuple[int, ...]:
        """`head_channels`, resolved."""
        steps = 4 if dense_stride(self.clip) == 32 else 3
        widest = 128 if self.encoder in _SMALL else 512
        return self.head_channels or tuple(widest // 2**i for i in range(steps))
