"""Private folders go with their process, and a killed process's with the next one."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from causalseg.scratch import private_folder

HOLD = """
import time
from causalseg.scratch import private_folder
with private_folder() as folder:
    (folder / "upload").write_text("a patient's")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_private_and_gone_afterwards(place: Path) -> None:
    with private_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.parent == place
    assert not list(place.iterdir())


def test_what_a_killed_process_left_is_removed_and_nothing_else(place: Path) -> None:
    other = place / "elsewhere"
    other.mkdir()
    (other / "file").write_text("not ours")
    (place / "causalseg-link").symlink_to(other)
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None
        folder = Path(held.stdout.readline().strip())
        os.utime(folder, (1, 1))
        with private_folder():
            assert (folder / "upload").is_file()  # its process lives
        held.kill()
    os.utime(folder, (1, 1))
    with private_folder():
        assert not folder.exists()
    assert (other / "file").is_file()
