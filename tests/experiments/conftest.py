"""A phantom set small enough to train on in a test."""

from pathlib import Path

import pytest

from causalseg.data.phantom import make_phantoms


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    make_phantoms(folder, 24, seed=0, size=64)
    return folder
