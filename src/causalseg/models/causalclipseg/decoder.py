"""Text-pixel alignment: S = D(tau, F) = W_tau * up(F) + b_tau (Eq. 1)."""

from torch import Tensor, nn
from torch.nn import functional as F

from causalseg.layers.upsample_conv import UpsampleConv


def correlate(features: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Cross-correlate each sample with its own kernel (Eq. 1), zero-padded to the same size.

    Args:
        features: (B, C, H, W).
        kernel: (B, C, K, K).
        bias: (B,).

    Returns:
        (B, 1, H, W).

    """
    batch, channels, height, width = features.shape
    grouped = features.reshape(1, batch * channels, height, width)
    padding = kernel.shape[-1] // 2
    out = F.conv2d(grouped, kernel, bias, padding=padding, groups=batch)
    return out.view(batch, 1, height, width)


class Decoder(nn.Module):
    """Upsamples the features to full resolution and correlates them with a kernel made of text.

    Args:
        channels: C of the fused features and of the two upsampling steps.
        embedding: size of tau.
        kernel_size: K.
        fast: reordered arithmetic, or Eq. 1 plainly.

    """

    def __init__(
        self, channels: tuple[int, int, int], embedding: int, kernel_size: int, *, fast: bool
    ) -> None:
        super().__init__()
        fused, first, second = channels
        self.kernel_size = kernel_size
        self.fast = fast
        self.up1 = UpsampleConv(fused, first, bias=False, fast=fast)
        self.norm1 = nn.BatchNorm2d(first)
        self.up2 = UpsampleConv(first, second, bias=False, fast=fast)
        self.norm2 = nn.BatchNorm2d(second)
        self.project = nn.Conv2d(second, second, 1)
        self.kernel = nn.Linear(embedding, second * kernel_size**2 + 1)

    def upsample(self, fused: Tensor, size: tuple[int, int]) -> Tensor:
        """Fused features (B, C, h, w) to (B, C_2, *size): all of up(F) but its last 1x1."""
        quarter = (-(-size[0] // 4), -(-size[1] // 4))
        x = F.relu(self.norm1(self.up1(fused, quarter)))
        return F.relu(self.norm2(self.up2(x, size)))

    def text_kernel(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """tau (B, T) -> W_tau (B, C_2, K, K), b_tau (B,)."""
        d = self.kernel(tau)
        return d[:, :-1].view(len(d), -1, self.kernel_size, self.kernel_size), d[:, -1]

    def respond(self, pixels: Tensor, tau: Tensor) -> Tensor:
        """The response map of a text.

        The last 1x1 convolution u = P f + p is folded into the kernel: each tap's response is
        (W_tap P) f + W_tap p, a matrix product; the taps are then shifted and added. The constant
        is added before the zero padding, as the convolution would see it.

        Args:
            pixels: (B, C_2, H, W), or (1, C_2, H, W) to be shared by all texts.
            tau: (B, T).

        Returns:
            (B, 1, H, W) logits.

        """
        kernel, bias = self.text_kernel(tau)
        if not self.fast:
            pixels = pixels.expand(len(tau), -1, -1, -1)
            return correlate(self.project(pixels), kernel, bias)
        size = self.kernel_size
        taps = kernel.flatten(2).transpose(1, 2)  # (B, K*K, C)
        constant = taps @ self.project.bias.unsqueeze(1)  # type: ignore[union-attr]
        folded = taps @ self.project.weight.flatten(1)
        if len(pixels) == 1:  # one product for all texts
            maps = folded.flatten(0, 1) @ pixels[0].flatten(1)
            maps = maps.view(len(tau), size**2, -1)
        else:
            maps = folded @ pixels.flatten(2)
        height, width = pixels.shape[2:]
        maps = F.pad((maps + constant).view(len(tau), -1, height, width), [size // 2] * 4)
        out = bias.view(-1, 1, 1)
        for i in range(size):
            for j in range(size):
                out = out + maps[:, i * size + j, i : i + height, j : j + width]
        return out.unsqueeze(1)
