"""Shared fixtures: a tiny checkpoint, and real data where there is any."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with the real data sets (see docs); the test is skipped where there is none."""
    folder = os.environ.get("CAUSALSEG_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real data is absent: set CAUSALSEG_DATA to the folder that holds the sets")
    return Path(folder)


@pytest.fixture(scope="session")
def qata_root(data_root: Path) -> Path:
    """QaTa-COV19 in the LViT layout."""
    return data_root / "QaTa-COV19"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny model with random weights, at 64 px."""
    import torch

    from causalseg import build_model
    from causalseg.data.preprocessing import Preprocessing
    from causalseg.models.checkpoint import save_checkpoint

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(
        path,
        build_model("causalclipseg", encoder="tiny"),
        preprocessing=Preprocessing(size=64).to_dict(),
        threshold=0.5,
        provenance={"note": "random weights"},
    )
    return path
