"""What every registered model keeps to, whatever is inside it."""

import copy
import dataclasses
import json
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from causalseg import build_model
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.inference.optimise import TextCache, fold_batch_norms
from causalseg.inference.segmenter import Segmenter
from causalseg.models.base import ImageOnlyModel, ModelConfig, SegmentationModel
from causalseg.models.checkpoint import load_checkpoint, save_checkpoint
from causalseg.models.registry import MODELS, model_class, model_config, model_name
from causalseg.text.readers.none import NoText
from causalseg.training.config import OptimizerConfig

NAMES = list(MODELS)
EXAMPLE = "small"
"""The model that docs/explanation/architecture.md adds."""
# The towers of these two come in a size for tests; every other model is built compact.
OPTIONS = {
    "causalclipseg": {"encoder": "tiny"},
    "mcdrl": {"encoder": "tiny"},
    "nnunet": {"size": "compact", "resolution": 64},  # fewer stages, as nnU-Net plans them
}
TEXTS = ["one infected area, lower left lung.", "bilateral pulmonary infection, all right lung."]
IMAGE_ONLY = [name for name in NAMES if issubclass(model_class(name), ImageOnlyModel)]


@pytest.fixture(scope="module", params=[*NAMES, EXAMPLE])
def name(request: pytest.FixtureRequest) -> str:
    """Of the module's scope, so that all tests of a model follow each other and share `built`."""
    if request.param == EXAMPLE:
        request.getfixturevalue("worked_example")
    return request.param


def options(name: str) -> dict:
    return OPTIONS.get(name, {"size": "compact"})


@lru_cache(maxsize=2)
def built(name: str) -> SegmentationModel:
    """In evaluation mode, with statistics that make every batch norm count. Never changed."""
    torch.manual_seed(0)
    model = build_model(name, **options(name)).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return model


def images(batch: int, height: int, width: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width or height, generator=generator)


def tokens(model: SegmentationModel, texts: list[str] = TEXTS) -> torch.Tensor:
    return model.reader(20)(texts)


@lru_cache
def side(name: str) -> int:
    """The smallest of a few sides that the model takes."""
    for found in (64, 96, 128, 160):
        try:
            with torch.no_grad():
                built(name)(images(1, found), tokens(built(name), TEXTS[:1]))
        except InputError:
            continue
        return found
    return 224


def pair(name: str) -> torch.Tensor:
    """Two images of the model's side."""
    return images(2, side(name))


@lru_cache(maxsize=2)
def reference(name: str) -> torch.Tensor:
    """Logits of `pair`, the first under the first text, the second under the second."""
    return logits(built(name), pair(name), TEXTS)


@torch.no_grad()
def logits(model: SegmentationModel, pixels: torch.Tensor, texts: list[str]) -> torch.Tensor:
    return model(pixels, tokens(model, texts)).logits


def test_its_line_in_the_registry_leads_to_its_class_and_config(name):
    found = model_class(name)
    assert issubclass(found, SegmentationModel)
    assert issubclass(found.config_class, ModelConfig)
    assert model_name(built(name)) == name
    assert found.__doc__


def test_its_config_comes_back_from_json(name):
    for config in (model_config(name, {}), built(name).config):
        text = json.dumps(dataclasses.asdict(config))
        assert model_config(name, json.loads(text)) == config


def test_an_unknown_option_or_size_is_refused(name):
    with pytest.raises(InputError, match="has no option 'colour'"):
        build_model(name, colour="red")
    with pytest.raises(InputError, match="size must be one of paper, compact"):
        build_model(name, size="huge")


def test_it_has_as_many_parameters_as_its_paper(name):
    config = model_config(name, {})
    try:
        with torch.device("meta"):
            model = model_class(name)(config)
    except NotImplementedError:  # its library looks at values while it is built
        model = model_class(name)(config)
    assert sum(p.numel() for p in model.parameters()) == model.paper_parameters
    assert sum(p.numel() for p in built(name).parameters()) < model.paper_parameters
    assert built(name).inference_parameters() <= sum(p.numel() for p in built(name).parameters())


@pytest.mark.parametrize("shape", [(224, 224), (160, 160), (160, 224)])
def test_logits_have_the_size_of_the_image_or_the_size_is_refused(name, shape):
    model = built(name)
    try:
        found = logits(model, images(1, *shape), TEXTS[:1])
    except InputError:
        assert shape != (224, 224)
        return
    assert found.shape == (1, 1, *shape)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()


