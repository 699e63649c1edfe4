"""CausalCLIPSeg against few-line independent forms, and its gradients."""

import itertools
import warnings
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from causalseg import build_model, tokenize
from causalseg.errors import InputError
from causalseg.models.causalclipseg.config import CausalCLIPSegConfig
from causalseg.models.causalclipseg.decoder import correlate
from causalseg.models.causalclipseg.masker import Masker
from causalseg.models.causalclipseg.model import CausalCLIPSeg
from causalseg.models.causalclipseg.objective import MinMaxLoss
from causalseg.models.output import SegmentationOutput

TEXTS = ["upper left lung.", "lower right lung and middle left lung."]


def inputs(size: int = 64, count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, size, size, generator=generator)
    masks = (torch.rand(count, 1, size, size, generator=generator) > 0.7).float()
    return images, tokenize((TEXTS * count)[:count]), masks


def tiny(**options: object) -> CausalCLIPSeg:
    torch.manual_seed(0)
    model = build_model("causalclipseg", encoder="tiny", **options)
    assert isinstance(model, CausalCLIPSeg)
    return model


def test_correlation_is_equation_1() -> None:
    """S[y, x] = sum_cij W[c, i, j] F[c, y + i - 1, x + j - 1] + b, zeros outside: by loops."""
    generator = torch.Generator().manual_seed(1)
    f = torch.randn(2, 3, 4, 5, generator=generator)
    w = torch.randn(2, 3, 3, 3, generator=generator)
    b = torch.randn(2, generator=generator)
    expected = torch.zeros(2, 1, 4, 5)
    for n, y, x in itertools.product(range(2), range(4), range(5)):
        total = float(b[n])
        for c, i, j in itertools.product(range(3), range(3), range(3)):
            yy, xx = y + i - 1, x + j - 1
            if 0 <= yy < 4 and 0 <= xx < 5:
                total += float(w[n, c, i, j] * f[n, c, yy, xx])
        expected[n, 0, y, x] = total
    torch.testing.assert_close(correlate(f, w, b), expected)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("size", [64, 75])
def test_fast_and_plain_forms_agree(kernel_size: int, size: int) -> None:
    fast = tiny(kernel_size=kernel_size).eval()
    plain = tiny(kernel_size=kernel_size, fast=False).eval()
    plain.load_state_dict(fast.state_dict())
    for module in (*fast.modules(), *plain.modules()):  # statistics that are not the identity
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(0.3)
            module.running_mean.fill_(0.1)
    images, tokens, _ = inputs(size)
    with torch.inference_mode():
        a, b = fast(images, tokens, confounder=True), plain(images, tokens, confounder=True)
    assert a.logits.shape == (2, 1, size, size)
    torch.testing.assert_close(a.logits, b.logits, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(a.confounder_logits, b.confounder_logits, atol=2e-4, rtol=1e-4)


def test_fast_and_plain_gradients_agree() -> None:
    images, tokens, masks = inputs()
    gradients = []
    for fast in (True, False):
        model = tiny(fast=fast).double().train()
        output = model(images.double(), tokens)
        losses = MinMaxLoss(model.config)(output, {"mask": masks.double()})
        losses["loss"].backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-9, rtol=1e-6)


def test_masks_split_the_features_in_two() -> None:
    """Eq. 2: F^c + F^s = F, with M between 0 and 1 and one value a location."""
    model = tiny().eval()
    images, _, _ = inputs()
    with torch.inference_mode():
        features = model.image_tower(images)
        masks = {int(s): m(features[int(s)]) for s, m in model.maskers.items()}
        confounding = model._confounding(features, masks)
    for stage, f in features.items():
        assert masks[stage].shape == (2, 1, *f.shape[2:])
        assert masks[stage].min() > 0
        assert masks[stage].max() < 1
        torch.testing.assert_close(masks[stage] * f + confounding[stage], f)


def test_masker_is_coordconv_conv_sigmoid() -> None:
    masker = Masker(3, 4, 1)
    x = torch.randn(1, 3, 5, 6)
    xs = torch.linspace(-1, 1, 6).expand(1, 1, 5, 6)
    ys = torch.linspace(-1, 1, 5).view(1, 1, 5, 1).expand(1, 1, 5, 6)
    first = F.conv2d(
        torch.cat([x, xs, ys], 1), masker.coordconv.conv.weight, masker.coordconv.conv.bias,
        padding=1,
    )  # fmt: skip
    second = F.conv2d(first.relu(), masker.conv.weight, masker.conv.bias, padding=1)
    torch.testing.assert_close(masker(x), 1 / (1 + torch.exp(-second)))


@pytest.mark.parametrize("adversary", ["reversal", "literal", "none"])
@pytest.mark.parametrize("per_channel_mask", [False, True])
def test_every_parameter_gets_a_gradient(adversary: str, per_channel_mask: bool) -> None:
    model = tiny(adversary=adversary, per_channel_mask=per_channel_mask).train()
    images, tokens, masks = inputs()
    MinMaxLoss(model.config)(model(images, tokens), {"mask": masks})["loss"].backward()
    unused = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert unused == []


