import numpy as np
import pytest
import torch

from causalseg import build_model, tokenize
from causalseg.data.preprocessing import Preprocessing
from causalseg.encoders.transformer import TextTower
from causalseg.errors import InputError
from causalseg.inference.segmenter import Segmenter
from causalseg.models.checkpoint import load_checkpoint, save_checkpoint
from causalseg.models.mcdrl.config import MCDRLConfig
from causalseg.training.config import OptimizerConfig

IMAGES = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def build(seed=0, **options):
    torch.manual_seed(seed)
    return build_model("mcdrl", **({"encoder": "tiny"} | options))


def save(path, model):
    save_checkpoint(
        path,
        model,
        preprocessing=Preprocessing(size=96).to_dict(),
        threshold=0.4,
        provenance={},
    )


@torch.no_grad()
def test_the_output_holds_scores_and_attention():
    out = build().eval()(IMAGES)
    assert out.logits.shape == (2, 1, 96, 96)
    assert out.region_scores.shape == (2, 5, 3, 3)
    assert out.region_scores.abs().max() <= 1.0001
    assert out.confounder_attention.shape == (2, 4, 12)  # half of 9 positions
    torch.testing.assert_close(out.confounder_attention.sum(-1), torch.ones(2, 4))


OPTIONS = [
    {"alpha": 1.0},
    {"elsewhere": "zero"},
    {"intervention": False},
    {"attend": "self"},
    {"dictionary": "random"},
    {"dictionary": "learned"},
    {"dictionary": "shuffled"},
    {"dictionary": "irrelevant"},
    {"template": "class-domain"},
    {"dictionary_update": "ema"},
    {"prior": tuple(range(12))},
    {"depth": 1},
    {"depth": 5},
    {"heads": 4},
    {"residual": False},
    {"head_channels": (16, 8)},
    {"causal_scale": "raw"},
    {"prompts": "chest_xray", "lesion": "nodule"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_trains_and_changes_something(options, tmp_path):
    model = build(**options)
    batch = {"mask": (torch.rand(2, 1, 96, 96) > 0.5).float()}
    objective = model.objective()
    loss = objective(model.train()(IMAGES), batch)["loss"]
    loss.backward()
    unused = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    # Self-attention keeps the dictionary out; all else that can learn has a gradient.
    assert unused == []
    plain = build()
    plain_loss = plain.objective()(plain.train()(IMAGES), batch)["loss"]
    if options != {"dictionary_update": "ema"}:  # which shows after a step
        assert float(loss.detach()) != float(plain_loss.detach())
    save(tmp_path / "m.safetensors", model)
    back = load_checkpoint(tmp_path / "m.safetensors").model
    with torch.no_grad():
        torch.testing.assert_close(back(IMAGES).logits, model.eval()(IMAGES).logits)


@torch.no_grad()
def test_vit_similarity_comes_from_the_value_path_or_the_plain_tokens(monkeypatch):
    from causalseg.encoders import config

    small = config.CLIPConfig(
        image=config.ViTConfig(patch=16, width=32, layers=2, heads=2, resolution=96),
        text=config.ENCODERS["tiny"].text,
        embedding=64,
    )
    monkeypatch.setitem(config.ENCODERS, "ViT-B-16", small)
    local = build(encoder="ViT-B-16").eval()
    plain = build(encoder="ViT-B-16", patch_features="plain").eval()
    plain.load_state_dict(local.state_dict())
    dense, similar = local.image_tower(IMAGES)
    for model, used in ((local, similar), (plain, dense)):
        wanted = torch.cosine_similarity(
            used[:, None], model.classes[None, :, :, None, None], dim=2
        )
        torch.testing.assert_close(model(IMAGES).region_scores, wanted, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(local(IMAGES).region_scores, plain(IMAGES).region_scores)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"depth": 6}, "depth"),
        ({"heads": 7}, "heads"),
        ({"lesion": "spleen"}, "lesion"),
        ({"prior": (0.0,) * 12}, "prior"),
        ({"temperature": 0.0}, "temperature"),
        ({"image_rate": -1.0}, "image_rate"),
        ({"dictionary_update": "ema", "dictionary": "learned"}, "ema"),
        ({"dictionary": "nowhere.json"}, "nowhere"),
        ({"encoder": "ViT-H"}, "encoder"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        build(**options)


def test_a_prior_of_another_length_is_refused():
    with pytest.raises(InputError, match="3 weights for 12"):
        build(prior=(1.0, 1.0, 1.0))(IMAGES)


def test_the_intervention_is_on_after_the_warm_up_and_the_checkpoint_knows(tmp_path):
    model = build(warmup_epochs=2).eval()
    assert model(IMAGES).confounder_attention is not None  # a model that is used, not trained
    for epoch, on in ((0, False), (1, False), (2, True), (7, True)):
        model.on_epoch(epoch)
        out = model(IMAGES)
        assert (out.confounder_attention is not None) == on
        assert ("pooled" in out.auxiliary) == on
    model.on_epoch(1)
    save(tmp_path / "m.safetensors", model)
    back = load_checkpoint(tmp_path / "m.safetensors").model
    assert back(IMAGES).confounder_attention is None
    back.on_epoch(2)  # what training tells a resumed run
    assert back(IMAGES).confounder_attention is not None


@torch.no_grad()
def test_without_intervention_the_kept_map_reaches_the_head_unchanged():
    out = build(intervention=False).eval()(IMAGES)
    assert torch.equal(out.auxiliary["fused"], out.auxiliary["dense"])
    zeroed = build(intervention=False, elsewhere="zero").eval()(IMAGES)
    share = (zeroed.auxiliary["fused"] == 0).all(1).float().mean()
    assert float(share) == pytest.approx(5 / 9)


def test_the_moving_dictionary_moves_in_training_only():
    model = build(dictionary_update="ema")
    start = model.confounders.clone()
    model.eval()(IMAGES)
    assert torch.equal(model.confounders, start)
    model.train()(IMAGES).logits.sum().backward()
    moved = (model.confounders - start).norm(dim=1) / start.norm(dim=1)
    assert float(moved.min()) > 0
    assert float(moved.max()) <= 0.1 + 1e-4  # 0.05 of the way to a vector of the same length
    frozen = build()
    frozen.train()(IMAGES)
    assert torch.equal(frozen.confounders, start)


def test_no_text_encoder_is_kept_or_needed(tmp_path, monkeypatch):
    model = build().eval()
    assert not any("text" in name for name in model.state_dict())
    save(tmp_path / "m.safetensors", model)

    def refuse(*_):
        raise AssertionError("the text encoder was built")

    monkeypatch.setattr(TextTower, "__init__", refuse)
    back = load_checkpoint(tmp_path / "m.safetensors").model
    for name in ("classes", "confounders", "causal_target"):
        assert torch.equal(getattr(back, name), getattr(model, name))


def test_texts_do_not_change_the_mask_and_share_one_image(tmp_path):
    model = build().eval()
    save(tmp_path / "m.safetensors", model)
    segmenter = Segmenter.load(tmp_path / "m.safetensors")
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    first, second = segmenter.prompts(image, ["polyp", "anything else"])
    assert np.array_equal(first.probability, second.probability)
    assert first.mask.shape == (50, 70)
    assert segmenter.probabilities([image], ["a", "b", "c"]).shape == (3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(model(IMAGES, tokenize(["x", "y"])).logits, model(IMAGES).logits)


def test_new_modules_learn_faster_than_pretrained_ones(tmp_path):
    from safetensors.torch import save_file

    donor = build(seed=9).image_tower.state_dict()
    save_file({k: v for k, v in donor.items() if "attnpool" not in k}, tmp_path / "r.safetensors")
    weights = f"imagenet:{tmp_path / 'r.safetensors'}"
    model = build(weights=weights)
    groups = {g.name: g for g in model.parameter_groups(OptimizerConfig())}
    assert groups["image"].factor == 0.01
    slow = {id(p) for p in groups["image"].parameters}
    names = {name for name, p in model.named_parameters() if id(p) in slow}
    assert "image_tower.conv1.weight" in names
    assert not any("attnpool" in name for name in names)  # ImageNet has no such projection
    every = {id(p) for group in groups.values() for p in group.parameters}
    assert every == {id(p) for p in model.parameters()}
    (only,) = build().parameter_groups(OptimizerConfig())
    assert only.name == "new"  # at random, nothing is pretrained


def test_a_frozen_tower_keeps_weights_and_statistics(tmp_path):
    from safetensors.torch import save_file

    donor = build(seed=9).image_tower.state_dict()
    save_file({k: v for k, v in donor.items() if "attnpool" not in k}, tmp_path / "r.safetensors")
    model = build(weights=f"imagenet:{tmp_path / 'r.safetensors'}", image_rate=0.0).train()
    (group,) = model.parameter_groups(OptimizerConfig())
    before = {k: v.clone() for k, v in model.image_tower.state_dict().items()}
    optimizer = torch.optim.SGD(group.parameters, lr=0.1)
    model(IMAGES).logits.square().mean().backward()
    optimizer.step()
    changed = {
        k for k, v in model.image_tower.state_dict().items() if not torch.equal(v, before[k])
    }
    assert changed
    assert all(name.startswith("attnpool.") for name in changed)


def test_the_head_has_four_steps_at_stride_32_and_three_below():
    heads = {name: MCDRLConfig(encoder=name).head for name in ("RN50", "ViT-L-14", "compact")}
    assert {name: len(steps) for name, steps in heads.items()} == {
        "RN50": 4,
        "ViT-L-14": 3,
        "compact": 3,
    }
