"""`compare` on runs whose difference is known."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from causalseg.cli.main import main
from causalseg.evaluation.comparison import Method, ScoredRun
from causalseg.evaluation.comparison import compare_methods as compare_runs

NAMES = [f"mask_sub-S{i // 2:05d}_run-{i % 2}.png" for i in range(80)]
SUBJECTS = [f"S{i // 2:05d}" for i in range(80)]
BASE = np.random.default_rng(0).uniform(0.4, 0.8, 80)


def write_run(folder: Path, dice: np.ndarray, order=slice(None), fingerprint="same") -> Path:
    folder.mkdir()
    rows = list(zip(NAMES, SUBJECTS, dice, strict=True))[order]
    with (folder / "per_image.csv").open("w") as stream:
        csv.writer(stream).writerows([("name", "subject", "dice"), *rows])
    content = {"data": {"fingerprint": fingerprint}}
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


def compare_methods(*arguments: object) -> int:
    return main(["compare", *map(str, arguments)])


def test_a_clear_gain_is_claimed_whatever_the_row_order(tmp_path):
    noise = np.random.default_rng(1).normal(0, 0.02, (2, 80))
    noise -= noise.mean(1, keepdims=True)  # no spread between the runs of a side
    a = [write_run(tmp_path / f"a{i}", BASE + 0.05 + noise[i]) for i in range(2)]
    b = [
        write_run(tmp_path / f"b{i}", BASE + noise[::-1][i], slice(None, None, -1)) for i in (0, 1)
    ]
    out = tmp_path / "out"
    assert compare_methods(f"ours={a[0]},{a[1]}", f"theirs={b[0]},{b[1]}", "--out", out) == 0
    (result,) = json.loads((out / "comparison.json").read_text())["comparisons"]
    # Both sides average the same noise, so the seed-averaged difference is exact in every image.
    assert result["difference"]["estimate"] == pytest.approx(0.05)
    assert result["difference"]["low"] == pytest.approx(0.05)
    assert result["difference"]["clusters"] == 40
    assert result["p_holm"] < 0.001
    assert "ours is better than theirs" in result["claim"]
    assert result["holds"]
    assert "other training runs alike" in result["claim"]
    assert "<img" in (out / "report.html").read_text()


def test_noise_is_not_claimed(tmp_path):
    noise = np.random.default_rng(4).normal(0, 0.05, 80)
    a, b = write_run(tmp_path / "a", BASE), write_run(tmp_path / "b", BASE + noise - noise.mean())
    assert compare_methods(a, b, "--out", tmp_path / "out") == 0
    (result,) = json.loads((tmp_path / "out" / "comparison.json").read_text())["comparisons"]
    assert "No difference may be claimed" in result["claim"]


def test_identical_methods_are_seldom_called_different():
    """The test over subjects alone would claim a difference in most of these."""
    rng, claims, alone = np.random.default_rng(5), 0, 0
    for _ in range(60):
        runs = [
            ScoredRun(Path(), tuple(NAMES), tuple(SUBJECTS), {"dice": BASE + spread + noise}, None)
            for spread, noise in zip(
                rng.normal(0, 0.03, 6), rng.normal(0, 0.02, (6, 80)), strict=True
            )
        ]
        methods = [Method("a", tuple(runs[:3])), Method("b", tuple(runs[3:]))]
        (found,) = compare_runs(methods, ["dice"], resamples=300)
        claims += found.holds
        alone += found.p_holm < 0.05
    assert alone > 30
    assert claims <= 7


def test_one_run_a_side_is_said_of_these_runs(tmp_path):
    a, b = write_run(tmp_path / "a", BASE + 0.1), write_run(tmp_path / "b", BASE)
    assert compare_methods(a, b, "--out", tmp_path / "out") == 0
    (result,) = json.loads((tmp_path / "out" / "comparison.json").read_text())["comparisons"]
    assert result["claim"].startswith("On these runs a is better than b")
    assert not result["holds"]
    assert result["over_seeds"] is None


def test_three_methods_make_three_comparisons_corrected_together(tmp_path):
    noise = np.random.default_rng(2).normal(0, 0.1, (2, 80))
    runs = [
        write_run(tmp_path / name, values)
        for name, values in (("a", BASE), ("b", BASE + noise[0]), ("c", BASE + noise[1] + 0.03))
    ]
    compare_methods(*runs, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())["comparisons"]
    assert [(c["a"], c["b"]) for c in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert min(c["p_holm"] for c in found) == pytest.approx(3 * min(c["p"] for c in found))


@pytest.mark.parametrize("problem", ["fingerprint", "images", "column", "folder"])
def test_runs_that_do_not_pair_are_refused(tmp_path, capsys, problem):
    a, b = write_run(tmp_path / "a", BASE), tmp_path / "b"
    arguments = []
    if problem == "fingerprint":
        write_run(b, BASE, fingerprint="other")
    elif problem == "images":
        write_run(b, BASE, slice(0, 79))
    elif problem == "column":
        write_run(b, BASE)
        arguments = ["--metrics", "nsd"]
    assert compare_methods(a, b, *arguments, "--out", tmp_path / "out") == 2
    message = capsys.readouterr().err
    expected = {"images": "79", "column": "nsd", "fingerprint": "fingerprint", "folder": "missing"}
    assert expected[problem].replace("79", NAMES[79]) in message
    assert not (tmp_path / "out").exists()
