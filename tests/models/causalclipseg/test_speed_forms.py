"""What is done for speed changes no number: reordering, folding, caching, cutting, precision."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from causalseg import build_model, tokenize
from causalseg.errors import InputError
from causalseg.inference.optimise import TextCache, fold_batch_norms, optimise
from causalseg.inference.segmenter import Segmenter
from causalseg.models.causalclipseg import fast as reordered
from causalseg.text.batch import cut_at_eos, encode_distinct

TEXTS = ["one infected area, lower left lung.", "left", "bilateral pulmonary infection, all lung."]


def randomised(**options):
    torch.manual_seed(0)
    model = build_model("causalclipseg", encoder="tiny", **options).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model


def pair():
    fast, plain = randomised(), randomised(fast=False)
    plain.load_state_dict(fast.state_dict())
    return fast, plain


def images(batch=3, side=64):
    torch.manual_seed(1)
    return torch.randn(batch, 3, side, side, dtype=torch.float64)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("side", [64, 70])
def test_reordered_and_plain_agree_in_value_gradient_and_statistics(training, side, monkeypatch):
    monkeypatch.setattr(reordered, "CHUNK", 12)  # several groups of channels, the last one smaller
    fast, plain = pair()
    x, tokens, results = images(side=side), tokenize(TEXTS), []
    for model in (fast, plain):
        model.train(training)
        out = model(x, tokens, confounder=True)
        loss = out.logits.square().mean() + out.confounder_logits.sin().mean()
        names, parameters = zip(*model.named_parameters(), strict=True)
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
        results.append((out, dict(zip(names, grads, strict=True)), model.state_dict()))
    (out, grads, state), (expected, expected_grads, expected_state) = results
    torch.testing.assert_close(out.logits, expected.logits, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        out.confounder_logits, expected.confounder_logits, rtol=1e-9, atol=1e-9
    )
    for name, grad in expected_grads.items():
        if grad is not None:
            torch.testing.assert_close(grads[name], grad, rtol=1e-6, atol=1e-10, msg=name)
    for name, value in expected_state.items():  # running statistics are updated once a step
        torch.testing.assert_close(state[name], value, rtol=1e-9, atol=1e-12, msg=name)


def test_folding_leaves_no_batch_norm_and_the_same_logits():
    for model in pair():
        model.eval()
        x, tokens = images(), tokenize(TEXTS)
        with torch.no_grad():
            expected = model(x, tokens, confounder=True)
            count = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
            assert fold_batch_norms(model) == count
            found = model(x, tokens, confounder=True)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        torch.testing.assert_close(found.logits, expected.logits, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(
            found.confounder_logits, expected.confounder_logits, rtol=1e-9, atol=1e-9
        )


def test_a_wrongly_named_pair_is_an_error_and_not_a_wrong_mask(monkeypatch):
    model = randomised().eval()
    example = (images(1), tokenize(TEXTS[:1]))
    wrong = [("image_tower.conv1", "image_tower.bn2")]
    monkeypatch.setattr(model, "fold_pairs", lambda: wrong)
    with pytest.raises(InputError, match="fold_pairs"):
        optimise(model, example=example)


def test_many_texts_on_one_image_equal_one_text_at_a_time():
    model = randomised().eval()
    x, tokens = images(1), tokenize(TEXTS)
    with torch.no_grad():
        together = model.segment(model.encode_image(x), model.encode_text(tokens)).logits
        apart = torch.cat([model(x, tokens[i : i + 1]).logits for i in range(len(TEXTS))])
    torch.testing.assert_close(together, apart, rtol=1e-9, atol=1e-9)


def test_a_sequence_may_end_at_its_longest_eos():
    model, tokens = randomised().eval(), tokenize(TEXTS)
    cut = cut_at_eos(tokens)
    assert cut.shape[1] < tokens.shape[1]
    assert (tokens[:, cut.shape[1] :] == 0).all()
    torch.testing.assert_close(model.encode_text(cut), model.encode_text(tokens))


@pytest.mark.parametrize(("batch", "side"), [(1, 224), (8, 224), (1, 896), (32, 896)])
def test_groups_of_channels_stay_below_what_the_allocator_hands_back(batch, side):
    head = reordered.FastDecoder((32, 32, 100), 16, 3)
    x = torch.empty(batch, 32, 1, 1, device="meta")
    groups = list(head._chunks(x, (side, side)))
    assert [c for g in groups for c in range(g.start, g.stop)] == list(range(100))
    widest = max(g.stop - g.start for g in groups)
    assert widest <= reordered.CHUNK
    fits = batch * widest * side**2 * 4 <= reordered.CHUNK_BYTES
    assert fits or widest == reordered.MIN_CHUNK


class Counting(nn.Module):
    """A text tower's rows, counted."""

    def __init__(self, model):
        super().__init__()
        self.text_tower = model.text_tower
        self.rows = 0

    def encode_text(self, tokens):
        self.rows += len(tokens)
        return self.text_tower(tokens)


