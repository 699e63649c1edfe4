"""What is compared: one set of weights in several forms, and what a user would pick instead."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from causalseg import build_model, tokenize
from causalseg.data.preprocessing import Preprocessing
from causalseg.encoders.packed import can_pack, pack
from causalseg.inference.backends import load_exported
from causalseg.inference.export import export
from causalseg.inference.optimise import Precision, TextCache, compiled, optimise
from causalseg.models.checkpoint import save_checkpoint

TEXT = "bilateral pulmonary infection, two infected areas, upper left lung and lower right lung."

Call = Callable[[], object]


@dataclass(frozen=True)
class Variant:
    """Something that is timed."""

    name: str
    group: str
    """`dense`, `exact`, `reduced` or `peer`."""
    prepare: Callable[[Tensor, Tensor], Call]
    """(images, tokens) -> the call that is timed."""


def random_model(encoder: str = "RN101", *, fast: bool = True) -> nn.Module:
    """A network with random weights, the same ones in both forms."""
    torch.manual_seed(0)
    return build_model("causalclipseg", encoder=encoder, fast=fast).eval()


def tokens(batch: int) -> Tensor:
    """The same caption for every image: (B, 20)."""
    return tokenize([TEXT] * batch)


def segmenter_model(model: nn.Module, precision: Precision = "fp32") -> nn.Module:
    """The model as `Segmenter.load` prepares it on a processor, in place."""
    optimise(model, precision)
    if can_pack():
        pack(model)
    return model


def _model(model: nn.Module, *, confounder: bool = False) -> Callable[[Tensor, Tensor], Call]:
    return lambda images, text: lambda: model(images, text, confounder=confounder).logits


def cached(model: nn.Module) -> Callable[[Tensor, Tensor], Call]:
    """As `Segmenter` runs it: text features from the cache."""
    cache = TextCache(model)

    def prepare(images: Tensor, text: Tensor) -> Call:
        def call() -> object:
            return model.segment(model.encode_image(images), cache(text)).logits  # type: ignore[operator]

        return call

    return prepare


def own(encoder: str, *, compile: bool, exported: bool) -> list[Variant]:
    """Forms of CausalCLIPSeg on the same weights; the first is the reference."""
    dense, fast = random_model(encoder, fast=False), random_model(encoder)
    folded, ready, half = (copy.deepcopy(fast) for _ in range(3))
    optimise(folded)
    segmenter_model(ready)
    segmenter_model(half, "bf16")
    found = [
        Variant("dense, both branches", "dense", _model(dense, confounder=True)),
        Variant("dense, causal branch", "exact", _model(dense)),
        Variant("reordered", "exact", _model(fast)),
        Variant("reordered, folded", "exact", _model(folded)),
        Variant("Segmenter, text cached", "exact", cached(ready)),
        Variant("Segmenter bf16, text cached", "reduced", cached(half)),
    ]
    if compile:
        translated = copy.deepcopy(fast)
        optimise(translated)
        compiled(translated)
        found.append(Variant("Segmenter compile, text cached", "exact", cached(translated)))
    if exported:
        found += _exported(fast)
    return found


def _exported(model: nn.Module) -> list[Variant]:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (224, 224), dtype=np.uint8) for _ in range(2)]
    folder = Path(tempfile.mkdtemp())
    checkpoint = folder / "model.safetensors"
    save_checkpoint(
        checkpoint, model, preprocessing=Preprocessing().to_dict(), threshold=0.5, provenance={}
    )
    onnx, openvino = folder / "model.onnx", folder / "model.xml"
    export(checkpoint, onnx, "onnx", images, [TEXT])
    export(checkpoint, openvino, "openvino", images, [TEXT])
    return [
        Variant("ONNX Runtime fp32", "exact", _model_exported(onnx, "fp32")),
        Variant("OpenVINO fp32", "exact", _model_exported(openvino, "fp32")),
        Variant("OpenVINO bf16", "reduced", _model_exported(openvino, "bf16")),
    ]


def _model_exported(path: Path, precision: str) -> Callable[[Tensor, Tensor], Call]:
    model = load_exported(path, precision=precision).model
    return lambda images, text: lambda: model(images, text).logits


def compact() -> list[Variant]:
    """The package's small encoder."""
    return [
        Variant("compact, Segmenter", "exact", cached(segmenter_model(random_model("compact"))))
    ]