def test_images_of_a_batch_do_not_meet(name):
    model, pixels = built(name), pair(name)
    alone = torch.cat([logits(model, pixels[i : i + 1], TEXTS[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(reference(name), alone, atol=1e-4, rtol=1e-4)


def test_sentences_read_at_different_times_stand_in_one_batch(name):
    model, pixels = built(name), pair(name)
    texts = ["lower left lung.", TEXTS[1] + " Two infected areas."]
    cache = TextCache(model)
    with torch.no_grad():
        for text in texts:
            cache(tokens(model, [text]))
        found = model.segment(model.encode_image(pixels), cache(tokens(model, texts))).logits
    torch.testing.assert_close(found, logits(model, pixels, texts), atol=1e-4, rtol=1e-4)


def test_evaluation_gives_the_same_twice(name):
    assert torch.equal(logits(built(name), pair(name), TEXTS), reference(name))


def test_the_text_matters_to_a_model_that_reads_and_to_no_other(name):
    model, pixels = built(name), pair(name)
    with torch.no_grad():
        features = model.encode_image(pixels[:1])
        together = model.segment(features, model.encode_text(tokens(model))).logits
    torch.testing.assert_close(together[:1], reference(name)[:1], atol=1e-4, rtol=1e-4)
    # The second text alone, on the first image.
    second = logits(model, pixels[:1], TEXTS[1:])
    torch.testing.assert_close(together[1:], second, atol=1e-4, rtol=1e-4)
    if name in IMAGE_ONLY:
        assert isinstance(model.reader(20), NoText)
        torch.testing.assert_close(together[:1], together[1:])
    else:
        assert (together[0] - together[1]).abs().max() > 1e-6


def test_what_follows_the_end_of_a_sentence_changes_nothing(name):
    model, pixels, expected = built(name), pair(name), reference(name)
    with torch.no_grad():
        longer = model(pixels, model.reader(40)(TEXTS)).logits
        torch.testing.assert_close(longer, expected, atol=1e-4, rtol=1e-4)
        if model.reader(20).name == "clip":  # ids after [EOS], the highest
            rows = tokens(model)
            after = torch.arange(rows.shape[1]) > rows.argmax(1, keepdim=True)
            assert after.any()
            noise = torch.where(after, torch.tensor(320), rows)
            torch.testing.assert_close(model(pixels, noise).logits, expected, atol=1e-4, rtol=1e-4)


def test_folded_batch_norms_give_the_same_logits(name):
    model = copy.deepcopy(built(name))
    pairs = model.fold_pairs()
    assert len({norm for _, norm in pairs}) == len(pairs)
    assert fold_batch_norms(model) == len(pairs)
    found = logits(model, pair(name)[:1], TEXTS[:1])
    torch.testing.assert_close(found, reference(name)[:1], atol=1e-3, rtol=1e-3)


def test_a_training_step_reaches_every_parameter_and_moves_it(name):
    model = copy.deepcopy(built(name)).train()
    trained = {k: p for k, p in model.named_parameters() if p.requires_grad}
    groups = model.parameter_groups(OptimizerConfig())
    members = [id(p) for group in groups for p in group.parameters]
    assert sorted(members) == sorted(id(p) for p in trained.values())
    model.on_epoch(10**6)
    batch = {"image": pair(name), "tokens": tokens(model)}
    batch["mask"] = (pair(name)[:, :1] > 0.5).float()
    objective, before = model.objective(), {k: p.detach().clone() for k, p in trained.items()}
    losses = objective(model(batch["image"], batch["tokens"]), batch, 0)
    assert all(torch.isfinite(value).all() for value in losses.values())
    losses["loss"].backward()
    assert [k for k, p in trained.items() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in trained.values())
    torch.optim.AdamW(trained.values(), lr=1e-3).step()
    still = [k for k, p in trained.items() if torch.equal(p, before[k])]
    assert len(still) < 0.05 * len(trained), still


@pytest.fixture(scope="module")
def saved(name, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp(name) / "model.safetensors"
    model = built(name)
    preprocessing = Preprocessing(
        size=side(name),
        mean=model.normalisation.mean,
        std=model.normalisation.std,
        reader=model.reader(20),
    )
    save_checkpoint(
        path, model, preprocessing=preprocessing.to_dict(), threshold=0.5, provenance={}
    )
    return path


def test_a_checkpoint_brings_it_back(name, saved):
    back = load_checkpoint(saved).model
    assert back.config == built(name).config
    assert torch.equal(logits(back, pair(name), TEXTS), reference(name))


def test_the_segmenter_answers_at_the_size_of_the_source(name, saved):
    segmenter = Segmenter.load(saved)
    source = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)
    first, second = segmenter.prompts(source, TEXTS)
    assert first.mask.shape == first.probability.shape == (90, 70)
    assert set(np.unique(first.mask)) <= {0, 1}
    assert 0 <= first.probability.min() <= first.probability.max() <= 1
    assert np.array_equal(first.probability, second.probability) == (name in IMAGE_ONLY)
    assert any("reads no text" in note for note in first.warnings) == (name in IMAGE_ONLY)
    with torch.no_grad():
        pixels = segmenter.preprocessing.image(source)[None]
        expected = built(name)(pixels, tokens(built(name), TEXTS[:1])).logits.sigmoid()[0, 0]
    found = segmenter.probabilities([source], TEXTS[:1])[0]
    assert np.abs(found - expected.numpy()).max() < 1e-4


def test_it_is_exported_or_says_why_not(name, request, tmp_path):
    from causalseg.inference.export import export

    pytest.importorskip("onnxruntime")
    source = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    if name == "causalclipseg":  # the slowest to trace; `tiny_onnx` is it, and is traced once
        path, exported = (request.getfixturevalue(f) for f in ("tiny_checkpoint", "tiny_onnx"))
    else:
        path, exported = request.getfixturevalue("saved"), tmp_path / "model.onnx"
        refusal = built(name).export_refusal()
        if refusal is not None:
            with pytest.raises(InputError, match=f"{name} cannot be exported: "):
                export(path, exported, "onnx", list(source), TEXTS)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert export(path, exported, "onnx", list(source), TEXTS).passed
    answer = Segmenter.load(exported)(source[0], TEXTS[0])
    expected = Segmenter.load(path)(source[0], TEXTS[0])
    assert answer.warnings == expected.warnings
    assert np.abs(answer.probability - expected.probability).max() < 1e-3
