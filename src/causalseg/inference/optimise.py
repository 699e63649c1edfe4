"""What may be done to a trained model, exactly, before it is only used."""

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from causalseg.errors import InputError
from causalseg.text.batch import cut_at_eos

Precision = Literal["fp32", "bf16"]

_PAIRS = {"conv": "norm", "conv1": "bn1", "conv2": "bn2", "conv3": "bn3", "0": "1"}
_PAIRS |= {"up1": "norm1", "up2": "norm2"}


def optimise(model: nn.Module, precision: Precision = "fp32") -> None:
    """Prepare a model in evaluation mode for inference alone, in place.

    Raises:
        InputError: the precision is unknown, or the model cannot be run in it.

    """
    if precision not in ("fp32", "bf16"):
        raise InputError(f"precision must be fp32 or bf16, not {precision!r}.")
    fold_batch_norms(model)
    if precision == "bf16":
        if not hasattr(model, "text_tower"):
            raise InputError(
                f"{type(model).__name__} runs in fp32 only; leave the precision at fp32."
            )
        to_bfloat16(model)


def compiled(model: nn.Module) -> None:
    """Have `torch.compile` translate the image path on its first use, in place."""
    model.encode_image = torch.compile(model.encode_image)  # type: ignore[arg-type, assignment]


@torch.no_grad()
def fold_batch_norms(model: nn.Module) -> int:
    """Fold every batch norm that follows a convolution into it, in place.

    y = gamma (W x + b - mean) / sqrt(var + eps) + beta is the convolution with weight
    W gamma / sqrt(var + eps) and bias (b - mean) gamma / sqrt(var + eps) + beta.

    Args:
        model: in evaluation mode. Its state dict no longer fits a new model afterwards.

    Returns:
        The number of batch norms folded; each is replaced by an identity.

    """
    folded = 0
    for module in model.modules():
        children = dict(module.named_children())
        for first, second in _PAIRS.items():
            conv, norm = children.get(first), children.get(second)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                assert not norm.training
                fused = nn.utils.fusion.fuse_conv_bn_weights(
                    conv.weight,
                    conv.bias,
                    norm.running_mean,  # type: ignore[arg-type]
                    norm.running_var,  # type: ignore[arg-type]
                    norm.eps,
                    norm.weight,
                    norm.bias,
                )
                conv.weight, conv.bias = fused
                module.register_module(second, nn.Identity().eval())
                folded += 1
    return folded


def to_bfloat16(model: nn.Module) -> None:
    """Convert the image path to bfloat16, in place; text and its kernel stay in float32.

    Text features are computed once and cached, and an error in them would move every pixel.
    """
    text = [m for name, m in model.named_modules() if _reads_text(name)]
    kept = {id(p) for module in text for p in module.parameters()}
    for tensor in model.parameters():
        if id(tensor) not in kept and tensor.is_floating_point():
            tensor.data = tensor.data.bfloat16()
    model.image_tower.register_forward_pre_hook(  # type: ignore[union-attr]
        lambda _, arguments: (arguments[0].bfloat16(),)
    )


def _reads_text(name: str) -> bool:
    return name == "text_tower" or name.endswith(("decoder.kernel", "decoder.project"))


class TextCache:
    """Text features by content, computed once for each distinct text.

    A model without a text tower is asked every time. Entries are keyed by the token ids and by the
    state of the weights, so that changed weights never meet old features; the oldest entries make
    room.

    Args:
        model: with `encode_text(tokens) -> (B, T)`.
        capacity: most features kept.

    """

    def __init__(self, model: nn.Module, capacity: int = 4096) -> None:
        self.model = model
        self.capacity = capacity
        self._features: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def __call__(self, tokens: Tensor) -> Tensor:
        """(B, L) token ids -> tau (B, T)."""
        if not hasattr(self.model, "text_tower"):
            return self._encode(tokens)
        state = self._weights()
        cut = cut_at_eos(tokens.cpu())
        keys = [(state, tuple(row[: int(row.argmax()) + 1].tolist())) for row in cut]
        missing = {key: i for i, key in enumerate(keys) if key not in self._features}
        found = {key: self._features[key] for key in keys if key not in missing}
        if missing:
            rows = cut_at_eos(cut[list(missing.values())])
            fresh = self._encode(rows.to(tokens.device))
            found.update(zip(missing, fresh, strict=True))
        for key, feature in found.items():
            self._features[key] = feature
            self._features.move_to_end(key)
        while len(self._features) > self.capacity:
            self._features.popitem(last=False)
        return torch.stack([found[key] for key in keys])

    def __len__(self) -> int:
        return len(self._features)

    def _encode(self, tokens: Tensor) -> Tensor:
        tau: Tensor = self.model.encode_text(tokens)  # type: ignore[operator]
        return tau

    def _weights(self) -> tuple[int, int]:
        """Changes with every in-place update and every replacement of the text tower's weights."""
        parameters = list(self.model.text_tower.parameters())  # type: ignore[union-attr]
        return sum(p._version for p in parameters), hash(tuple(p.data_ptr() for p in parameters))
