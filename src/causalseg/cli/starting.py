"""How a command starts."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_start() -> Iterator[None]:
    """Import and load without looking for garbage, of which there is none yet.

    Python would go through all objects of PyTorch again and again, which takes a tenth of a start.
    What is loaded within stays until the end, and is left out of later searches too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
