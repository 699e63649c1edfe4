import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from causalseg.cli.main import main
from causalseg.data.dataset import SegmentationDataset
from causalseg.data.domains import DomainDataset, find_domains, pool
from causalseg.data.phantom import make_phantoms
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.evaluation.files import read_result, read_result_rows
from causalseg.experiments.lodo import Frames
from causalseg.experiments.lodo_config import LodoConfig, lodo_cells, model_options
from causalseg.experiments.mcdrl_rows import MCDRL_ROWS
from causalseg.text.tokenizer import tokenize

# The command under an audit hook, which sees every file that Python opens or lists.
WATCHED = """
import json, sys
events = []
def note(event, arguments):
    if event in ("open", "os.listdir", "os.scandir", "os.rename"):
        events.append([event, str(arguments[1 if event == "os.rename" else 0])])
sys.addaudithook(note)
from causalseg.cli.main import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump(list(events), file)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("domains")
    for i, name in enumerate("ABC"):
        make_phantoms(folder / name, 12, seed=i, size=32)
    return [folder / name for name in "ABC"]


def command(roots, out, *more):
    return [
        "lodo",
        "--model.encoder=tiny",
        "--model.warmup_epochs=0",
        f"--data.domains={','.join(map(str, roots))}",
        "--data.size=32",
        "--data.batch_size=8",
        "--trainer.max_epochs=1",
        "--trainer.accelerator=cpu",
        "--rows=[baseline, full]",
        "--folds=[A]",
        f"--out={out}",
        *more,
    ]


def test_the_target_is_not_opened_before_the_final_scoring(roots, tmp_path):
    log, out = tmp_path / "log.json", tmp_path / "grid"
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(log), *command(roots, out), "--rows=[full]"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    events = json.loads(log.read_text())
    trained = [
        i
        for i, (event, path) in enumerate(events)
        if event == "os.rename" and path.endswith("checkpoint.safetensors")
    ]
    touched = {
        root.name: [i for i, (_, path) in enumerate(events) if path.startswith(f"{root}/")]
        for root in roots
    }
    assert len(trained) == 1
    assert touched["B"]
    assert touched["C"]
    assert min(touched["B"] + touched["C"]) < min(trained)
    assert len(touched["A"]) >= 24  # twelve images and masks: the hook does see them
    assert min(touched["A"]) > max(trained)


def start(roots, out):
    return subprocess.Popen(
        [sys.executable, "-m", "causalseg.cli.main", *command(roots, out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_killed_grid_goes_on_and_runs_no_finished_cell_again(roots, tmp_path, capsys):
    out = tmp_path / "grid"
    first = out / "cells" / "A" / "baseline" / "seed0" / "checkpoint.safetensors"
    process = start(roots, out)
    deadline = time.monotonic() + 120
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.exists()
    written = first.stat().st_mtime_ns
    assert main(command(roots, out)) == 0
    assert first.stat().st_mtime_ns == written
    done = [path.parent for path in out.glob("cells/*/*/*/metrics.json")]
    assert len(done) == 2
    assert not list(out.glob("cells/*/*/*/fit"))  # nothing is left of stopped fits
    capsys.readouterr()
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("cells/**/*") if path.is_file()}
    assert main(command(roots, out)) == 0
    said = capsys.readouterr().out
    assert "run " not in said
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    results = json.loads((out / "results.json").read_text())
    assert results["rows"]["full"]["complete"]
    rows = read_result_rows(done[0] / "per_image.csv")
    assert len(rows) == 12
    metrics = read_result(done[0] / "metrics.json")
    shown = [float(row["dice"]) for row in rows if row["empty"] == "0"]
    assert metrics["dice"] == pytest.approx(float(np.mean(shown)))
    # other options must not be mixed into the same table
    assert main(command(roots, out, "--optimizer.lr=0.5")) == 2
    assert "other options" in capsys.readouterr().err


def test_sources_train_on_all_but_their_hold_out(roots):
    sources = roots[1:]
    train = pool(sources, "train", "none")
    holdout = pool(sources, "holdout", "none")
    target = pool(roots[:1], "target", "none")
    folders = {p.image.relative_to(roots[0].parent).parts[:2] for p in train.records}
    assert {part[1] for part in folders} == {"Train_Folder", "Test_Folder"}
    assert {part[0] for part in folders} == {"B", "C"}
    assert {r.image.parts[-3] for r in holdout.records} == {"Val_Folder"}
    assert len(target) == 12
    assert len(train) + len(holdout) == 24
    shared = {
        role: {r.image.parts[-3] for r in pool(roots, role, "images").records}
        for role in ("train", "holdout", "target")
    }
    assert shared == {
        "train": {"Train_Folder"},
        "holdout": {"Val_Folder"},
        "target": {"Test_Folder"},
    }


def test_the_limit_holds_for_each_domain(roots):
    few = pool(roots, "train", "none", limit=3, seed=1)
    assert [sum(r.domain == name for r in few.records) for name in "ABC"] == [3, 3, 3]


@pytest.mark.realdata
def test_frames_without_a_polyp_are_known(data_root):
    centre = data_root / "polyp_multicentre" / "PolypGen_C4_Oslo"
    frames = Frames(pool([centre], "target", "none"), Preprocessing(size=64))
    assert len(frames.images) == 227
    assert sum(frames.empty) == 81


def test_domains_that_cannot_be_used_are_refused(roots, tmp_path):
    with pytest.raises(InputError, match="at least two"):
        find_domains([str(roots[0])])
    (tmp_path / "A" / "Train_Folder").mkdir(parents=True)
    with pytest.raises(InputError, match="Val_Folder"):
        find_domains([str(roots[1]), str(tmp_path / "A")])
    (tmp_path / "A" / "Val_Folder").mkdir()
    with pytest.raises(InputError, match="two domains are called A"):
        find_domains([str(roots[0]), str(tmp_path / "A")])


def test_a_view_has_its_own_seed_prompt_and_colours(roots):
    base = SegmentationDataset(
        pool(roots[:1], "train", "none"), Preprocessing(size=32), augment=True
    )
    prompt = tokenize("polyp")[0]
    plain, other = DomainDataset(base, seed=0), DomainDataset(base, seed=1)
    assert plain.pixels is base.pixels
    assert torch.equal(plain[2, 0]["image"], DomainDataset(base, seed=0)[2, 0]["image"])
    assert not torch.equal(plain[2, 0]["image"], other[2, 0]["image"])
    coloured = DomainDataset(base, seed=0, text="polyp", photometric=True)
    item = coloured[2, 0]
    assert torch.equal(item["tokens"], prompt)
    assert torch.equal(item["mask"], plain[2, 0]["mask"])
    assert not torch.equal(item["image"], plain[2, 0]["image"])
    assert torch.equal(item["image"], coloured[2, 0]["image"])


def test_any_registered_model_is_a_row():
    domains = {"A": Path("a"), "B": Path("b")}
    model = {"encoder": "tiny", "adversary": "none"}
    given = {"other": {"architecture": "causalclipseg", "model": model}}
    config = LodoConfig(model={"encoder": "tiny"}, rows=["full"], models=given, select="last")
    cells = lodo_cells(config, domains)
    assert [(c.fold, c.name) for c in cells] == [
        ("A", "full"), ("A", "other"), ("B", "full"), ("B", "other"),
    ]  # fmt: skip
    assert (cells[1].run.architecture, cells[1].run.model) == ("causalclipseg", model)
    assert (cells[0].run.data.root, cells[2].run.data.root) == ("B", "A")
    assert {c.epoch for c in cells} == {"last"}
    for entry, words in (
        ({"architecture": "unt"}, "row x: there is no model 'unt'"),
        ({"model": {}}, "x has no architecture"),
        ({"architecture": "mcdrl", "size": 1}, "no key 'size'"),
    ):
        with pytest.raises(InputError, match=words):
            lodo_cells(LodoConfig(rows=[], models={"x": entry}), domains)


@pytest.mark.parametrize("name", MCDRL_ROWS)
def test_every_row_of_the_table_builds_its_model(name):
    from causalseg import build_model

    config = LodoConfig(model={"encoder": "tiny", "weights": "random"}, rows=[name])
    row = MCDRL_ROWS[name]
    model = build_model(row.architecture, **model_options(config, row))
    if row.architecture == "mcdrl" and name not in ("full", "augmentation"):
        full = build_model("mcdrl", **model_options(config, MCDRL_ROWS["full"]))
        assert replace(model.config, prompts="endoscopy") != replace(
            full.config, prompts="endoscopy"
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows": ["magic"]}, "'magic'"),
        ({"seeds": []}, "seeds"),
        ({"rows": ["full", "full"]}, "rows"),
        ({"select": "target"}, "select"),
        ({"reference": "best"}, "none of the rows"),
        ({"models": {"full": {}}}, "a row already"),
    ],
)
def test_grids_that_cannot_be_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        LodoConfig(**options)


def test_the_mechanism_is_measured_on_a_trained_model(roots, tmp_path, capsys):
    from causalseg import build_model
    from causalseg.models.checkpoint import save_checkpoint

    torch.manual_seed(0)
    path = Path(tmp_path / "m.safetensors")
    save_checkpoint(
        path,
        build_model("mcdrl", encoder="tiny"),
        preprocessing=Preprocessing(size=64).to_dict(),
        threshold=0.5,
        provenance={},
    )
    argv = ["lodo", "mechanism", str(path), "--data", str(roots[0]), "--split", "train"]
    assert main([*argv, "--kinds", "dark,blood", "--out", str(tmp_path / "m.json")]) == 0
    found = read_result(tmp_path / "m.json")["corruptions"]
    assert set(found) == {"dark", "blood"}
    for entry in found.values():
        assert entry["drift_dense"] > 0
        assert entry["spread_dense"] == found["dark"]["spread_dense"]  # of clean images alone
        change = entry["drift_fused"] - entry["drift_dense"]
        assert entry["drift_change"]["estimate"] == pytest.approx(change)
        attention = entry["attention"]
        gain = attention["corrupted"] - attention["clean"]
        assert attention["gain"]["estimate"] == pytest.approx(gain, abs=1e-6)
        assert 1 <= attention["rank"] <= attention["prompts"] == 12
    assert main([*argv, "--kinds", "fog", "--out", str(tmp_path / "n.json")]) == 2
    assert "'fog'" in capsys.readouterr().err
