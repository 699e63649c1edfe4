"""CLIP models as open_clip and transformers write them, made here and read without either."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from causalseg import build_model
from causalseg.encoders.config import TextConfig, ViTConfig
from causalseg.encoders.names import openai_names
from causalseg.encoders.normalisation import CLIP, IMAGENET
from causalseg.encoders.transformer import TextTower
from causalseg.encoders.vit import VisionTransformer
from causalseg.encoders.weights import initialise
from causalseg.errors import InputError
from causalseg.text.tokenizer import tokenize

VIT: dict[str, Any] = {"patch": 8, "width": 32, "layers": 2, "heads": 2, "resolution": 32}
TEXT: dict[str, Any] = {"width": 32, "layers": 2, "heads": 2}


def towers(activation: str = "quick_gelu", seed: int = 0) -> tuple[VisionTransformer, TextTower]:
    torch.manual_seed(seed)
    image = VisionTransformer(ViTConfig(**VIT, activation=activation), 16)
    return image.eval(), TextTower(TextConfig(**TEXT, activation=activation), 16).eval()


def openai_state(image: VisionTransformer, text: TextTower) -> dict[str, Tensor]:
    return {f"visual.{k}": v for k, v in image.state_dict().items()} | text.state_dict()


def transformers_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """OpenAI's names turned into those of transformers' CLIPModel, written down independently."""
    found: dict[str, Tensor] = {"logit_scale": torch.tensor(1.0)}
    top = {
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "ln_final.weight": "text_model.final_layer_norm.weight",
        "ln_final.bias": "text_model.final_layer_norm.bias",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
        "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
        "visual.ln_post.weight": "vision_model.post_layernorm.weight",
        "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    }
    for name, value in state.items():
        if name in top:
            found[top[name]] = value
        elif name == "text_projection":
            found["text_projection.weight"] = value.T.contiguous()
        elif name == "visual.proj":
            found["visual_projection.weight"] = value.T.contiguous()
        else:
            side = "vision_model" if name.startswith("visual.") else "text_model"
            number, rest = name.partition("resblocks.")[2].split(".", 1)
            layer = f"{side}.encoder.layers.{number}."
            if "in_proj" in rest:
                kind = rest.rpartition("_")[2]
                for letter, part in zip("qkv", value.chunk(3), strict=True):
                    found[f"{layer}self_attn.{letter}_proj.{kind}"] = part.contiguous()
                continue
            for ours, theirs in (("attn.out_proj", "self_attn.out_proj"), ("ln_1", "layer_norm1"),
                                 ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"),
                                 ("mlp.c_proj", "mlp.fc2")):  # fmt: skip
                rest = rest.replace(ours, theirs)
            found[layer + rest] = value
    return found


def folder(path: Path, kind: str, state: dict[str, Tensor], **changes: Any) -> Path:
    path.mkdir()
    if kind == "open_clip":
        model = {"embed_dim": 16, "text_cfg": {"vocab_size": 49408}, "vision_cfg": {"width": 32}}
        images = {"mean": list(CLIP.mean), "std": list(CLIP.std)}
        content = {"model_cfg": {"quick_gelu": True, **model}, "preprocess_cfg": images}
        content = {key: {**value, **changes.get(key, {})} for key, value in content.items()}
        (path / "open_clip_config.json").write_text(json.dumps(content))
        save_file(state, path / "open_clip_model.safetensors")
        return path
    part = {"hidden_act": "quick_gelu"}
    content = {"model_type": "clip", "text_config": part, "vision_config": part} | changes
    (path / "config.json").write_text(json.dumps(content))
    save_file(transformers_state(state), path / "model.safetensors")
    return path


@pytest.mark.parametrize("kind", ["open_clip", "transformers"])
def test_both_formats_fill_both_towers(kind: str, tmp_path: Path) -> None:
    state = openai_state(*towers(seed=1))
    image, text = towers(seed=2)
    given = folder(tmp_path / "mine", kind, state)
    report = initialise(image, text, str(given))
    assert report.loaded == report.total == len(state)
    assert report.source == f"mine ({kind})"
    for key, value in openai_state(image, text).items():
        assert torch.equal(value, state[key]), key
    alone = towers(seed=3)[1]
    initialise(None, alone, str(given))
    assert torch.equal(alone.text_projection, state["text_projection"])


def test_transformers_own_model_computes_the_same(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    shared = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2,
              "num_attention_heads": 2, "projection_dim": 16, "hidden_act": "gelu"}  # fmt: skip
    config = transformers.CLIPConfig(
        text_config=shared | {"vocab_size": 49408, "eos_token_id": 49407},
        vision_config=shared | {"image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    theirs = transformers.CLIPModel(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    image, text = towers("gelu", seed=4)
    report = initialise(image, text, str(tmp_path / "theirs"))
    assert report.loaded == report.total
    tokens, pixels = tokenize(["upper left lung", "no finding"], 24), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        said = theirs.text_model(tokens).pooler_output
        torch.testing.assert_close(text(tokens), theirs.text_projection(said), atol=1e-5, rtol=1e-4)
        patches = theirs.vision_model(pixels).last_hidden_state[:, 1:]
        dense = theirs.visual_projection(theirs.vision_model.post_layernorm(patches))
        found = image(pixels)[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, dense, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("open_clip", {"model_cfg": {"quick_gelu": False}}, "trained with gelu .*ViT-B-16-gelu"),
        ("open_clip", {"model_cfg": {"text_cfg": {"hf_model_name": "BERT"}}}, "towers None and"),
        ("open_clip", {"model_cfg": {"vision_cfg": {"timm_model_name": "dino"}}}, "towers dino"),
        ("open_clip", {"model_cfg": {"text_cfg": {"vocab_size": 7}}}, "reads 7 tokens"),
        ("open_clip", {"preprocess_cfg": {"mean": [0.5, 0.5, 0.5]}}, "expects images with mean"),
        ("open_clip", {"preprocess_cfg": {"std": "x"}}, "expects images with mean"),
        ("transformers", {"model_type": "dinov2"}, "type 'dinov2'"),
        ("transformers", {"text_config": {"hidden_act": "relu"}}, "activations"),
        ("transformers", {"text_config": {"vocab_size": 30522}}, "reads 30522 tokens"),
    ],
)
def test_what_would_compute_something_else_is_refused(
    kind: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    image, text = towers()
    given = folder(tmp_path / "mine", kind, openai_state(image, text), **changes)
    with pytest.raises(InputError, match=message):
        initialise(image, text, str(given))


def test_another_tokenizer_normalisation_or_size_is_refused(tmp_path: Path) -> None:
    image, text = towers()
    given = folder(tmp_path / "mine", "transformers", openai_state(image, text))
    (given / "vocab.json").write_text(json.dumps({"<|endoftext|>": 3}))
    with pytest.raises(InputError, match="another tokenizer"):
        initialise(image, text, str(given))
    (given / "vocab.json").write_text(json.dumps({"<|endoftext|>": 49407}))
    images = {"image_mean": list(IMAGENET.mean), "image_std": list(IMAGENET.std)}
    (given / "preprocessor_config.json").write_text(json.dumps(images))
    with pytest.raises(InputError, match="expects images"):
        initialise(image, text, str(given))
    (given / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match="does not fit the image tower"):
        build_model("causalclipseg", encoder="tiny", weights=str(given))
    (given / "model.safetensors").unlink()
    with pytest.raises(InputError, match="has no weights"):
        initialise(image, text, str(given))
    (given / "config.json").unlink()
    with pytest.raises(InputError, match="has neither"):
        initialise(image, text, str(given))


def test_a_layer_without_its_values_is_refused() -> None:
    state = transformers_state(openai_state(*towers()))
    del state["text_model.encoder.layers.1.self_attn.v_proj.bias"]
    with pytest.raises(InputError, match="lack a query, key or value"):
        openai_names(state, "transformers")


@pytest.mark.parametrize("weights", ["hf:some/model", "open_clip:some/model"])
def test_without_network_one_sentence_says_what_to_fetch(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"https://huggingface.co/some/model into a folder"):
        build_model("causalclipseg", encoder="tiny", weights=weights)
