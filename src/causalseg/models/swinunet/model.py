"""Swin-Unet as a model."""

from dataclasses import dataclass

from torch import Tensor

from causalseg.encoders.normalisation import IMAGENET
from causalseg.encoders.swin import SwinSizes
from causalseg.models.base import ImageOnlyModel, ModelConfig, check_divisible
from causalseg.models.output import SegmentationOutput
from causalseg.models.swinunet import network

STRIDE = 32
SIZES = {
    "paper": SwinSizes(depths=(2, 2, 2, 2)),
    "compact": SwinSizes(width=48, depths=(2, 2, 2, 2), heads=(2, 4, 8, 16), drop_path=0.1),
}


@dataclass(frozen=True, kw_only=True)
class SwinUnetConfig(ModelConfig):
    """Options of Swin-Unet: only the size."""


class SwinUnet(ImageOnlyModel):
    """Swin-Unet (Cao et al., ECCV Workshops 2022, https://arxiv.org/abs/2105.05537).

    A U of windowed transformer blocks without convolutions; a patch's channels are laid out as
    four patches to double the size. 27.17 M parameters, as the authors' code has (which has no
    licence; this is written from its description, on MONAI's Swin blocks). Differs: one logit, any
    size that 32 divides (windows are padded where 7 does not divide the map), and weights start
    at random: the authors fill encoder and decoder from Swin-T's ImageNet weights and call that
    very important, so a row must say "random".
    """

    config_class = SwinUnetConfig
    paper_parameters = 27_168_132
    normalisation = IMAGENET

    def __init__(self, config: SwinUnetConfig) -> None:
        super().__init__(config)
        self.network = network.SwinUnetNetwork(SIZES[config.size])

    def segment_image(self, images: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W), normalised, sides that 32 divides."""
        check_divisible(images, STRIDE, "Swin-Unet")
        return SegmentationOutput(self.network(images))

    def export_refusal(self) -> str:
        """Its graph is that of one size."""
        return "shifted windows make a graph of one size, which takes minutes to trace"
