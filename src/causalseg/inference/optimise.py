"""What may be done to a trained model, exactly, before it is only used."""

import threading
from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from causalseg.errors import InputError
from causalseg.models.base import SegmentationModel, Text

FOLD_TOLERANCE = 1e-3
"""Largest change of a logit that folding may make, as a share of 1 + the largest logit."""
Precision = Literal["fp32", "bf16"]


Example = tuple[Tensor, Tensor]
"""Images (B, 3, H, W) and tokens (B, L)."""


def optimise(
    model: SegmentationModel, precision: Precision = "fp32", example: Example | None = None
) -> None:
    """Prepare a model in evaluation mode for inference alone, in place.

    Args:
        model: in evaluation mode.
        precision: what the image path is computed in.
        example: on which logits before and after folding are compared.

    Raises:
        InputError: the precision is unknown, the model cannot be run in it, or folding its batch
            norms changes the logits.

    """
    if precision not in ("fp32", "bf16"):
        raise InputError(f"precision must be fp32 or bf16, not {precision!r}.")
    fold_and_compare(model, example) if example else fold_batch_norms(model)
    if precision == "bf16":
        to_bfloat16(model)


def to_bfloat16(model: SegmentationModel) -> None:
    """Convert all but the model's `full_precision` to bfloat16, in place.

    Raises:
        InputError: the model names nothing in `full_precision`: it was not tried.

    """
    if not model.full_precision:
        raise InputError(f"{type(model).__name__} runs in fp32 only; leave the precision at fp32.")
    for name, parameter in model.named_parameters():
        exact = any(name.startswith(f"{part}.") for part in model.full_precision)
        if not exact and parameter.is_floating_point():
            parameter.data = parameter.data.bfloat16()
    for name in model.image_parts:
        model.get_submodule(name).register_forward_pre_hook(
            lambda _, arguments: (arguments[0].bfloat16(),)
        )


def compiled(model: SegmentationModel) -> None:
    """Have `torch.compile` translate the image path on its first use, in place."""
    model.encode_image = torch.compile(model.encode_image)  # type: ignore[method-assign]


@torch.no_grad()
def fold_and_compare(model: SegmentationModel, example: Example) -> None:
    """Fold the batch norms, and make sure that the answer is the same.

    Raises:
        InputError: a logit changes by more than rounding can.

    """
    if not model.fold_pairs():
        return
    before = model(*example).logits
    fold_batch_norms(model)
    change = (model(*example).logits - before).abs().max()
    largest = before.abs().max()
    if bool(torch.isfinite(largest)) and not bool(change <= FOLD_TOLERANCE * (1 + largest)):
        raise InputError(
            f"folding the batch norms of {type(model).__name__} changes its logits by "
            f"{float(change):.2g}: a pair that its fold_pairs names is wrong."
        )


@torch.no_grad()
def fold_batch_norms(model: SegmentationModel) -> int:
    """Fold the batch norms that a model names into their convolutions, in place.

    y = gamma (W x + b - mean) / sqrt(var + eps) + beta is the convolution with weight
    W gamma / sqrt(var + eps) and bias (b - mean) gamma / sqrt(var + eps) + beta.

    Args:
        model: in evaluation mode. Its state dict no longer fits a new model afterwards.

    Returns:
        The number of batch norms folded; each is replaced by an identity.

    """
    pairs = model.fold_pairs()
    for first, second in pairs:
        conv, norm = model.get_submodule(first), model.get_submodule(second)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert not norm.training
        assert norm.running_mean is not None
        assert norm.running_var is not None
        conv.weight, conv.bias = nn.utils.fusion.fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        parent, _, child = second.rpartition(".")
        model.get_submodule(parent).register_module(child, nn.Identity().eval())
    return len(pairs)


_Key = tuple[tuple[int, int], bytes]
_OVERHEAD = 400
"""Bytes of Python's objects around an entry and around each of its tensors, about."""


def _size(key: _Key, encoded: tuple[Tensor, ...]) -> int:
    return len(key[1]) + _OVERHEAD + sum(part.nbytes + _OVERHEAD for part in encoded)


class TextCache:
    """Encoded texts by content, computed once for each distinct text.

    Entries are keyed by the token ids and by the state of the weights, so that changed weights
    never meet old features; the oldest entries make room. Several threads may ask.

    Args:
        model: whose `encode_text` is asked.
        most_bytes: of keys and features together. The texts of one call are kept in any case.

    """

    def __init__(self, model: SegmentationModel, most_bytes: int = 32 * 2**20) -> None:
        self.model = model
        self.most_bytes = most_bytes
        self.bytes = 0
        self._encoded: OrderedDict[_Key, tuple[Tensor, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, tokens: Tensor) -> Text:
        """(B, L) token ids -> what `encode_text` makes of them, B in the first dimension."""
        with self._lock:
            return self._encode(tokens)

    def _encode(self, tokens: Tensor) -> Text:
        state = self._weights()
        keys: list[_Key] = [(state, row.tobytes()) for row in tokens.cpu().numpy()]
        missing = {key: i for i, key in enumerate(keys) if key not in self._encoded}
        found = {key: self._encoded[key] for key in keys if key not in missing}
        if missing:
            fresh = self.model.encode_text(tokens[list(missing.values())])
            parts = fresh if isinstance(fresh, tuple) else (fresh,)
            # Copies, for a row that is a view would keep the whole batch.
            rows = (tuple(part.clone() for part in row) for row in zip(*parts, strict=True))
            for key, encoded in zip(missing, rows, strict=True):
                found[key] = self._encoded[key] = encoded
                self.bytes += _size(key, encoded)
        for key in found:
            self._encoded.move_to_end(key)
        while self.bytes > self.most_bytes and len(self._encoded) > len(found):
            self.bytes -= _size(*self._encoded.popitem(last=False))
        stacked = tuple(torch.stack(rows) for rows in zip(*(found[k] for k in keys), strict=True))
        return stacked if len(stacked) > 1 else stacked[0]

    def __len__(self) -> int:
        return len(self._encoded)

    def _weights(self) -> tuple[int, int]:
        """Changes with every in-place update and every replacement of the model's weights."""
        parameters = list(self.model.parameters())
        return sum(p._version for p in parameters), hash(tuple(p.data_ptr() for p in parameters))
