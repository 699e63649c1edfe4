"""The model that the documentation adds, as a module that can be registered."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from causalseg.models.registry import MODELS

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "architecture.md"


@contextmanager
def _registered(folder: Path) -> Iterator[None]:
    _, _, section = PAGE.read_text(encoding="utf-8").partition("## Add a model")
    model, line = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert line.strip() == '"small": "causalseg.models.small.model:Small",'
    (folder / "example_model.py").write_text(model, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setitem(MODELS, "small", "example_model:Small")
        yield


@pytest.fixture(scope="module")
def worked_example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The page's model, registered as `small` while a module's tests run."""
    with _registered(tmp_path_factory.mktemp("example")):
        yield
