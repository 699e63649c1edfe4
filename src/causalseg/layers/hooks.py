"""Look at or change what modules answer, for a while."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def changed_outputs(
    modules: Iterable[nn.Module], change: Callable[[Tensor], Tensor]
) -> Iterator[None]:
    """Within it, each of the modules answers `change` of its output."""
    hooks = [
        module.register_forward_hook(lambda _, __, output: change(output)) for module in modules
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
