"""Our towers against open_clip's on the same weights (extra `peers`; skipped without it)."""

from pathlib import Path

import pytest
import torch

from causalseg.encoders.config import ResNetConfig, TextConfig
from causalseg.encoders.resnet import ResNetTower
from causalseg.encoders.transformer import TextTower
from causalseg.encoders.weights import initialise
from causalseg.text.tokenizer import tokenize

TEXTS = ["upper left lung", "Bilateral pulmonary infection, two infected areas.", "", "é ≤ 3 mm"]


@pytest.fixture(scope="module")
def peer():
    """A small open_clip model with random weights, in evaluation mode."""
    # open_clip imports torchvision's nms; a CPU torch without torchvision lacks the operator.
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        try:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:
            break  # torchvision is really there
    pytest.importorskip("torchvision")
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(0)
    model = open_clip.CLIP(
        embed_dim=48,
        vision_cfg={"layers": [1, 2, 1, 1], "width": 16, "image_size": 64, "head_width": 16},
        text_cfg={"width": 32, "heads": 4, "layers": 3},
        quick_gelu=True,
    ).eval()
    for module in model.modules():  # statistics that are not the identity
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    yield model
    del library


def test_stages_and_text_features_agree(peer, tmp_path: Path) -> None:
    torch.save(peer.state_dict(), tmp_path / "clip.pt")
    image = ResNetTower(ResNetConfig(layers=(1, 2, 1, 1), width=16))
    text = TextTower(TextConfig(width=32, heads=4, layers=3), 48)
    initialise(image, text, str(tmp_path / "clip.pt"))
    image.eval()
    text.eval()

    stages = {}
    for stage in (2, 3, 4):
        peer.visual.get_submodule(f"layer{stage}").register_forward_hook(
            lambda _, __, out, stage=stage: stages.update({stage: out})
        )
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        peer.encode_image(images)
        ours = image(images)
        for stage in (2, 3, 4):
            torch.testing.assert_close(ours[stage], stages[stage], atol=1e-5, rtol=1e-5)
        theirs = peer.encode_text(tokenize(TEXTS, 77))
        torch.testing.assert_close(text(tokenize(TEXTS, 20)), theirs, atol=1e-5, rtol=1e-5)
