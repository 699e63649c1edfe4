"""scripts/make_results.py on the folders of real, tiny runs."""

import json
import shutil
from pathlib import Path

import make_demo
import make_results
import make_tables
import pytest

from causalseg.cli.main import main as causalseg

PLAN = """
sections:
  - title: Tiny models
    note: Made by the tests.
    scores: [{name: tiny, folder: scores/a, note: one core}]
    faithfulness: [{name: tiny, folder: text}]
    comparisons: [{name: a against b, folder: cmp}]
readme: {scores: [tiny], faithfulness: tiny}
"""
README = f"# Title\nbefore\n{make_results.BEGIN}\nold 0.999\n{make_results.END}\nafter\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """Score, faithfulness and comparison folders of the tiny checkpoint."""
    folder = tmp_path_factory.mktemp("results")
    data = folder / "phantoms"
    lines = [
        f"data make-phantoms --out {data} --count 20 --size 48",
        f"evaluate {tiny_checkpoint} --data {data} --out {folder}/scores/a --resamples 20",
        f"compare a={folder}/scores/a b={folder}/scores/b --out {folder}/cmp --resamples 20",
        f"faithfulness {tiny_checkpoint} --phantoms 2 --out {folder}/text --resamples 20",
    ]
    for line in lines:
        if line.startswith("compare"):
            shutil.copytree(folder / "scores" / "a", folder / "scores" / "b")
        assert causalseg(line.split()) == 0
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a README and a plan."""
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "results" / "plan.yaml").write_text(PLAN)
    (tmp_path / "README.md").write_text(README)
    return tmp_path


def test_every_number_comes_from_the_folders(runs: Path, root: Path) -> None:
    assert make_results.main(["--root", str(root), "--collect", str(runs)]) == 0
    page = (root / "docs" / "results" / "index.md").read_text()
    metrics = json.loads((runs / "scores" / "a" / "metrics.json").read_text())
    for scale in ("macro", "micro"):
        for size in ("model_size", "native_size"):
            value = metrics[size][scale]["dice"]
            words = f"{value['estimate']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
            assert words in page
        # The README shows what a user of the masks gets: the image's own size.
        assert words in (root / "README.md").read_text()
    assert metrics["data"]["fingerprint"][:16] in page
    assert "`causalseg evaluate --model tiny.safetensors --data phantoms --split test" in page
    assert f"{metrics['images']} images of {metrics['subjects']} subjects" in page
    assert "one core" in page
    assert "joint flip" in page
    comparison = json.loads((runs / "cmp" / "comparison.json").read_text())
    assert comparison["comparisons"][0]["claim"] in page
    # Claims of others stand apart, and macro apart from micro.
    _, measured, rest = page.partition("## Claimed by others")
    assert measured
    assert rest.index("**Macro**") < rest.index("85.21") < rest.index("**Micro**")
    assert rest.index("**Micro**") < rest.rindex("90.88")


def test_only_the_block_of_the_readme_changes(runs: Path, root: Path) -> None:
    assert make_results.main(["--root", str(root), "--collect", str(runs)]) == 0
    readme = (root / "README.md").read_text()
    assert readme.startswith(f"# Title\nbefore\n{make_results.BEGIN}\n|")
    assert readme.endswith(f"\n{make_results.END}\nafter\n")
    assert "0.999" not in readme


def test_check_tells_what_is_out_of_date(runs: Path, root: Path) -> None:
    assert make_results.main(["--root", str(root), "--collect", str(runs)]) == 0
    assert make_results.main(["--root", str(root), "--check"]) == 0
    copy = root / "docs" / "results" / "scores" / "tiny.json"
    metrics = json.loads(copy.read_text())
    metrics["model_size"]["macro"]["dice"]["estimate"] += 0.1
    copy.write_text(json.dumps(metrics))
    assert make_results.main(["--root", str(root), "--check"]) == 1


def test_a_missing_run_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_results.main(["--root", str(root)]) == 2
    assert "tiny.json is missing" in capsys.readouterr().err
    assert (root / "README.md").read_text() == README


def test_the_committed_page_is_up_to_date() -> None:
    assert make_results.main(["--check"]) == 0


def test_paths_of_a_machine_are_cut() -> None:
    given = {"command": ["/home/me/bin/causalseg", "--out=/data/runs/a", "a/b"], "n": 1}
    given["rule"] = "D / (2 - D), https://example.org/x, imagenet:/weights/resnet.safetensors"
    assert make_results.without_paths(given) == {
        "command": ["causalseg", "--out=a", "a/b"],
        "n": 1,
        "rule": "D / (2 - D), https://example.org/x, imagenet:resnet.safetensors",
    }


def test_the_tables_of_reading_and_trust_are_up_to_date() -> None:
    for path, text in make_tables.pages().items():
        assert path.read_text() == text, "run: python scripts/make_tables.py"


def test_the_page_of_the_demo_is_up_to_date() -> None:
    assert make_demo.PAGE.read_text() == make_demo.page(), "run: python scripts/make_demo.py"
