"""CARAFE's reassembly against its definition, written as loops."""

import torch
from torch.nn import functional as F

from causalseg.layers.carafe import CARAFE, reassemble


def by_definition(x, kernels, scale):
    batch, channels, height, width = x.shape
    size = int(kernels.shape[1] ** 0.5)
    r = size // 2
    out = torch.zeros(batch, channels, scale * height, scale * width, dtype=x.dtype)
    for Y in range(scale * height):  # noqa: N806
        for X in range(scale * width):  # noqa: N806
            for i in range(size):
                for j in range(size):
                    y, u = Y // scale + i - r, X // scale + j - r
                    if 0 <= y < height and 0 <= u < width:
                        weight = kernels[:, i * size + j, Y, X].unsqueeze(1)
                        out[:, :, Y, X] += weight * x[:, :, y, u]
    return out


def test_reassembly_is_the_weighted_sum_of_the_neighbourhood():
    torch.manual_seed(0)
    for scale, size in ((2, 5), (3, 3), (1, 3)):
        x = torch.randn(2, 3, 3, 4, dtype=torch.float64)
        kernels = torch.randn(2, size**2, 3 * scale, 4 * scale, dtype=torch.float64)
        torch.testing.assert_close(reassemble(x, kernels, scale), by_definition(x, kernels, scale))


def test_a_1x1_convolution_may_come_before_the_reassembly():
    torch.manual_seed(0)
    layer = CARAFE(6, 2).double()
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    weight = torch.randn(7, 6, 1, 1, dtype=torch.float64)
    after = F.conv2d(layer(x), weight)
    torch.testing.assert_close(layer(x, F.conv2d(x, weight)), after)


def test_kernels_are_normalised():
    kernels = CARAFE(6, 2).kernels(torch.randn(1, 6, 5, 4))
    torch.testing.assert_close(kernels.sum(1), torch.ones(1, 10, 8))
