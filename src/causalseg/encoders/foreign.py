"""CLIP models of open_clip and transformers, checked for what they expect.

Both libraries say in a configuration beside the weights how the model was built. Only the towers
that this package has can be filled, so what would silently compute something else is refused: an
activation, a tokenizer or a normalisation of the images other than the towers', and text models
that are neither CLIP's nor a BERT. No library is needed, and no code of a folder is run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from causalseg.encoders.normalisation import CLIP
from causalseg.errors import InputError
from causalseg.inputs import read_bytes, read_json
from causalseg.inputs.tables import decode_text
from causalseg.text.readers.wordpiece import END

Activation = Literal["quick_gelu", "gelu"]
Get = Callable[[str], Path | None]
"""Name of a file of a model -> where it is; None where there is none."""

OPEN_CLIP, TRANSFORMERS = "open_clip_config.json", "config.json"
_OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TRANSFORMERS_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_END, _VOCABULARY = 49407, 49408
"""Id of CLIP's end token, and how many tokens it has."""
_MOST = 10_000_000
"""Bytes of a vocabulary that is read."""
_BIOMEDICAL = {
    "timm_pool": ("", "token"), "timm_proj": ("linear",),
    "hf_pooler_type": ("cls_last_hidden_state_pooler",), "hf_proj_type": ("mlp",),
}  # fmt: skip
"""What BiomedCLIP's configuration says of its towers' ends, and what open_clip would compute."""
_TOLERANCE = 0.01
"""Of means and standard deviations on the scale 0..1."""


@dataclass(frozen=True)
class Foreign:
    """A model of another library."""

    weights: Path
    activation: Activation
    names: Literal["open_clip", "transformers"]
    words: Sequence[str] | None = None
    """The WordPiece vocabulary of a BERT; None where the text tower is CLIP's."""


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
        if text.get("hf_model_name") or vision.get("timm_model_name"):
            _check_biomedical(text, vision, name)
            _check_images(images.get("mean"), images.get("std"), name)
            weights = _first(get, _OPEN_CLIP_WEIGHTS, name)
            return Foreign(weights, "gelu", "open_clip", read_vocabulary(get, name))
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
    if content.get("model_type") == "bert":
        if content.get("hidden_act", "gelu") != "gelu":
            raise InputError(f"{name}'s activation ({content['hidden_act']}) is not BERT's, gelu.")
        weights = _first(get, _TRANSFORMERS_WEIGHTS, name)
        return Foreign(weights, "gelu", "transformers", read_vocabulary(get, name))
    if content.get("model_type") != "clip":
        raise InputError(
            f"{name} is a model of type {content.get('model_type')!r}, which the package's towers "
            "cannot compute; choose one of type 'clip', or 'bert' for a text tower alone."
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


def read_vocabulary(get: Get, name: str) -> list[str]:
    """The WordPiece vocabulary beside a BERT, in the order of the file.

    Raises:
        InputError: there is none, or no [SEP] in it.

    """
    if (path := get("vocab.txt")) is not None:
        words = decode_text(read_bytes(path, _MOST), path).rstrip("\n").split("\n")
    elif (path := get("tokenizer.json")) is not None:
        numbers = _table(_table(read_json(path), "model"), "vocab")
        words = sorted(numbers, key=lambda word: str(numbers[word]).zfill(9))
    else:
        raise InputError(
            f"{name} has no vocabulary: neither vocab.txt nor tokenizer.json is there."
        )
    if END not in words:
        raise InputError(f"{path} is no WordPiece vocabulary: it has no {END}.")
    return words


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


def _check_biomedical(text: Mapping[str, Any], vision: Mapping[str, Any], name: str) -> None:
    """Refuse towers of timm and transformers that are not built as BiomedCLIP's are."""
    image, bert = str(vision.get("timm_model_name")), str(text.get("hf_model_name"))
    ends = {"hf_pooler_type": text.get("pooler_type"), "hf_proj_type": text.get("proj")}
    said = ends | {k: v for part in (text, vision) for k, v in part.items() if k in _BIOMEDICAL}
    odd = {k: v for k, v in said.items() if v not in _BIOMEDICAL[k]}
    if not image.startswith("vit_") or "bert" not in bert.lower() or "roberta" in bert.lower():
        raise InputError(
            f"{name} has the towers {image} and {bert}, which the package's cannot compute; choose "
            "a CLIP ResNet or ViT, or BiomedCLIP's kind: a ViT of timm with a BERT."
        )
    if odd:
        key, value = next(iter(odd.items()))
        raise InputError(
            f"{name} ends its towers otherwise than BiomedCLIP does ({key}: {value!r}), which the "
            "package's towers cannot compute."
        )


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
