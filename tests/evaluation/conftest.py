from pathlib import Path

import pytest

from causalseg.data.phantom import make_phantoms


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 phantoms at 96 pixels; scored at 64, so native and model size differ."""
    folder = tmp_path_factory.mktemp("scoring") / "phantoms"
    make_phantoms(folder, 40, seed=3, size=96)
    return folder
