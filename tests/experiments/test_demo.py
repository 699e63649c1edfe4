"""The first command of the README, at its smallest."""

import json
from pathlib import Path

import pytest

from causalseg import Segmenter
from causalseg.cli.main import main


def test_the_tour_ends_with_scores_pictures_and_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, mine = tmp_path / "demo", tmp_path / "mine"
    words = ["demo", "--count", "24", "--epochs", "1", "--out"]
    assert main([*words, str(out)]) == 0
    found = json.loads((out / "demo.json").read_text())
    assert (found["count"], found["epochs"]) == (24, 1)
    assert found["edited"]["images"] >= 1
    assert f"with their own text                             {found['edited']['own']:.3f}" in (
        capsys.readouterr().out
    )
    assert (out / "pictures.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "scores" / "report.html").exists()
    assert Segmenter.load(out / "run" / "best.safetensors").preprocessing.size == found["size"]
    mine.mkdir()
    assert main([*words, str(mine)]) == 2  # a folder of the user's is never replaced
    assert "was not made by the demo" in capsys.readouterr().err
