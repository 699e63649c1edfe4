"""Which batch norms may be folded into which convolutions, by name. A model's `fold_pairs` returns
such pairs, and `inference/optimise.py` folds them.
"""

from collections.abc import Iterable
from itertools import pairwise

from torch import nn

NormPair = tuple[str, str]
"""Dotted names of a convolution and of the batch norm that directly follows it."""


def prefixed(prefix: str, pairs: Iterable[NormPair]) -> list[NormPair]:
    """A child's pairs, named as seen from its parent."""
    return [(f"{prefix}.{first}", f"{prefix}.{second}") for first, second in pairs]


def sequential_pairs(module: nn.Module) -> list[NormPair]:
    """Each convolution that a batch norm follows within an `nn.Sequential`."""
    found: list[NormPair] = []
    for name, part in module.named_modules():
        if type(part) is not nn.Sequential:  # a subclass may have a forward of its own
            continue
        children = list(part.named_children())
        found += [
            (f"{name}.{a}" if name else a, f"{name}.{b}" if name else b)
            for (a, first), (b, second) in pairwise(children)
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d)
        ]
    return found
