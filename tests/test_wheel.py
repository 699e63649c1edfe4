"""The wheel is all that is needed: built, installed beside its dependencies alone, it predicts."""

import json
import re
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, env={"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def dependencies() -> set[str]:
    """Names of all that a plain installation brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [(line, "") for line in project["dependencies"]]
    found: set[str] = set()
    seen = set(waiting)
    while waiting:
        line, extra = waiting.pop()
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        found.add(wanted.name)
        inner = {
            (inner, one)
            for one in (wanted.extras or {""})
            for inner in distribution(wanted.name).requires or []
        }
        waiting += inner - seen
        seen |= inner
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel and what a plain install brings."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    for name in dependencies():
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            place = site / top
            if not place.exists():
                place.symlink_to(Path(str(distribution(name).locate_file(top))))
    install = ("install", "-q", "--no-deps", "--no-index", "--no-compile")
    run(sys.executable, "-m", "pip", "--python", python, *install, wheel, cwd=folder)
    return python


def test_it_predicts_with_the_packaged_model(python: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    place = run(python, "-c", "import causalseg; print(causalseg.__file__)", cwd=tmp_path)
    assert Path(place).is_relative_to(python.parents[1])
    command = python.with_name("causalseg")
    run(command, "predict", "a.png", "--text", "lower left lung", "--out", "o", cwd=tmp_path)
    record = json.loads((tmp_path / "o" / "a" / "result.json").read_text())
    assert all((tmp_path / "o" / "a" / name).is_file() for name in record["masks"][0]["files"])


def test_it_brings_the_configs(python: Path, tmp_path: Path) -> None:
    words = ("fit", "--config", "causalclipseg/qata.yaml", "--data.root", "x", "--print-config")
    printed = run(python.with_name("causalseg"), *words, cwd=tmp_path)
    assert re.search(r"^ +encoder: RN101$", printed, flags=re.MULTILINE)


def test_every_command_tells_its_help_without_the_extras(python: Path, tmp_path: Path) -> None:
    from causalseg.cli.main import COMMANDS

    script = (
        "import sys\nfrom causalseg.cli.main import main\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        main([name, '--help'])\n"
        "    except SystemExit as stop:\n        assert not stop.code, name\n"
    )
    run(python, "-c", script, *COMMANDS, cwd=tmp_path)
