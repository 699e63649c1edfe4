"""A signal ends any command with one sentence, and no import halfway."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import causalseg.cli
from causalseg.cli.main import COMMANDS, main

PROBE = """
import os
import signal
import time

os.kill(os.getpid(), signal.{name})
time.sleep(0.1)
WHOLE = True


def main(argv):
    time.sleep(30)
    return 0
"""


@pytest.fixture
def handlers() -> Iterator[None]:
    """Whatever handlers there were come back."""
    kinds = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = [signal.getsignal(kind) for kind in kinds]
    yield
    for kind, handler in zip(kinds, before, strict=True):
        signal.signal(kind, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_during_an_import_waits_for_its_end(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "probe.py").write_text(PROBE.format(name=name))
    monkeypatch.setitem(COMMANDS, "probe", "")
    monkeypatch.setattr(causalseg.cli, "__path__", [*causalseg.cli.__path__, str(tmp_path)])
    try:
        assert main(["probe"]) == 130
        assert sys.modules["causalseg.cli.probe"].WHOLE
    finally:
        sys.modules.pop("causalseg.cli.probe", None)
    assert capsys.readouterr().err == "causalseg probe: interrupted\n"


def test_an_import_that_takes_long_is_not_waited_for(tmp_path: Path) -> None:
    probe = PROBE.format(name="SIGTERM").replace("sleep(0.1)", "sleep(30)")
    (tmp_path / "probe.py").write_text(probe)
    script = (
        "import sys, causalseg.cli.main as cli; cli.COMMANDS['probe'] = '';"
        "sys.modules['causalseg.cli'].__path__.append(sys.argv[1]); cli.main(['probe'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "causalseg probe: interrupted\n")
