import shutil
from pathlib import Path

import pytest

from causalseg.data.phantom import make_phantoms


@pytest.fixture(scope="session")
def small_phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 phantoms of 64 pixels; not to be written to."""
    root = tmp_path_factory.mktemp("phantoms") / "set"
    make_phantoms(root, count=30, seed=3, size=64)
    return root


@pytest.fixture
def phantom_copy(small_phantoms: Path, tmp_path: Path) -> Path:
    """The same set in a folder of the test's own."""
    root = tmp_path / "copy"
    shutil.copytree(small_phantoms, root)
    return root
