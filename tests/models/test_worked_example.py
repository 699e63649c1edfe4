"""The model that the documentation adds keeps the contract and trains."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from causalseg.data.datamodule import DataConfig
from causalseg.data.phantom import make_phantoms
from causalseg.inference.segmenter import Segmenter
from causalseg.models.registry import MODELS
from causalseg.training.config import RunConfig, TrainerConfig
from causalseg.training.fit import fit

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
LINE = "example_model:Small"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's model as a module, registered as `small`."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition("## Add a model")
    model, line = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert line.strip() == '"small": "causalseg.models.small.model:Small",'
    (tmp_path / "example_model.py").write_text(model, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(MODELS, "small", LINE)
    return tmp_path


def test_the_contract_s_tests_pass_on_it(example: Path) -> None:
    code = f"""
import sys, pytest
from causalseg.models.registry import MODELS
for name in list(MODELS):
    del MODELS[name]
MODELS["small"] = {LINE!r}
sys.exit(pytest.main(["-q", {str(ROOT / "tests" / "models" / "test_contract.py")!r}]))
"""
    paths = [str(example), *sys.path]
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-3000:]


def test_it_is_trained_and_used_like_any_other(example: Path) -> None:
    make_phantoms(example / "phantoms", 12, seed=0, size=32)
    best = fit(
        RunConfig(
            data=DataConfig(root=example / "phantoms", size=32, batch_size=4),
            architecture="small",
            model={"size": "compact"},
            trainer=TrainerConfig(max_epochs=1, accelerator="cpu"),
            out=str(example / "run"),
        )
    )
    answer = Segmenter.load(best)(np.zeros((40, 50), np.uint8), "lower left lung")
    assert answer.mask.shape == (40, 50)