def test_only_the_masker_plays_against_the_confounding_decoder() -> None:
    """With `reversal`, L_s reaches the confounding branch and, reversed, the masker; no tower."""
    model = tiny(adversary="reversal", adversary_weight=0.3).train()
    images, tokens, masks = inputs()
    output = model(images, tokens)
    F.binary_cross_entropy_with_logits(output.confounder_logits, masks).backward()
    moved = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None}
    assert moved == {"maskers", "confounding"}
    reversed_gradient = model.maskers["2"].conv.weight.grad.clone()

    plain = tiny(adversary="literal").train()
    plain.load_state_dict(model.state_dict())
    output = plain(images, tokens)
    F.binary_cross_entropy_with_logits(output.confounder_logits, masks).backward()
    torch.testing.assert_close(reversed_gradient, -0.3 * plain.maskers["2"].conv.weight.grad)
    assert plain.image_tower.conv1.weight.grad.any()  # literally, all parameters maximise L_s


def test_literal_loss_is_equation_3() -> None:
    config = CausalCLIPSegConfig(encoder="tiny", adversary="literal", adversary_weight=0.2)
    logits, confounder, mask = torch.randn(3, 2, 1, 4, 4).unbind(0)
    mask = (mask > 0).float()
    losses = MinMaxLoss(config)(SegmentationOutput(logits, confounder), {"mask": mask})

    def cross_entropy(z: torch.Tensor) -> torch.Tensor:
        p = 1 / (1 + torch.exp(-z))
        return -(mask * p.log() + (1 - mask) * (1 - p).log()).mean()

    torch.testing.assert_close(losses["causal"], cross_entropy(logits))
    torch.testing.assert_close(
        losses["loss"], cross_entropy(logits) - 0.2 * cross_entropy(confounder)
    )


def test_alternating_turns() -> None:
    config = CausalCLIPSegConfig(encoder="tiny", adversary="alternating", adversary_weight=0.5)
    objective = MinMaxLoss(config)
    assert objective.updates("causal.fusion.conv.weight", 0)
    assert not objective.updates("maskers.2.conv.weight", 0)
    assert objective.updates("maskers.2.conv.weight", 1)
    assert not objective.updates("image_tower.conv1.weight", 1)
    logits, confounder = torch.randn(2, 1, 1, 4, 4).unbind(0)
    output, batch = SegmentationOutput(logits, confounder), {"mask": torch.ones(1, 1, 4, 4)}
    even, odd = objective(output, batch, 0), objective(output, batch, 1)
    torch.testing.assert_close(even["loss"], even["causal"] + even["confounding"])
    torch.testing.assert_close(odd["loss"], odd["causal"] - 0.5 * odd["confounding"])


def test_runaway_confounder_loss_warns_once() -> None:
    config = CausalCLIPSegConfig(encoder="tiny", adversary="literal")
    objective = MinMaxLoss(config)
    output = SegmentationOutput(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), -50.0))
    batch = {"mask": torch.ones(1, 1, 2, 2)}
    with pytest.warns(UserWarning, match="no lower bound"):
        objective(output, batch, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective(output, batch, 1)


def test_text_selects() -> None:
    model = tiny().eval()
    images, _, _ = inputs(count=1)
    with torch.inference_mode():
        features = model.encode_image(images)
        both = model.segment(features, model.encode_text(tokenize(TEXTS))).logits
        alone = torch.cat([model(images, tokenize(text)).logits for text in TEXTS])
    assert (both[0] - both[1]).abs().max() > 1e-3
    torch.testing.assert_close(both, alone, atol=1e-5, rtol=1e-4)


def test_confounder_only_where_asked_for() -> None:
    model = tiny()
    images, tokens, _ = inputs()
    assert model.train()(images, tokens).confounder_logits is not None
    assert model.eval()(images, tokens).confounder_logits is None
    assert model(images, tokens, confounder=True).confounder_logits.shape == (2, 1, 64, 64)
    assert sorted(model(images, tokens).attention) == [2, 3, 4]


def test_official_scale_pools_the_finer_stage() -> None:
    model = tiny(unified_stage=3).eval()
    images, tokens, _ = inputs(64)
    fused = model.causal.fusion(model.image_tower(images))
    assert fused.shape[2:] == (4, 4)  # a stride of 16
    assert model(images, tokens).logits.shape == (2, 1, 64, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "RN1"}, "no encoder 'RN1'"),
        ({"encoder": "ViT-B-16"}, "is a ViT"),
        ({"encoder": "tiny", "masker": False}, "set adversary to 'none'"),
        ({"encoder": "tiny", "adversary": "literl"}, "adversary must be one of .* not 'literl'"),
        ({"encoder": "tiny", "masker": "of"}, "masker must be one of"),
        ({"encoder": "tiny", "masker": "additive"}, "set adversary to 'none'"),
        ({"encoder": "tiny", "unified_stage": 5}, "unified_stage"),
        ({"encoder": "tiny", "kernel_size": 2}, "odd"),
        ({"encoder": "tiny", "lamda": 1}, "no option 'lamda'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_model("causalclipseg", **options)


def test_the_additive_control_has_the_masker_s_parameters_and_hides_nothing() -> None:
    control = tiny(masker="additive", adversary="none").eval()
    gated = tiny(adversary="none").eval()
    control.load_state_dict(gated.state_dict())  # the same parameters, name by name
    images, tokens, _ = inputs()
    output = control(images, tokens)
    assert output.attention == {}
    features = control.image_tower(images)
    masks = gated(images, tokens).attention
    expected = control.causal({i: x + masks[i] for i, x in features.items()}, (64, 64))
    torch.testing.assert_close(control.encode_image(images).pixels, expected)


def test_config_is_frozen_and_replaceable() -> None:
    config = CausalCLIPSegConfig(encoder="tiny")
    assert replace(config, adversary_weight=0.5).adversary_weight == 0.5
    assert config.head == (64, 64, 32)
    assert CausalCLIPSegConfig().head == (512, 512, 256)
