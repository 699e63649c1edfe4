"""Sizes of the encoders, by name."""

from dataclasses import dataclass
from typing import Literal

from causalseg.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """A bottleneck residual network as image tower."""

    layers: tuple[int, ...]
    """Blocks in each stage; four for a whole network, fewer to end it early."""
    width: int = 64
    """Channels of the stem; stage i has `4 * width * 2**(i - 1)`."""
    style: Literal["clip", "imagenet"] = "clip"
    """`clip`: CLIP's three-convolution stem and average-pooled strides. `imagenet`: the 7x7 stem
    and strided first 1x1 convolution of He et al. (2015), for which ImageNet weights exist."""
    heads: int = 32
    """Heads of the attention pool (only built where a model asks for it)."""
    resolution: int = 224
    """Image side, in pixels, at which the attention pool's positions were learned."""


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """CLIP's vision transformer as image tower."""

    patch: int
    """Patch side in pixels."""
    width: int
    """Channels of the tokens."""
    layers: int
    """Transformer blocks."""
    heads: int
    """Attention heads."""
    resolution: int = 224
    """Image side, in pixels, at which the positions were learned."""
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    """`quick_gelu`: OpenAI's. `gelu`: that of most later weights, such as LAION's."""
    style: Literal["clip", "timm"] = "clip"
    """`clip`: a norm before the first block. `timm`: none there, and a bias of the patches."""


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """CLIP's text transformer."""

    width: int = 512
    """Channels of the tokens."""
    layers: int = 12
    """Transformer blocks."""
    heads: int = 8
    """Attention heads."""
    context_length: int = 77
    """Positions with an embedding; a shorter text uses the first of them."""
    vocabulary: int = 49408
    """Rows of the token embedding (CLIP's; the paper's 49 152 leaves out bytes and specials)."""
    attention_gain: float = 1.0
    """Factor of the queries' and keys' initial weights: 1 is CLIP's, less attends more evenly."""
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    """As of the image tower."""


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """BERT (Devlin et al., 2019) as text tower; the defaults are BERT-base's, uncased."""

    width: int = 768
    """Channels of the tokens."""
    layers: int = 12
    """Transformer blocks."""
    heads: int = 12
    """Attention heads."""
    context_length: int = 512
    """Positions with an embedding."""
    vocabulary: int = 30522
    """Rows of the token embedding."""


@dataclass(frozen=True, kw_only=True)
class CLIPConfig:
    """A pair of towers with a joint embedding."""

    image: ResNetConfig | ViTConfig
    text: TextConfig | BertConfig
    embedding: int
    """Size of the joint space: of tau, and of the attention pool's output."""


ENCODERS: dict[str, CLIPConfig] = {
    "RN50": CLIPConfig(image=ResNetConfig(layers=(3, 4, 6, 3)), text=TextConfig(), embedding=1024),
    "RN101": CLIPConfig(image=ResNetConfig(layers=(3, 4, 23, 3)), text=TextConfig(), embedding=512),
    "ViT-B-16": CLIPConfig(
        image=ViTConfig(patch=16, width=768, layers=12, heads=12),
        text=TextConfig(),
        embedding=512,
    ),
    # For weights of open_clip and transformers that were trained with the exact GELU.
    "ViT-B-16-gelu": CLIPConfig(
        image=ViTConfig(patch=16, width=768, layers=12, heads=12, activation="gelu"),
        text=TextConfig(activation="gelu"),
        embedding=512,
    ),
    "ViT-L-14": CLIPConfig(
        image=ViTConfig(patch=14, width=1024, layers=24, heads=16),
        text=TextConfig(width=768, heads=12),
        embedding=768,
    ),
    # microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224: timm's ViT and a BERT.
    "BiomedCLIP": CLIPConfig(
        image=ViTConfig(patch=16, width=768, layers=12, heads=12, activation="gelu", style="timm"),
        text=BertConfig(),
        embedding=512,
    ),
    # The ResNet-50 of the peers, for which ImageNet weights exist.
    "ResNet50": CLIPConfig(
        image=ResNetConfig(layers=(3, 4, 6, 3), style="imagenet"), text=TextConfig(), embedding=512
    ),
    # The first stages of a ResNet-50 and a narrow text tower: what fits in 25 MB of fp16.
    "compact": CLIPConfig(
        image=ResNetConfig(layers=(3, 4, 4), style="imagenet", heads=8),
        text=TextConfig(width=64, layers=4, heads=4),
        embedding=256,
    ),
    # For phantoms, demonstrations and tests. Its text starts as a bag of words: one layer that
    # attends evenly. From CLIP's initial weights, and with more layers, a few captions teach it
    # only the words that divide the data best ("upper"), and it ignores others ("left").
    "tiny": CLIPConfig(
        image=ResNetConfig(layers=(1, 1, 1, 1), width=16, heads=4),
        text=TextConfig(width=128, layers=1, heads=4, attention_gain=0.1),
        embedding=128,
    ),
}


def encoder_config(name: str) -> CLIPConfig:
    """Look up an encoder by name.

    Raises:
        InputError: there is no encoder of that name.

    """
    if name not in ENCODERS:
        raise InputError(f"there is no encoder {name!r}; choose one of {', '.join(ENCODERS)}.")
    return ENCODERS[name]
