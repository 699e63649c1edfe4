"""Image towers whose every position lies in the joint space of images and texts."""

from torch import Tensor

from causalseg.encoders.config import CLIPConfig, ResNetConfig
from causalseg.encoders.resnet import AttentionPool, ResNetTower
from causalseg.encoders.tower import Tower
from causalseg.encoders.vit import VisionTransformer


class DenseResNet(ResNetTower):
    """A residual tower and the value path of its attention pool."""

    unused_weights = tuple(f"attnpool.{name}" for name in AttentionPool.UNUSED)
    """Tensors that a CLIP file holds only for the pooled feature; ignored by name when loading."""

    def __init__(self, config: ResNetConfig, embedding: int) -> None:
        super().__init__(config)
        self.last = len(config.layers)
        self.attnpool = AttentionPool(self.channels[self.last], embedding)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """(B, 3, H, W) -> the dense map (B, embedding, h, w), twice, as a ViT gives two."""
        dense: Tensor = self.attnpool(super().forward(images)[self.last])
        return dense, dense


def dense_tower(config: CLIPConfig) -> Tower:
    """The image tower of an encoder; called with images it gives (features, local features)."""
    if isinstance(config.image, ResNetConfig):
        return DenseResNet(config.image, config.embedding)
    return VisionTransformer(config.image, config.embedding)


def dense_stride(config: CLIPConfig) -> int:
    """Pixels between two positions of the dense map."""
    if isinstance(config.image, ResNetConfig):
        return int(2 ** (len(config.image.layers) + 1))
    return config.image.patch
