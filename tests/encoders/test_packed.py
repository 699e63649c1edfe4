"""Packed towers answer as the plain ones do."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from causalseg.encoders.config import ResNetConfig
from causalseg.encoders.packed import PackedConv2d, can_pack, pack
from causalseg.encoders.resnet import ResNetTower
from causalseg.inference.segmenter import Segmenter
from causalseg.models.checkpoint import load_checkpoint

pytestmark = pytest.mark.skipif(not can_pack(), reason="this PyTorch has no oneDNN")


@pytest.mark.parametrize("style", ["clip", "imagenet"])
def test_a_packed_tower_gives_the_same_features_at_every_size_and_batch(style):
    torch.manual_seed(0)
    plain = ResNetTower(ResNetConfig(layers=(2, 2, 2), width=16, style=style)).eval()
    for name, value in plain.state_dict().items():
        if "running" in name:
            value.uniform_(0.5, 2.0)
    model = torch.nn.ModuleDict({"tower": plain})
    for conv, norm in plain.fold_pairs():
        fold(plain, conv, norm)
    packed = copy.deepcopy(model)
    pack(packed)
    assert sum(isinstance(part, PackedConv2d) for part in packed.modules()) == len(
        plain.fold_pairs()
    )
    for batch, side, threads in ((1, 64, 1), (3, 64, 2), (1, 97, 1)):
        images = torch.randn(batch, 3, side, side)
        with torch.no_grad(), threads_of(threads):
            expected, found = plain(images), packed["tower"](images)
        for stage, features in expected.items():
            assert found[stage].is_contiguous()
            torch.testing.assert_close(found[stage], features, rtol=1e-4, atol=1e-4)


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fold(tower: ResNetTower, conv: str, norm: str) -> None:
    first, second = tower.get_submodule(conv), tower.get_submodule(norm)
    fused = torch.nn.utils.fusion.fuse_conv_bn_eval(first, second)
    for name, module in ((conv, fused), (norm, torch.nn.Identity())):
        parent, _, child = name.rpartition(".")
        tower.get_submodule(parent).register_module(child, module)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.5)])
def test_a_segmenter_is_packed_and_answers_as_the_plain_model(
    tiny_checkpoint, precision, tolerance
):
    segmenter = Segmenter.load(tiny_checkpoint, precision=precision)
    assert any(isinstance(part, PackedConv2d) for part in segmenter.model.modules())
    plain = load_checkpoint(tiny_checkpoint).model
    side = segmenter.preprocessing.size
    images = torch.rand(2, 3, side, side)
    tokens = segmenter.preprocessing.tokens(["left lung", "lower right lung"])
    with torch.no_grad():
        expected, found = plain(images, tokens).logits, segmenter.model(images, tokens).logits
    torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)
