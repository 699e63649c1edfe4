"""Networks that a user would pick instead, of this package and of others, with random weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.variants import TEXT, Variant, cached, segmenter_model
from causalseg import build_model
from causalseg.models.registry import MODELS

_KEEP: list[torch.library.Library] = []


def stub_torchvision() -> None:
    """Declare two torchvision operators, which timm and transformers name but never call here."""
    if not _KEEP:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEEP.append(library)


def _clipseg() -> nn.Module:
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    return CLIPSegForImageSegmentation(CLIPSegConfig())


def _swin_unetr() -> nn.Module:
    import einops  # noqa: F401  (MONAI asks for it in the forward pass only)
    from monai.networks.nets import SwinUNETR

    return SwinUNETR(in_channels=3, out_channels=1, spatial_dims=2, feature_size=24)


def _flexible_unet() -> nn.Module:
    from monai.networks.nets import FlexibleUNet

    return FlexibleUNet(3, 1, "resnet50", spatial_dims=2)


def _attention_unet() -> nn.Module:
    from monai.networks.nets import AttentionUnet

    return AttentionUnet(2, 3, 1, channels=(64, 128, 256, 512, 1024), strides=(2, 2, 2, 2))


def _dynunet() -> nn.Module:
    from monai.networks.nets import DynUNet

    return DynUNet(2, 3, 1, [3] * 6, [1, 2, 2, 2, 2, 2], [2] * 5)


def _smp_unet() -> nn.Module:
    stub_torchvision()
    import segmentation_models_pytorch as smp

    return smp.Unet("resnet101", encoder_weights=None, in_channels=3, classes=1)


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "CLIPSeg (transformers)": _clipseg,
    "nnU-Net (MONAI DynUNet)": _dynunet,
    "SwinUNETR-24 (MONAI)": _swin_unetr,
    "FlexibleUNet ResNet-50 (MONAI)": _flexible_unet,
    "AttentionUnet (MONAI)": _attention_unet,
    "U-Net RN101 (smp)": _smp_unet,
}


def peers() -> tuple[list[Variant], dict[str, str]]:
    """Those that can be built here, and for the others why not."""
    found, missing = [], {}
    for name, build in OTHERS.items():
        try:
            torch.manual_seed(0)
            found.append(Variant(name, "peer", _prepare(build().eval(), "CLIPSeg" in name)))
        except Exception as error:  # an absent package, or one that does not import here
            missing[name] = f"{type(error).__name__}: {error}"
    return found, missing


def _prepare(model: nn.Module, text: bool) -> Callable[[Tensor, Tensor], Callable[[], object]]:
    if text:
        return lambda images, tokens: lambda: model(pixel_values=images, input_ids=tokens).logits
    return lambda images, _: lambda: model(images)


REGISTRY = [
    name for name in MODELS if name not in ("causalclipseg", "mcdrl") and "_caption" not in name
]
"""The thirteen peers of the leaderboard; MCDRL's network is measured by `mcdrl_cost`."""


def registered(size: str) -> list[Variant]:
    """CausalCLIPSeg, first, and the peers of the registry, each as `Segmenter` runs it."""
    return [
        Variant(name, "registry", _registered(name, size)) for name in ("causalclipseg", *REGISTRY)
    ]


def _registered(name: str, size: str) -> Callable[[Tensor, Tensor], Callable[[], object]]:
    torch.manual_seed(0)
    model = build_model(name, size=size).eval()
    tokens = model.reader(20)([TEXT])  # a peer may have a tokenizer of its own
    prepare = cached(segmenter_model(model))
    return lambda images, _: prepare(images, tokens)
