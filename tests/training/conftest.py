"""A phantom set small enough to train on in a test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from causalseg.cli.main import main
from causalseg.data.phantom import make_phantoms


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "phantoms"
    make_phantoms(folder, 24, seed=0, size=64)
    return folder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """Run a command that must end with code 2; returns what it says."""

    def run(words: list[str]) -> str:
        try:
            code: object = main(words)
        except SystemExit as stop:  # how jsonargparse ends
            code = stop.code
        said = capsys.readouterr().err
        assert code == 2, said
        assert "Traceback" not in said
        return said

    return run
