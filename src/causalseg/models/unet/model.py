"""U-Net, Attention U-Net, UNet++ and nnU-Net's network as models.

All read the image alone. They are trained by the package's recipe, so that rows of a table differ
in architecture; what their authors used is in docs/explanation/peers.md.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from causalseg.models.base import ImageOnlyModel, ModelConfig, check_divisible
from causalseg.models.folding import NormPair, sequential_pairs
from causalseg.models.output import SegmentationOutput
from causalseg.models.unet import network as networks
from causalseg.models.unet.objective import HEAD, DeepSupervision


@dataclass(frozen=True, kw_only=True)
class UNetConfig(ModelConfig):
    """Options of U-Net, Attention U-Net and UNet++: only the size."""


@dataclass(frozen=True, kw_only=True)
class NNUNetConfig(ModelConfig):
    """Options of nnU-Net's network."""

    resolution: int = 224
    """Image side in pixels, from which the number of stages is planned."""


class _UNetModel(ImageOnlyModel):
    """A network of `networks`, at a width."""

    widths: ClassVar[dict[str, int]]
    stride: ClassVar[int] = 16
    network: nn.Module

    def logits(self, images: Tensor) -> SegmentationOutput:
        """The network's answer."""
        return SegmentationOutput(self.network(images))

    def segment_image(self, images: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W), normalised; logits (B, 1, H, W).

        Raises:
            InputError: a side is not a multiple of the stride.

        """
        check_divisible(images, self.stride, type(self).__name__)
        return self.logits(images)

    def fold_pairs(self) -> list[NormPair]:
        """Every convolution that a batch norm follows."""
        return sequential_pairs(self)


def _supervised(heads: list[Tensor], logits: Tensor, *, training: bool) -> SegmentationOutput:
    auxiliary = {f"{HEAD}{i}": head for i, head in enumerate(heads)} if training else {}
    return SegmentationOutput(logits, auxiliary=auxiliary)


class UNet(_UNetModel):
    """U-Net (Ronneberger et al., MICCAI 2015, https://doi.org/10.1007/978-3-319-24574-4_28).

    An encoder that halves the map four times, a decoder that doubles it, skips between them. This
    is the form of the rows called "U-Net" in the tables of UCTransNet, LViT and those that copy
    them: one convolution in the first level, 512 channels in the deepest two, batch norm, padded,
    transposed convolutions; 14.75 M parameters. The paper's own has 1024 channels, two
    convolutions and no padding. Written from the description.
    """

    config_class = UNetConfig
    paper_parameters = 14_751_873
    widths: ClassVar[dict[str, int]] = {"paper": 64, "compact": 16}

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.network = networks.UNetNetwork(self.widths[config.size])


class AttentionUNet(_UNetModel):
    """Attention U-Net (Oktay et al., MIDL 2018, https://arxiv.org/abs/1804.03999).

    The coarser level weighs each position of a skip by additive attention. The authors' code
    (MIT) is three-dimensional. This is the two-dimensional form of the field's tables: the gate
    acts at the skip's own resolution and on all four skips; 34.88 M parameters. Written from the
    description; MONAI's `AttentionUnet` has another merge after each gate.
    """

    config_class = UNetConfig
    paper_parameters = 34_878_569
    widths: ClassVar[dict[str, int]] = {"paper": 64, "compact": 12}

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.network = networks.AttentionUNetNetwork(self.widths[config.size])


class UNetPlusPlus(_UNetModel):
    """UNet++ (Zhou et al., DLMIA 2018 and IEEE TMI 2020, https://arxiv.org/abs/1912.05074).

    Skips are nested convolutional nodes, and the four nodes of the finest level each have a head;
    the logits are their mean. MONAI's `BasicUNetPlusPlus` (Apache-2.0) at the paper's widths, 9.12
    M parameters (paper: 9.04 M). The authors' own code may not be used commercially and a patent
    is pending in the US; nothing of it is here.
    """

    config_class = UNetConfig
    paper_parameters = 9_119_332
    widths: ClassVar[dict[str, int]] = {"paper": 32, "compact": 8}

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.network = networks.UNetPlusPlusNetwork(self.widths[config.size])

    def logits(self, images: Tensor) -> SegmentationOutput:
        """The mean of the four heads; the heads themselves in training."""
        heads = self.network(images)
        return _supervised(heads, sum(heads) / len(heads), training=self.training)

    def objective(self) -> DeepSupervision:
        """The mean over the heads."""
        return DeepSupervision(1.0)


class NNUNet(_UNetModel):
    """nnU-Net's network (Isensee et al., Nature Methods 2021, 10.1038/s41592-020-01008-z).

    The architecture that nnU-Net plans for a two-dimensional image: strided convolutions, instance
    norm, leaky ReLU, heads at all decoder stages but the lowest, weighed 1, 1/2, 1/4, ... MONAI's
    `DynUNet` (Apache-2.0, as is nnU-Net), 20.60 M parameters. nnU-Net is its recipe (planning,
    1000 epochs of SGD, five folds, test-time mirroring) more than its network, and none of that is
    here: a row of it should be named "nnU-Net architecture".
    """

    config_class = NNUNetConfig
    paper_parameters = 20_602_180
    widths: ClassVar[dict[str, int]] = {"paper": 32, "compact": 12}

    def __init__(self, config: NNUNetConfig) -> None:
        super().__init__(config)
        self.network = networks.NNUNetNetwork(self.widths[config.size], config.resolution)
        self.stride = self.network.stride  # type: ignore[misc]

    def logits(self, images: Tensor) -> SegmentationOutput:
        """The finest head; all heads in training."""
        heads = self.network(images)
        return _supervised(heads, heads[0], training=self.training)

    def objective(self) -> DeepSupervision:
        """Heads weighed 1, 1/2, 1/4, ..."""
        return DeepSupervision(0.5)
