"""The reordered upsampling convolution against the two plain steps it stands for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from causalseg.layers import upsample_conv as module
from causalseg.layers.upsample_conv import upsample_conv, upsample_conv_phases


def plain(x, weight, bias, size, align_corners=False):
    up = F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)
    return F.conv2d(up, weight, bias, padding=1)


def inputs(h, w, batch=2):
    torch.manual_seed(h * 31 + w)
    shapes = (batch, 3, h, w), (4, 3, 3, 3), (4,)
    return [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]


side = st.integers(1, 6)


@settings(max_examples=60, deadline=None)
@given(side, side, st.integers(1, 15), st.integers(1, 15), st.booleans(), st.booleans())
def test_any_size_equals_the_plain_form(h, w, height, width, align_corners, biased):
    x, weight, bias = inputs(h, w)
    bias = bias if biased else None
    expected = plain(x, weight, bias, (height, width), align_corners)
    found = upsample_conv(x, weight, bias, (height, width), align_corners=align_corners)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(side, side, st.integers(1, 5))
def test_integer_scales_have_the_plain_form_s_value_and_gradients(h, w, scale):
    arguments = inputs(h, w)
    size = (scale * h, scale * w)
    expected, found = plain(*arguments, size), upsample_conv(*arguments, size)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad(found, arguments, grad),
        torch.autograd.grad(expected, arguments, grad),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("size", "align_corners"),
    [((6, 9), False), ((8, 12), False), ((5, 7), False), ((6, 9), True), ((2, 2), True)],
)
def test_gradient_check(size, align_corners):
    arguments = inputs(2, 3, batch=1)

    def function(*given):
        return upsample_conv(*given, size, align_corners=align_corners)

    assert torch.autograd.gradcheck(function, arguments)


def test_small_blocks_give_the_same_value_and_gradients(monkeypatch):
    """Splitting over samples and channels is seen in the memory, never in the numbers."""
    torch.manual_seed(0)
    x = torch.randn(3, 5, 6, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(40, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(40, dtype=torch.float64, requires_grad=True)
    results = []
    for elements in (1 << 22, 1):
        monkeypatch.setattr(module, "CHUNK_ELEMENTS", elements)
        assert len(list(module._blocks(x, 40, 4))) == (1 if elements > 1 else 9)
        phases, _ = upsample_conv_phases(x, weight, bias, (24, 24))
        results.append([phases, *torch.autograd.grad(phases.square().sum(), (x, weight, bias))])
    for whole, split in zip(*results, strict=True):
        torch.testing.assert_close(split, whole, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("scale", range(1, module.LARGEST_SCALE + 1))
def test_the_ring_for_graphs_is_the_ring(scale):
    for size in ((1, 1), (1, 4), (3, 2)):
        taps = torch.randn(2, 9, *size, dtype=torch.float64)
        expected = module._ring(taps, scale)
        torch.testing.assert_close(module._ring_of_parts(taps, scale), expected)


def test_no_gradient_for_what_needs_none():
    x, weight, _ = inputs(3, 3)
    upsample_conv(x.detach(), weight, None, (6, 6)).sum().backward()
    assert weight.grad is not None
    assert x.grad is None


def test_tap_maps_are_not_kept_for_the_backward_pass():
    x, weight, bias = inputs(4, 4)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        upsample_conv_phases(x, weight, bias, (16, 16))
    assert sum(t.numel() for t in saved) <= x.numel() + weight.numel()


def test_phases_are_the_unshuffled_output():
    x, weight, bias = inputs(3, 5)
    phases, scale = upsample_conv_phases(x, weight, bias, (12, 20))
    expected = F.pixel_unshuffle(plain(x, weight, bias, (12, 20)), 4).view(2, 4, 16, 3, 5)
    assert scale == 4
    torch.testing.assert_close(phases, expected, rtol=1e-12, atol=1e-12)


def test_the_reordered_form_needs_a_twelfth_of_the_operations():
    torch.manual_seed(0)
    x, weight = torch.randn(1, 512, 14, 14), 0.02 * torch.randn(256, 512, 3, 3)
    found, counts = [], []
    for form in (upsample_conv, plain):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            found.append(form(x, weight, torch.zeros(256), (56, 56)))
        counts.append(counter.get_total_flops())
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    assert counts[1] == 2 * 512 * 256 * 9 * 56 * 56
    assert counts[1] / counts[0] > 12