def test_a_repeated_caption_is_encoded_once_with_the_same_value_and_gradients():
    model, asked = randomised(), []
    tokens = tokenize([TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[0]])

    def encode(rows):
        asked.append(tuple(rows.shape))
        return model.encode_text(rows)

    weight, results = torch.randn(4, 1, dtype=torch.float64), []
    for tau in (model.encode_text(tokens), encode_distinct(encode, tokens)):
        parameters = list(model.text_tower.parameters())
        results.append((tau, *torch.autograd.grad((weight * tau.sin()).sum(), parameters)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert asked == [(2, int(tokens.argmax(1).max()) + 1)]


def test_a_training_step_with_repeated_captions_is_that_of_the_plain_form():
    tokens, rows, results = tokenize([TEXTS[0], TEXTS[1], TEXTS[0]]), [], []
    for model in pair():
        model.train()
        model.text_tower.register_forward_hook(lambda _, given, __: rows.append(len(given[0])))
        out = model(images(), tokens)
        loss = out.logits.square().mean() + out.confounder_logits.square().mean()
        results.append(torch.autograd.grad(loss, list(model.text_tower.parameters())))
    assert rows == [2, 3]
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_text_features_are_computed_once_for_each_content_and_state_of_the_weights():
    model = Counting(randomised().eval())
    cache, tokens = TextCache(model), tokenize([*TEXTS, TEXTS[0]])
    with torch.no_grad():
        torch.testing.assert_close(cache(tokens), model.text_tower(tokens))
        assert model.rows == 3
        cache(tokens[[3, 1]])
        assert model.rows == 3
        model.text_tower.text_projection.mul_(2)
        torch.testing.assert_close(cache(tokens), model.text_tower(tokens))
    assert model.rows == 6


def test_the_text_cache_is_bounded_by_bytes():
    model = Counting(randomised().eval())
    cache = TextCache(model)
    with torch.no_grad():
        cache(tokenize(TEXTS[:1]))
        one = cache.bytes
        assert one > model.text_tower(tokenize(TEXTS[:1])).nbytes
        cache.most_bytes = 2 * one
        model.rows = 0
        for text in TEXTS[1:]:
            cache(tokenize([text]))
        assert len(cache) == 2
        assert cache.bytes == 2 * one
        cache(tokenize(TEXTS[1:]))
        assert model.rows == 2
        cache(tokenize(TEXTS[:1]))
        assert model.rows == 3
        cache(tokenize(TEXTS))  # More than may be kept: one call's texts are, all the same.
        assert len(cache) == 3
        cache(tokenize(TEXTS[:1]))
        assert cache.bytes == 2 * one


def test_reduced_precision_stays_near_and_text_stays_in_full(tiny_checkpoint):
    full, half = (Segmenter.load(tiny_checkpoint, precision=p) for p in ("fp32", "bf16"))
    assert half.model.text_tower.text_projection.dtype == torch.float32
    assert half.model.maskers["2"].conv.weight.dtype == torch.bfloat16
    image = (torch.rand(64, 64, 3) * 255).byte().numpy()
    a, b = (s.probabilities([image], [TEXTS[0]]) for s in (full, half))
    assert b.dtype == a.dtype
    assert 0 < abs(a - b).max() < 0.02


def test_the_segmenter_s_folded_model_gives_the_checkpoint_s_probabilities(tiny_checkpoint):
    from causalseg.models.checkpoint import load_checkpoint

    segmenter = Segmenter.load(tiny_checkpoint)
    model = load_checkpoint(tiny_checkpoint).model
    image = (torch.rand(80, 64, 3) * 255).byte().numpy()
    batch = segmenter.preprocessing.image(image).unsqueeze(0)
    with torch.no_grad():
        expected = model(batch, tokenize(TEXTS[:1])).logits.sigmoid()[:, 0].numpy()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in segmenter.model.modules())
    assert abs(segmenter.probabilities([image], TEXTS[:1]) - expected).max() < 1e-5


def test_an_unknown_precision_is_refused(tiny_checkpoint):
    with pytest.raises(InputError, match="fp32 or bf16"):
        Segmenter.load(tiny_checkpoint, precision="int4")


def test_operations_of_the_paper_s_network():
    """At 224 px: what the reordered causal branch takes, and what it saves on the dense form."""
    with torch.device("meta"):
        fast, dense = (
            build_model("causalclipseg", encoder="RN101", adversary="none", fast=form).eval()
            for form in (True, False)
        )
        x, tokens = torch.empty(1, 3, 224, 224), torch.zeros(1, 20, dtype=torch.long)
    counts = []
    for model in (fast, dense):
        optimise(model)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(x, tokens)
        counts.append(counter.get_total_flops() / 1e9)
    assert counts[0] < 40
    assert counts[1] > 160
