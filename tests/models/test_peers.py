"""The peers against their cards: parameters, cost, and what is particular to each."""

import pytest
import torch
from torch import nn

from causalseg.encoders.config import ResNetConfig, encoder_config
from causalseg.encoders.resnet import ResNetTower
from causalseg.models.cost import flop
from causalseg.models.lavt.model import SWIN
from causalseg.models.lavt.network import LanguageFusion, SwinBackbone
from causalseg.models.losses import SegmentationLoss
from causalseg.models.lvit.network import LViTNetwork
from causalseg.models.output import SegmentationOutput
from causalseg.models.pretrained.network import ResNetDecoder
from causalseg.models.registry import build_model
from causalseg.models.swinunet.model import SIZES as SWIN_UNET
from causalseg.models.swinunet.network import SwinUnetNetwork
from causalseg.models.tganet.network import LabelWords, TextGuidedDecoder
from causalseg.models.tganet.objective import NOTHING, count_and_size
from causalseg.models.transunet.network import Sizes as TransUNetSizes
from causalseg.models.transunet.network import TransUNetNetwork
from causalseg.models.uctransnet.network import UCTransNetNetwork
from causalseg.models.unet.network import (
    AttentionUNetNetwork,
    NNUNetNetwork,
    UNetNetwork,
    UNetPlusPlusNetwork,
)
from causalseg.text.tokenizer import tokenize


class Lavt(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.backbone = SwinBackbone(sizes)
        channels = self.backbone.stage_channels
        self.fusion = LanguageFusion(channels, 768, 4 * channels[0])

    def forward(self, images, words, valid):
        return self.fusion(self.backbone, images, words, valid)


class TGA(nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = ResNetTower(ResNetConfig(layers=(3, 4, 6), style="imagenet"))
        channels = self.tower.pyramid_channels()
        self.label, self.decoder = LabelWords(channels[-1], 128), TextGuidedDecoder(channels, 128)

    def forward(self, images):
        maps = self.tower.pyramid(images)
        return self.decoder(maps, self.label(maps[-1])[2])


class ResNetUNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = ResNetTower(encoder_config("ResNet50").image)
        self.decoder = ResNetDecoder(self.tower.pyramid_channels(), (256, 128, 64, 32, 16))

    def forward(self, images):
        return self.decoder(self.tower.pyramid(images))


# Millions of parameters and GFLOP at 224 px of the authors' code, measured, with BERT's 768
# channels where there are words. LAVT: less the last stage's gate (two C x C maps), which nothing
# reads. ResNet-50: 0.5 GFLOP less than torchvision's, whose blocks stride a convolution later.
CARDS = {
    "unet": (lambda: UNetNetwork(64), 0, 14.75, 45.3),
    "attentionunet": (lambda: AttentionUNetNetwork(64), 0, 34.88, 101.7),
    "unetplusplus": (lambda: UNetPlusPlusNetwork(32), 0, 9.12, 50.1),
    "nnunet": (lambda: NNUNetNetwork(32, 224), 0, 20.60, 21.8),
    "transunet": (lambda: TransUNetNetwork(TransUNetSizes(), 224), 0, 105.28, 58.3),
    "swinunet": (lambda: SwinUnetNetwork(SWIN_UNET["paper"]), 0, 27.17, 12.1),
    "uctransnet": (lambda: UCTransNetNetwork(64, 224), 0, 66.43, 77.2),
    "tganet": (TGA, 0, 19.84, 63.8),
    "resnet50 u-net": (ResNetUNet, 0, 32.52, 15.8),
    "lavt swin-b": (lambda: Lavt(SWIN["swin-b"]), 20, 118.71 - 2 * 1.024**2, 79.8),
    "lavt swin-t": (lambda: Lavt(SWIN["swin-t"]), 20, 46.06 - 2 * 0.768**2, 36.5),
    "lvit": (lambda: LViTNetwork(64, 224, 768, 10), 10, 29.91, 54.2),
}


@pytest.mark.parametrize("name", CARDS)
def test_parameters_and_cost_are_those_of_the_card(name):
    build, words, millions, gflop = CARDS[name]
    with torch.device("meta"):
        network = build().eval()
        inputs = [torch.rand(1, 3, 224, 224)]
        if words:
            inputs += [torch.rand(1, words, 768), torch.ones(1, words, dtype=torch.bool)]
    parameters = sum(p.numel() for p in network.parameters()) / 1e6
    assert parameters == pytest.approx(millions, abs=0.02)
    assert flop(network, *inputs) / 1e9 == pytest.approx(gflop, rel=0.01)


def test_vilt_without_words_and_head_is_vilt():
    with torch.device("meta"):
        encoder = build_model("vilt").network.encoder
    count = sum(p.numel() for n, p in encoder.named_parameters() if n != "words.weight")
    assert count / 1e6 == pytest.approx(87.5, abs=0.1)


def test_count_and_size_are_read_from_the_mask():
    masks = torch.zeros(4, 1, 100, 100)
    masks[1, :, 10:30, 10:30] = 1  # 4 % of the image
    masks[2, :, 10:60, 10:60] = 1  # 25 %, and a second one
    masks[2, :, 90:95, 90:95] = 1
    masks[3, :, :70, :60] = 1  # 42 %
    counts, sizes = count_and_size(masks)
    assert counts.tolist() == [NOTHING, 0, 1, 0]
    assert sizes.tolist() == [NOTHING, 0, 1, 2]


@pytest.mark.parametrize(
    ("name", "decay", "options"),
    [("unetplusplus", 1.0, {}), ("nnunet", 0.5, {"resolution": 64})],
)
def test_deep_supervision_weighs_the_heads(name, decay, options):
    torch.manual_seed(0)
    model = build_model(name, size="compact", **options).train()
    out = model(torch.rand(2, 3, 64, 64))
    batch = {"mask": (torch.rand_like(out.logits) > 0.5).float()}
    heads = [out.auxiliary[f"head{i}"] for i in range(len(out.auxiliary))]
    each = [SegmentationLoss()(SegmentationOutput(h), batch)["loss"] for h in heads]
    weights = [decay**i for i in range(len(each))]
    expected = sum(w * loss for w, loss in zip(weights, each, strict=True)) / sum(weights)
    torch.testing.assert_close(model.objective()(out, batch)["loss"], expected)
    model.eval()
    again = model(torch.rand(1, 3, 64, 64))
    assert not again.auxiliary


def test_the_place_of_a_word_moves_lvit_and_its_absence_is_told_from_padding():
    torch.manual_seed(0)
    model = build_model("lvit", size="compact").eval()
    images = torch.rand(1, 3, 64, 64)
    short = tokenize(["left lung"], 8)
    with torch.no_grad():
        a = model(images, short).logits
        b = model(images, torch.nn.functional.pad(short, (0, 6))).logits
        c = model(images, tokenize(["lung left"], 8)).logits
    torch.testing.assert_close(a, b)
    assert not torch.allclose(a, c, atol=1e-6)
