"""Shared fixtures: a tiny checkpoint, and real data where there is any."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.network_watch import watch

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that import ONNX Runtime themselves

ASKED: list[str] = []
watch(ASKED.append)


@pytest.fixture(autouse=True)
def no_other_machine() -> Iterator[None]:
    """Fail the test in which another machine is asked for anything."""
    ASKED.clear()
    yield
    assert not ASKED


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


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three pictures of noise and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = rng.integers(0, 255, (60 + i, 70), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def tiny_onnx(
    tiny_checkpoint: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """`tiny_checkpoint` as `causalseg export` writes it.

    Tracing it takes most of a minute, so the processes of pytest-xdist share one file.
    """
    from filelock import FileLock

    from causalseg.cli.main import main

    own = tmp_path_factory.getbasetemp()
    path = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tiny" / "model.onnx"
    with FileLock(path.parent.with_suffix(".lock")):
        if not path.exists():
            out = ["--out", str(path), "--images", str(pictures)]
            assert main(["export", str(tiny_checkpoint), "--format", "onnx", *out]) == 0
    return path
