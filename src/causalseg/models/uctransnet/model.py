"""UCTransNet as a model."""

from dataclasses import dataclass

from torch import Tensor

from causalseg.models.base import ImageOnlyModel, ModelConfig, check_divisible
from causalseg.models.folding import NormPair, sequential_pairs
from causalseg.models.output import SegmentationOutput
from causalseg.models.uctransnet import network

WIDTHS = {"paper": 64, "compact": 12}


@dataclass(frozen=True, kw_only=True)
class UCTransNetConfig(ModelConfig):
    """Options of UCTransNet."""

    resolution: int = 224
    """Image side in pixels that the positions are learned for; they are resized for another."""


class UCTransNet(ImageOnlyModel):
    """UCTransNet (Wang et al., AAAI 2022, https://arxiv.org/abs/2109.04335).

    A U-Net whose skips attend to one another channel by channel, before each is weighed by the
    decoder's map. 66.43 M parameters and 77.2 GFLOP at 224 px, as the authors' code has (which has
    no licence; this is written from its description). Differs: logits come out, not
    probabilities, and any size that 16 divides goes in.
    """

    config_class = UCTransNetConfig
    paper_parameters = 66_430_657

    def __init__(self, config: UCTransNetConfig) -> None:
        super().__init__(config)
        self.network = network.UCTransNetNetwork(WIDTHS[config.size], config.resolution)

    def segment_image(self, images: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W), normalised, sides that 16 divides."""
        check_divisible(images, network.FINEST_PATCH, "UCTransNet")
        return SegmentationOutput(self.network(images))

    def export_refusal(self) -> str:
        """It has not been compared."""
        return "its exported graph has not been compared with it"

    def fold_pairs(self) -> list[NormPair]:
        """Every convolution that a batch norm follows."""
        return sequential_pairs(self)
