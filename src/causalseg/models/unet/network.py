"""Four networks without text: U-Net, Attention U-Net, UNet++ and nnU-Net's network."""

from collections.abc import Sequence

from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor, nn

from causalseg.layers.blocks import SingleConvEncoder, SkipDecoder, double_conv

DEEPEST = 512
"""Most channels of a stage of nnU-Net in two dimensions."""
SMALLEST_EDGE = 4
"""nnU-Net halves the image until an edge would be shorter than this."""


class UNetNetwork(nn.Module):
    """U-Net in the form that the field's tables have used since UCTransNet.

    Args:
        width: channels of the first level; 64 in the papers.

    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = SingleConvEncoder(width)
        self.decoder = SkipDecoder(self.encoder.channels, transposed=True)
        self.head = nn.Conv2d(self.decoder.channels, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), sides that 16 divides -> (B, 1, H, W)."""
        logits: Tensor = self.head(self.decoder(self.encoder(images)))
        return logits


class Gate(nn.Module):
    """Additive attention: sigmoid(psi(ReLU(W_g g + W_x x))) weighs each position of the skip x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 2
        self.gate = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden))
        self.skip = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.BatchNorm2d(hidden))
        self.psi = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 1, 1, bias=False),
            nn.BatchNorm2d(1),
            nn.Sigmoid(),
        )

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """Gating signal and skip, (B, C, h, w) each -> the weighed skip."""
        weighed: Tensor = skip * self.psi(self.gate(up) + self.skip(skip))
        return weighed


class _GatedDecoder(SkipDecoder):
    """Up is nearest neighbour and a 3x3 convolution that halves the channels."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__(channels, transposed=False)
        pairs = list(zip(reversed(channels[1:]), reversed(channels[:-1]), strict=True))
        self.ups = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2),
                nn.Conv2d(below, skip, 3, padding=1),
                nn.BatchNorm2d(skip),
                nn.ReLU(inplace=True),
            )
            for below, skip in pairs
        )
        self.convs = nn.ModuleList(double_conv(2 * skip, skip) for _, skip in pairs)
        self.gates = nn.ModuleList(Gate(skip) for _, skip in pairs)
        self.channels = channels[0]

    def join(self, index: int, up: Tensor, skip: Tensor) -> Tensor:
        """The gated skip."""
        gated: Tensor = self.gates[index](up, skip)
        return gated


class AttentionUNetNetwork(nn.Module):
    """U-Net whose four skips pass a gate that the coarser level controls.

    Args:
        width: channels of the first level; 64 in the papers. They double at each of five levels.

    """

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [width * 2**i for i in range(5)]
        self.encoder = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2) if i else nn.Identity(), double_conv(before, after))
            for i, (before, after) in enumerate(zip([3, *channels[:-1]], channels, strict=True))
        )
        self.decoder = _GatedDecoder(channels)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), sides that 16 divides -> (B, 1, H, W)."""
        maps = [self.encoder[0](images)]
        for level in list(self.encoder)[1:]:
            maps.append(level(maps[-1]))
        logits: Tensor = self.head(self.decoder(maps))
        return logits


class UNetPlusPlusNetwork(nn.Module):
    """Nested U-Net (MONAI's `BasicUNetPlusPlus`), its four heads averaged.

    Args:
        width: channels of the first level; 32 in the paper.

    """

    def __init__(self, width: int) -> None:
        super().__init__()
        features = (width, 2 * width, 4 * width, 8 * width, 16 * width, width)
        self.network = BasicUNetPlusPlus(
            2, 3, 1, features=features, deep_supervision=True, act="relu", norm="batch"
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W), sides that 16 divides -> the heads X(0, 1..4), (B, 1, H, W) each."""
        heads: list[Tensor] = self.network(images)
        return heads


class NNUNetNetwork(nn.Module):
    """The network that nnU-Net plans for a size in two dimensions (MONAI's `DynUNet`).

    Args:
        width: channels of the first stage; 32 in nnU-Net. They double up to 16 times `width`.
        resolution: image side in pixels, which decides the number of stages.

    """

    def __init__(self, width: int, resolution: int) -> None:
        super().__init__()
        halvings = 0
        while resolution % 2 ** (halvings + 1) == 0 and (
            resolution // 2 ** (halvings + 1) >= SMALLEST_EDGE
        ):
            halvings += 1
        self.stages = halvings + 1
        self.stride = 2**halvings
        self.network = DynUNet(
            2,
            3,
            1,
            kernel_size=[3] * self.stages,
            strides=[1] + [2] * halvings,
            upsample_kernel_size=[2] * halvings,
            filters=[min(DEEPEST, 16 * width, width * 2**i) for i in range(self.stages)],
            norm_name="instance",
            deep_supervision=True,
            deep_supr_num=halvings - 2,  # all decoder stages but the lowest
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> logits (B, 1, H, W), finest first: all in training, else one."""
        out = self.network(images)
        return list(out.unbind(1)) if self.training else [out]
