"""TransUNet as a model."""

from dataclasses import dataclass

from torch import Tensor

from causalseg.encoders.normalisation import UNIT
from causalseg.models.base import ImageOnlyModel, ModelConfig, check_divisible
from causalseg.models.folding import NormPair, sequential_pairs
from causalseg.models.output import SegmentationOutput
from causalseg.models.transunet import network

SIZES = {
    "paper": network.Sizes(),
    "compact": network.Sizes(
        units=(2, 2, 2), width=24, tokens=192, layers=4, heads=4, decoder=(96, 64, 48, 32, 16)
    ),
}


@dataclass(frozen=True, kw_only=True)
class TransUNetConfig(ModelConfig):
    """Options of TransUNet."""

    resolution: int = 224
    """Image side in pixels that the positions are learned for; they are resized for another."""


class TransUNet(ImageOnlyModel):
    """TransUNet, R50-ViT-B/16 (Chen et al., 2021, https://arxiv.org/abs/2102.04306).

    A ResNet-50 without its last stage, a vision transformer over its 14 x 14 positions, and a
    decoder that takes the ResNet's maps as skips. 105.28 M parameters, as the authors' code has
    (Apache-2.0; this is written from its description). Differs: one logit instead of two classes,
    any size that 16 divides, and weights start at random: the authors start from ViT's
    ImageNet-21k weights and say that these matter, so a row must say "random".
    """

    config_class = TransUNetConfig
    paper_parameters = 105_275_921
    normalisation = UNIT

    def __init__(self, config: TransUNetConfig) -> None:
        super().__init__(config)
        self.network = network.TransUNetNetwork(SIZES[config.size], config.resolution)

    def segment_image(self, images: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W), normalised, sides that 16 divides."""
        check_divisible(images, network.STRIDE, "TransUNet")
        return SegmentationOutput(self.network(images))

    def export_refusal(self) -> str:
        """It has not been compared."""
        return "its exported graph has not been compared with it"

    def fold_pairs(self) -> list[NormPair]:
        """Every convolution that a batch norm follows."""
        return sequential_pairs(self)
