"""Initial weights of the towers: from OpenAI's release, from ImageNet, or random."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from causalseg import hub
from causalseg.encoders.bert import BertTower
from causalseg.encoders.foreign import (
    OPEN_CLIP,
    TRANSFORMERS,
    Get,
    find_foreign,
    in_folder,
)
from causalseg.encoders.names import openai_names
from causalseg.encoders.torchscript import read_torchscript
from causalseg.encoders.tower import Tower
from causalseg.errors import InputError
from causalseg.files import sha256_of
from causalseg.inputs import one_line

_NAMES = {
    "RN50": "timm/resnet50_clip.openai",
    "RN101": "timm/resnet101_clip.openai",
    "ViT-B-16": "timm/vit_base_patch16_clip_224.openai",
    "ViT-L-14": "timm/vit_large_patch14_clip_224.openai",
}
PRETRAINED = "causalseg.pretrain"
"""Key of a safetensors header under which `causalseg pretrain` says what its weights are."""
HUB_FILE = "open_clip_model.safetensors"
# Entries of OpenAI's archive that describe it or serve only the contrastive loss.
_DENSE = "v_proj.weight"
_NOT_WEIGHTS = {"input_resolution", "context_length", "vocab_size", "logit_scale", "logit_bias"}


@dataclass(frozen=True)
class WeightsReport:
    """Where initial weights came from; kept in every checkpoint."""

    source: str
    sha256: str | None = None
    loaded: int = 0
    """Tensors taken from the file."""
    total: int = 0
    """Tensors the towers have."""


def initialise(image_tower: Tower | None, text_tower: Tower | None, weights: str) -> WeightsReport:
    """Fill the towers.

    Args:
        image_tower: with OpenAI's parameter names, below `visual.` in the file; None where a
            model has none.
        text_tower: with OpenAI's parameter names, or None.
        weights: `random`; `openai:NAME`, fetched from the hub on first use; `imagenet:FILE`, a
            ResNet's state dict whose tensors are taken where name and shape match; or a local
            file: of `causalseg pretrain`, OpenAI's TorchScript archive, a state dict, or
            safetensors. Or a CLIP model of open_clip or transformers, BiomedCLIP among them, or a
            BERT of transformers for a text tower that is one: its folder, or `hf:ORG/NAME` or
            `open_clip:ORG/NAME`, fetched from the hub on first use.

    Raises:
        InputError: the file is absent or unreadable, does not fit, or the hub is out of reach.

    """
    total = sum(len(tower.state_dict()) for tower in (image_tower, text_tower) if tower)
    if weights == "random":
        return WeightsReport(weights, total=total)
    kind, _, rest = weights.partition(":")
    if kind == "imagenet":
        if image_tower is None:
            raise InputError(f"this model has no image tower to fill from {weights}.")
        return _load_imagenet(image_tower, Path(rest), total)
    if weights in _NAMES and not Path(weights).exists():
        raise InputError(f"there is no weights file {weights}; OpenAI's are openai:{weights}.")
    if kind in ("hf", "open_clip") or Path(weights).is_dir():
        return _load_foreign(image_tower, text_tower, weights, total)
    path = _fetch(rest) if kind == "openai" else Path(weights)
    state = {k: v for k, v in read_state(path).items() if k not in _NOT_WEIGHTS}
    made = pretrained_as(path)
    if made is not None and f"visual.attnpool.{_DENSE}" not in state and needs_dense(image_tower):
        raise InputError(
            f"{path} was pre-trained by the {made.get('objective')} objective, which has no dense "
            "joint space of images and texts; this model needs that of 'clip'."
        )
    loaded = _load_clip(image_tower, text_tower, state, path)
    source = weights if made is None else f"{path.name}: pre-trained on the pairs of {made['data']}"
    return WeightsReport(source, sha256_of(path), loaded, total)


def model_files(weights: str) -> Get:
    """The files of a folder, or of a repository on the hub."""
    return in_folder(Path(weights)) if Path(weights).is_dir() else _on_hub(weights)


def _load_foreign(
    image_tower: Tower | None, text_tower: Tower | None, weights: str, total: int
) -> WeightsReport:
    """A model of open_clip or transformers."""
    found = find_foreign(model_files(weights), weights)
    for tower in (image_tower, text_tower):
        used = None if tower is None else tower.activation
        if used not in (None, found.activation):
            raise InputError(
                f"{weights} was trained with {found.activation} and this encoder computes {used}; "
                f"choose an encoder with {found.activation}, such as "
                f"{'ViT-B-16-gelu' if found.activation == 'gelu' else 'ViT-B-16'}."
            )
    if text_tower is not None and (found.words is None) == isinstance(text_tower, BertTower):
        has, wanted = ("CLIP's", "a BERT") if found.words is None else ("a BERT", "CLIP's")
        raise InputError(f"{weights} has {has} text tower and this model's is {wanted}.")
    try:
        state = openai_names(read_state(found.weights), found.names, found.words)
    except (RuntimeError, IndexError) as error:  # tensors of shapes that the library never writes
        raise InputError(f"{found.weights} is damaged ({one_line(error)}).") from None
    kept = {k: v for k, v in state.items() if k not in _NOT_WEIGHTS}
    loaded = _load_clip(image_tower, text_tower, kept, found.weights)
    name = Path(weights).name
    source = f"{name} ({found.names})" if Path(weights).is_dir() else weights
    return WeightsReport(source, sha256_of(found.weights), loaded, total)


def _on_hub(weights: str) -> Get:
    """The files of a repository on the hub, cached ones first."""
    repository = weights.partition(":")[2]

    def get(name: str) -> Path | None:
        try:
            return hub.fetch(repository, name, fixed=True)
        except hub.NoSuchFileError:
            return None
        except InputError:  # no network, or no such repository
            if any(hub.cached(repository, known) for known in (OPEN_CLIP, TRANSFORMERS)):
                return None  # what was fetched before is all there is
            raise InputError(
                f"{weights} is not cached and cannot be fetched; on a machine with network "
                f"download configuration and weights of https://huggingface.co/{repository} into "
                "a folder, and give that folder as the weights instead."
            ) from None

    return get


def needs_dense(image_tower: Tower | None) -> bool:
    """Whether a tower projects its positions to a joint space."""
    return image_tower is not None and f"attnpool.{_DENSE}" in image_tower.state_dict()


def pretrained_as(path: Path) -> dict[str, Any] | None:
    """What `causalseg pretrain` says of its weights; None of any other file."""
    if path.suffix != ".safetensors":
        return None
    with safe_open(path, framework="pt") as file:
        content = (file.metadata() or {}).get(PRETRAINED)
    try:
        found = json.loads(content or "null")
    except ValueError:
        found = None
    return found if isinstance(found, dict) and "data" in found else None


def read_state(path: Path) -> dict[str, Tensor]:
    """Read tensors from safetensors, a `weights_only` state dict, or a TorchScript archive.

    No code of the file is run: see `torchscript` for the last. Half precision becomes float32.

    Raises:
        InputError: there is no such file, or it is none of the three.

    """
    if not path.is_file():
        raise InputError(f"there is no weights file {path}.")
    state: Any
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            state = load_file(path)
        except Exception as error:
            raise InputError(f"{path} is not a readable safetensors file ({error}).") from error
    else:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:
            try:
                state = read_torchscript(path)
            except Exception as error:
                raise InputError(
                    f"{path} is neither a state dict that loads without running code nor a "
                    "TorchScript archive; convert it to safetensors."
                ) from error
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"{path} holds no table of tensors.")
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _fetch(name: str) -> Path:
    if name not in _NAMES:
        raise InputError(f"there are no weights openai:{name}; choose one of {', '.join(_NAMES)}.")
    try:
        return hub.fetch(_NAMES[name], HUB_FILE, fixed=True)
    except InputError as error:
        raise InputError(
            f"the weights openai:{name} are not there: {error} With a network, download "
            f"{HUB_FILE} of https://huggingface.co/{_NAMES[name]} and give its path as the weights."
        ) from error


def _load_clip(
    image_tower: Tower | None,
    text_tower: Tower | None,
    state: dict[str, Tensor],
    path: Path,
) -> int:
    visual = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    text = {k: v for k, v in state.items() if not k.startswith("visual.")}
    loaded = 0
    for part, tower, given in (("image", image_tower, visual), ("text", text_tower, text)):
        if tower is None:
            continue
        own = tower.state_dict()
        optional = tower.unused_weights
        missing = sorted(set(own) - set(given))
        unexpected = sorted(k for k in set(given) - set(own) if not k.startswith(optional))
        misfit = sorted(k for k in set(own) & set(given) if own[k].shape != given[k].shape)
        if missing or unexpected or misfit:
            found = [
                f"{len(keys)} {what} (first: {keys[0]})"
                for what, keys in (
                    ("missing", missing),
                    ("unexpected", unexpected),
                    ("of another shape", misfit),
                )
                if keys
            ]
            raise InputError(
                f"{path} does not fit the {part} tower: {', '.join(found)}; "
                "give the weights of the encoder that the config names."
            )
        tower.load_state_dict({k: given[k] for k in own})
        loaded += len(own)
    return loaded


def _load_imagenet(image_tower: Tower, path: Path, total: int) -> WeightsReport:
    given = read_state(path)
    own = image_tower.state_dict()
    fits = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
    if not fits:
        raise InputError(f"no tensor of {path} fits the image tower by name and shape.")
    image_tower.load_state_dict(fits, strict=False)
    return WeightsReport(f"imagenet:{path.name}", sha256_of(path), len(fits), total)
