"""CLIP models of open_clip and transformers, under OpenAI's names and checked for what they expect.

Both libraries say in a configuration beside the weights how the model was built. Only the towers
that this package has can be filled, so what would silently compute something else is refused: an
activation, a tokenizer or a normalisation of the images other than the towers', and text models
that are no CLIP. Neither library is needed, and no code of a folder is run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from causalseg.encoders.normalisation import CLIP
from causalseg.errors import InputError
from causalseg.inputs import read_json

Activation = Literal["quick_gelu", "gelu"]
Get = Callable[[str], Path | None]
"""Name of a file of a model -> where it is; None where there is none."""

OPEN_CLIP, TRANSFORMERS = "open_clip_config.json", "config.json"
_OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TRANSFORMERS_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_END, _VOCABULARY = 49407, 49408
"""Id of CLIP's end token, and how many tokens it has."""
_TOLERANCE = 0.01
"""Of means and standard deviations on the scale 0..1."""


@dataclass(frozen=True)
class Foreign:
    """A CLIP model of another library."""

    weights: Path
    activation: Activation
    names: Literal["open_clip", "transformers"]


def find_foreign(get: Get, name: str) -> Foreign:
    """Read a model's configuration, and find its weights.

    Args:
        get: finds the model's files, in a folder or on the hub.
        name: what the user called it, for messages.

    Raises:
        InputError: it is no CLIP model that the package's towers could compute, or a file is
            missing or damaged.

    """
    if (path := get(OPEN_CLIP)) is not None:
        content = read_json(path)
        model, images = _table(content, "model_cfg"), _table(content, "preprocess_cfg")
        text, vision = _table(model, "text_cfg"), _table(model, "vision_cfg")
        if other := text.get("hf_model_name"):
            raise InputError(
                f"{name}'s text tower is {other} with a tokenizer of its own, which the package's "
                "text tower cannot compute; choose a model whose text tower is CLIP's."
            )
        if other := vision.get("timm_model_name"):
            raise InputError(
                f"{name}'s image tower is timm's {other}, which the package's towers cannot "
                "compute; choose a CLIP ResNet or ViT."
            )
        _check_images(images.get("mean"), images.get("std"), name)
        _check_vocabulary(text.get("vocab_size", _VOCABULARY), name)
        activation: Activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
        return Foreign(_first(get, _OPEN_CLIP_WEIGHTS, name), activation, "open_clip")
    if (path := get(TRANSFORMERS)) is None:
        raise InputError(
            f"{name} has neither {OPEN_CLIP} nor {TRANSFORMERS}: give the folder of an open_clip "
            "or transformers model, or a weights file."
        )
    content = read_json(path)
    if content.get("model_type") != "clip":
        raise InputError(
            f"{name} is a model of type {content.get('model_type')!r}, which the package's towers "
            "cannot compute; choose one of type 'clip'."
        )
    text, vision = _table(content, "text_config"), _table(content, "vision_config")
    used = {part.get("hidden_act", "quick_gelu") for part in (text, vision)}
    if len(used) > 1 or not used <= {"quick_gelu", "gelu"}:
        raise InputError(f"{name}'s activations ({', '.join(map(str, used))}) are not the towers'.")
    if (images_path := get("preprocessor_config.json")) is not None:
        images = read_json(images_path)
        _check_images(images.get("image_mean"), images.get("image_std"), name)
    _check_vocabulary(text.get("vocab_size", _VOCABULARY), name)
    if (words := get("vocab.json")) is not None:
        end = read_json(words).get("<|endoftext|>")
        if end != _END:
            raise InputError(f"{name} has another tokenizer than CLIP's (its end token is {end}).")
    activation = "quick_gelu" if "quick_gelu" in used else "gelu"
    return Foreign(_first(get, _TRANSFORMERS_WEIGHTS, name), activation, "transformers")


def in_folder(folder: Path) -> Get:
    """The files of a local folder."""
    return lambda name: folder / name if (folder / name).is_file() else None


def _table(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key) or {}
    if not isinstance(found, dict):
        raise InputError(f"a model's configuration is damaged: {key} is no table.")
    return found


def _first(get: Get, names: tuple[str, ...], name: str) -> Path:
    for file in names:
        if (path := get(file)) is not None:
            return path
    raise InputError(f"{name} has no weights: none of {' and '.join(names)} is there.")


def _check_images(mean: Any, std: Any, name: str) -> None:
    """The images that the weights expect; where nothing is said it is CLIP's."""
    for given, ours in ((mean, CLIP.mean), (std, CLIP.std)):
        if given is None:
            continue
        values = given if isinstance(given, list) else []
        numbers = [v for v in values if isinstance(v, int | float)]
        if len(numbers) != 3 or any(
            abs(a - b) > _TOLERANCE for a, b in zip(numbers, ours, strict=True)
        ):
            raise InputError(
                f"{name} expects images with mean {mean} and standard deviation {std}, and this "
                "package gives its CLIP towers those of CLIP."
            )


def _check_vocabulary(size: Any, name: str) -> None:
    if size != _VOCABULARY:
        raise InputError(
            f"{name} reads {size} tokens, and CLIP's tokenizer has {_VOCABULARY}: it has another."
        )


def openai_names(state: Mapping[str, Tensor], names: str) -> dict[str, Tensor]:
    """A model's tensors under OpenAI's names, those of the image tower below `visual.`.

    Args:
        state: as the library wrote it.
        names: the library.

    Raises:
        InputError: a layer's query, key or value is missing.

    """
    if names == "open_clip":  # the same names, the text tower's below `text.` in its newer class
        return {k.removeprefix("text."): v for k, v in state.items()}
    found: dict[str, Tensor] = {}
    for side, prefix in (("text_model", ""), ("vision_model", "visual.")):
        found |= {f"{prefix}{k}": v for k, v in _tower(_below(state, side)).items()}
    for name, to in (("text_projection", "text_projection"), ("visual_projection", "visual.proj")):
        if f"{name}.weight" in state:
            found[to] = state[f"{name}.weight"].T.contiguous()
    return found


_PARTS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.class_embedding": "class_embedding",
    "embeddings.patch_embedding.weight": "conv1.weight",
    "final_layer_norm": "ln_final",
    "pre_layrnorm": "ln_pre",  # spelled so in the library
    "post_layernorm": "ln_post",
}
_LAYER = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def _below(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}


def _tower(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One tower of transformers' CLIPModel."""
    found: dict[str, Tensor] = {}
    packed: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name.startswith("encoder.layers."):
            _, _, number, rest = name.split(".", 3)
            part, _, kind = rest.rpartition(".")
            block = f"transformer.resblocks.{number}"
            if part in _LAYER:
                found[f"{block}.{_LAYER[part]}.{kind}"] = value
            elif part.startswith("self_attn."):
                packed.setdefault(f"{block}.attn.in_proj_{kind}", {})[part[10:11]] = value
        elif name in _PARTS:
            found[_PARTS[name]] = value
        elif (owner := name.rpartition(".")[0]) in _PARTS:
            found[f"{_PARTS[owner]}.{name.rpartition('.')[2]}"] = value
    for name, parts in packed.items():
        if set(parts) != {"q", "k", "v"}:
            raise InputError(f"the weights lack a query, key or value of {name}.")
        found[name] = torch.cat([parts[key] for key in "qkv"])
    return found
