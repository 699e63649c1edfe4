"""The model that the documentation adds trains; `test_contract.py` runs over it too."""

from pathlib import Path

import numpy as np
import pytest

from causalseg.data.datamodule import DataConfig
from causalseg.data.phantom import make_phantoms
from causalseg.inference.segmenter import Segmenter
from causalseg.training.config import RunConfig, TrainerConfig
from causalseg.training.fit import fit


@pytest.mark.usefixtures("worked_example")
def test_it_is_trained_and_used_like_any_other(tmp_path: Path) -> None:
    make_phantoms(tmp_path / "phantoms", 12, seed=0, size=32)
    best = fit(
        RunConfig(
            data=DataConfig(root=tmp_path / "phantoms", size=32, batch_size=4),
            architecture="small",
            model={"size": "compact"},
            trainer=TrainerConfig(max_epochs=1, accelerator="cpu"),
            out=str(tmp_path / "run"),
        )
    )
    answer = Segmenter.load(best)(np.zeros((40, 50), np.uint8), "lower left lung")
    assert answer.mask.shape == (40, 50)
