import pytest
import torch

from causalseg.encoders.config import ENCODERS
from causalseg.models.mcdrl.config import MCDRLConfig
from causalseg.models.mcdrl.intervention import CrossAttention, InterventionNetwork

WIDTH = ENCODERS["tiny"].embedding


def network(**options):
    torch.manual_seed(0)
    return InterventionNetwork(MCDRLConfig(encoder="tiny", **options)).eval()


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    return torch.randn(2, 5, WIDTH), torch.randn(12, WIDTH)


def slow_attention(layer, x, source, prior):
    """One query and one head at a time."""
    q, k, v = layer.query(x), layer.key(source), layer.value(source)
    width = x.shape[2] // layer.heads
    out = torch.zeros_like(x)
    for b in range(len(x)):
        for n in range(x.shape[1]):
            for h in range(layer.heads):
                s = slice(h * width, (h + 1) * width)
                logits = torch.stack([q[b, n, s] @ key[s] for key in k[0]]) / width**0.5
                weights = logits.exp() / logits.exp().sum() * prior
                out[b, n, s] = sum(w * value[s] for w, value in zip(weights, v[0], strict=True))
    return layer.out(out)


def test_attention_agrees_with_its_definition(inputs):
    x, z = inputs
    layer = CrossAttention(WIDTH, 8)
    prior = torch.rand(12)
    fast, weights = layer(x, z[None], prior)
    torch.testing.assert_close(fast, slow_attention(layer, x, z[None], prior), atol=1e-5, rtol=1e-4)
    plain_weights = layer(x, z[None], None)[1]
    torch.testing.assert_close(plain_weights * prior, weights)
    torch.testing.assert_close(plain_weights.sum(-1), torch.ones(2, 5))


def test_a_uniform_prior_changes_nothing_and_a_zero_removes_a_confounder(inputs):
    x, z = inputs
    net = network()
    plain, weights = net(x, z, None)
    torch.testing.assert_close(net(x, z, torch.ones(12))[0], plain)
    without = torch.ones(12)
    without[3] = 0
    assert weights[..., 3].min() > 0
    changed, masked = net(x, z, without)
    assert masked[..., 3].max() == 0
    other = z.clone()
    other[3] += 5  # softmax still normalises over it, so only its value is gone
    assert not torch.allclose(changed, plain)


def test_the_order_of_confounders_does_not_matter(inputs):
    x, z = inputs
    net = network()
    order = torch.randperm(12)
    one, weights = net(x, z, None)
    two, permuted = net(x, z[order], None)
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(weights[..., order], permuted)


def test_without_residual_every_output_lies_in_the_span_of_the_values(inputs):
    _, z = inputs
    x = torch.randn(1, 40, WIDTH)
    single = network(residual=False, heads=1, depth=2)  # each head has a span of its own
    last = single.layers[-1]
    centred = single(x, z, None)[0][0] - last.attention.out.bias
    span = last.attention.value(last.norm_source(z)) @ last.attention.out.weight.T
    assert torch.linalg.matrix_rank(span) == 12
    both = torch.cat([span, centred])
    assert torch.linalg.matrix_rank(both, rtol=1e-4) == 12
    with_residual = network(heads=1, depth=2)(x, z, None)[0][0]
    assert torch.linalg.matrix_rank(torch.cat([span, with_residual]), rtol=1e-4) > 12


def test_self_attention_has_as_many_parameters_and_ignores_the_dictionary(inputs):
    x, z = inputs
    ours, control = network(), network(attend="self")
    count = [sum(p.numel() for p in net.parameters()) for net in (ours, control)]
    assert count[0] == count[1]
    torch.testing.assert_close(control(x, z, None)[0], control(x, z + 1, None)[0])
    assert not torch.allclose(ours(x, z, None)[0], ours(x, torch.randn(12, WIDTH), None)[0])


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_depth_multiplies_the_layers(depth):
    net = network(depth=depth)
    one = sum(p.numel() for p in network(depth=1).parameters())
    assert sum(p.numel() for p in net.parameters()) == depth * one
