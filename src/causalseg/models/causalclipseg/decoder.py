"""Text-pixel alignment: S = D(tau, F) = W_tau * up(F) + b_tau (Eq. 1)."""

from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.resize import resize


def correlate(features: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Cross-correlate each sample with its own kernel, zero-padded to the same size.

    Args:
        features: up(F), (B, C, H, W).
        kernel: W_tau, (B, C, K, K).
        bias: b_tau, (B,).

    Returns:
        S, (B, 1, H, W).

    """
    batch, channels, height, width = features.shape
    grouped = features.reshape(1, batch * channels, height, width)
    padding = kernel.shape[-1] // 2
    out = F.conv2d(grouped, kernel, bias, padding=padding, groups=batch)
    return out.view(batch, 1, height, width)


class Decoder(nn.Module):
    """Upsamples the features to full resolution and correlates them with a kernel made from text.

    up(F) is twice: bilinear upsampling (by 4 from 1/16), 3x3 convolution, batch norm, ReLU; then a
    1x1 convolution.

    Args:
        channels: C of the fused features and of the two upsampling steps.
        embedding: size of tau.
        kernel_size: K.

    """

    def __init__(self, channels: tuple[int, int, int], embedding: int, kernel_size: int) -> None:
        super().__init__()
        fused, first, second = channels
        self.kernel_size = kernel_size
        self.up1 = nn.Conv2d(fused, first, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(first)
        self.up2 = nn.Conv2d(first, second, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(second)
        self.project = nn.Conv2d(second, second, 1)
        self.kernel = nn.Linear(embedding, second * kernel_size**2 + 1)

    def upsample(self, fused: Tensor, size: tuple[int, int]) -> Tensor:
        """First step of up(F): F (B, C, h, w) -> (B, C_1, ceil(H / 4), ceil(W / 4)) of (H, W)."""
        quarter = (-(-size[0] // 4), -(-size[1] // 4))
        return F.relu(self.norm1(self.up1(resize(fused, quarter))))

    def text_kernel(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """tau (B, T) -> W_tau (B, C_2, K, K), b_tau (B,): D = C_2 * K * K + 1 numbers."""
        d = self.kernel(tau)
        return d[:, :-1].view(d.shape[0], -1, self.kernel_size, self.kernel_size), d[:, -1]

    def respond(self, x: Tensor, tau: Tensor, size: tuple[int, int]) -> Tensor:
        """Second step of up(F), then S of each text: logits (B, 1, H, W).

        Args:
            x: from `upsample`; (B, C_1, h, w), or (1, C_1, h, w) to be shared by all texts.
            tau: (B, T).
            size: (H, W).

        """
        pixels = self.project(F.relu(self.norm2(self.up2(resize(x, size)))))
        return correlate(pixels.expand(len(tau), -1, -1, -1), *self.text_kernel(tau))
