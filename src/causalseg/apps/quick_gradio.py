"""gradio without the stubs that it writes for editors whenever it is imported."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_gradio() -> Any:
    """The module `gradio`, in about a third of the time."""
    with without_stubs():
        import gradio
    return gradio


@contextmanager
def without_stubs() -> Iterator[None]:
    """Let gradio take its components for classes that lie in no file.

    For every component class, gradio parses its own source twice and renews a `.pyi` file beside
    it, which takes two thirds of the import. It leaves a class alone whose file cannot be told.
    """
    file_of = inspect.getfile

    def getfile(object: Any) -> str:
        if inspect.isclass(object) and object.__module__.startswith("gradio."):
            raise OSError("no stubs are wanted")
        return file_of(object)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = file_of
