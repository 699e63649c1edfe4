"""MONAI's DynUNet behind this package's contract: the worked example of adding a model.

It reads no text. The network is that of nnU-Net's 2D plan (Isensee et al., Nature Methods 2021,
https://doi.org/10.1038/s41592-020-01008-z) without deep supervision and without nnU-Net's trainer;
code and licence (Apache-2.0) are MONAI's, which is installed and not copied.
"""

from dataclasses import dataclass

from monai.networks.nets import DynUNet as Network
from torch import Tensor

from causalseg.errors import InputError
from causalseg.models.base import ImageOnlyModel, ModelConfig
from causalseg.models.output import SegmentationOutput

FILTERS = {"paper": (32, 64, 128, 256, 512, 512), "compact": (16, 32, 64, 128, 128)}


@dataclass(frozen=True, kw_only=True)
class DynUNetConfig(ModelConfig):
    """Options of DynUNet."""

    filters: tuple[int, ...] | None = None
    """Channels of each level, each at half the resolution of the one before; None: by `size`."""

    def __post_init__(self) -> None:
        if self.filters is None:
            object.__setattr__(self, "filters", FILTERS[self.size])
        if len(self.levels) < 3:
            raise InputError(f"filters must name at least 3 levels, not {len(self.levels)}.")

    @property
    def levels(self) -> tuple[int, ...]:
        """`filters`, resolved."""
        return self.filters or FILTERS[self.size]


class DynUNet(ImageOnlyModel):
    """nnU-Net's network, by MONAI: an encoder and a decoder of instance-normalised convolutions.

    Example:
        >>> model = build_model("dynunet", size="compact").eval()
        >>> model(images).logits.shape
        torch.Size([1, 1, 160, 160])

    """

    config_class = DynUNetConfig
    paper_parameters = 20_611_713
    config: DynUNetConfig

    def __init__(self, config: DynUNetConfig) -> None:
        super().__init__(config)
        steps = len(config.levels) - 1
        self.stride = 2**steps
        self.network = Network(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            kernel_size=[3] * (steps + 1),
            strides=[1] + [2] * steps,
            upsample_kernel_size=[2] * steps,
            filters=list(config.levels),
        )

    def segment_image(self, images: Tensor) -> SegmentationOutput:
        """Segment images (B, 3, H, W); H and W multiples of 2 to the number of downsamplings.

        Raises:
            InputError: a side is not such a multiple.

        """
        height, width = images.shape[2:]
        if height % self.stride or width % self.stride:
            raise InputError(
                f"dynunet halves an image {self.stride.bit_length() - 1} times and cannot take "
                f"one of {width} x {height}; choose a size that {self.stride} divides."
            )
        return SegmentationOutput(self.network(images))
