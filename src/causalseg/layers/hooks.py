"""Read or change modules' outputs temporarily."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def changed_outputs(
    modules: Iterable[nn.Module], change: Callable[[Tensor], Tensor]
) -> Iterator[None]:
    """Within this context each of the modules returns `change(output)`."""
    hooks = [
        module.register_forward_hook(lambda _, __, output: change(output)) for module in modules
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
