"""Tensors of open_clip, transformers and timm under OpenAI's names."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from causalseg.errors import InputError
from causalseg.text.readers.wordpiece import END


def openai_names(
    state: Mapping[str, Tensor], names: str, words: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """A model's tensors under OpenAI's names, those of the image tower below `visual.`.

    Args:
        state: as the library wrote it.
        names: the library.
        words: the vocabulary of a model whose text tower is a BERT.

    Raises:
        InputError: a layer's query, key or value is missing.

    """
    if names == "open_clip":  # the same names, the text tower's below `text.` in its newer class
        if words is None:
            return {k.removeprefix("text."): v for k, v in state.items()}
        found = {f"visual.{k}": v for k, v in _timm_vit(_below(state, "visual")).items()}
        found |= {k: v for k, v in _below(state, "text").items() if k.startswith("proj.")}
        return found | _bert(_below(state, "text.transformer"), words)
    if words is not None:  # with heads of its pre-training or without
        return _bert(_below(state, "bert") or state, words)
    found = {}
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
    return found | _joined(packed)


def _joined(packed: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Queries, keys and values in one tensor."""
    for name, parts in packed.items():
        if set(parts) != {"q", "k", "v"}:
            raise InputError(f"the weights lack a query, key or value of {name}.")
    return {name: torch.cat([parts[key] for key in "qkv"]) for name, parts in packed.items()}


_BERT = {
    "attention.output.dense": "attn.out_proj",
    "attention.output.LayerNorm": "ln_1",
    "intermediate.dense": "mlp.c_fc",
    "output.dense": "mlp.c_proj",
    "output.LayerNorm": "ln_2",
}


def _bert(state: Mapping[str, Tensor], words: Sequence[str]) -> dict[str, Tensor]:
    """Transformers' BertModel as `encoders.bert.BertTower`, [SEP] the last of the vocabulary."""
    found: dict[str, Tensor] = {}
    packed: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        part, _, kind = name.rpartition(".")
        if name.startswith("encoder.layer."):
            _, _, number, *rest = part.split(".")
            place = ".".join(rest)
            if place in _BERT:
                found[f"blocks.{number}.{_BERT[place]}.{kind}"] = value
            elif place.startswith("attention.self."):
                to = f"blocks.{number}.attn.in_proj_{kind}"
                packed.setdefault(to, {})[rest[-1][0]] = value
        elif part == "embeddings.LayerNorm":
            found[f"ln_embedding.{kind}"] = value
    table = state.get("embeddings.word_embeddings.weight")
    places = state.get("embeddings.position_embeddings.weight")
    kinds = state.get("embeddings.token_type_embeddings.weight")
    if table is None or places is None or kinds is None or len(words) > len(table):
        raise InputError("the weights lack embeddings of a BERT, or have fewer than it has words.")
    end, rows = words.index(END), list(range(len(table)))
    rows.insert(len(words) - 1, rows.pop(end))
    found["token_embedding.weight"] = table[rows]
    found["positional_embedding"] = places + kinds[0]
    return found | _joined(packed)


_TIMM = {"norm1": "ln_1", "norm2": "ln_2", "attn.proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc",
         "mlp.fc2": "mlp.c_proj"}  # fmt: skip
_TIMM_TOP = {"trunk.patch_embed.proj.weight": "conv1.weight", "trunk.norm.weight": "ln_post.weight",
             "trunk.patch_embed.proj.bias": "conv1.bias", "trunk.norm.bias": "ln_post.bias",
             "trunk.cls_token": "class_embedding", "trunk.pos_embed": "positional_embedding",
             "head.proj.weight": "proj"}  # fmt: skip


def _timm_vit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """open_clip's timm ViT, with the linear head that it puts on it."""
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("trunk.blocks."):
            _, _, number, place = name.split(".", 3)
            part, _, kind = place.rpartition(".")
            to = f"attn.in_proj_{kind}" if part == "attn.qkv" else f"{_TIMM.get(part, part)}.{kind}"
            found[f"transformer.resblocks.{number}.{to}"] = value
        else:
            found[_TIMM_TOP.get(name, name)] = value
    for name in ("class_embedding", "positional_embedding"):
        if name in found:
            found[name] = found[name].flatten(0, -2) if name[0] == "p" else found[name].flatten()
    if "proj" in found:
        found["proj"] = found["proj"].T.contiguous()
    return found
