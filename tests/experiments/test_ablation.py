"""The grid's rules, its table against hand computation, and a real grid that is killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from causalseg import Segmenter
from causalseg.cli.main import main
from causalseg.data.datamodule import DataConfig
from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.errors import InputError
from causalseg.evaluation.metrics import dice
from causalseg.experiments.ablation import Ablation
from causalseg.experiments.ablation_report import ablation_markdown
from causalseg.experiments.ablation_table import AblationTable, CellRuns, tabulate_ablation
from causalseg.experiments.axes import AblationConfig, plan_grid
from causalseg.experiments.causal_masks import mask_sheet, measure_masks
from causalseg.experiments.grid import Task
from causalseg.files import write_csv, write_json

MASKER, ADVERSARY, WEIGHT = "model.masker", "model.adversary", "model.adversary_weight"


def grid(axes: object, **options: object) -> AblationConfig:
    model = {"encoder": "tiny", "adversary": "none"}
    return AblationConfig(**{"data": DataConfig(root="x"), "model": model, "axes": axes} | options)


def test_impossible_combinations_are_left_out_and_idle_options_make_no_cells() -> None:
    axes = {MASKER: [False, "additive", True], ADVERSARY: ["none", "literal"], WEIGHT: [0.05, 0.5]}
    found = plan_grid(grid(axes, reference={MASKER: False}))
    # Of 3 x 2 x 2: lambda changes nothing without an adversary, and 2 x 2 have no masker to play.
    assert [cell.name for cell in found.cells] == [
        "masker=off, adversary=none",
        "masker=additive, adversary=none",
        "masker=on, adversary=none",
        "masker=on, adversary=literal, adversary_weight=0.05",
        "masker=on, adversary=literal, adversary_weight=0.5",
    ]
    assert len(found.left_out) == 4
    assert all("no confounding features" in why for why in found.left_out.values())
    assert found.reference.name == "masker=off, adversary=none"


def test_a_union_of_grids_keeps_the_base_where_a_grid_is_silent() -> None:
    config = grid([{MASKER: [False, True]}, {ADVERSARY: ["reversal"], "data.size": [32, 64]}])
    found = plan_grid(config)
    assert [
        (c.values[MASKER], c.values[ADVERSARY], c.values["data.size"]) for c in found.cells
    ] == [
        (False, "none", 224),
        (True, "none", 224),
        (True, "reversal", 32),
        (True, "reversal", 64),
    ]
    assert found.reference.values[MASKER] is True  # the base itself
    run = Task(found.cells[2], 7).run(Path("y"))
    assert (run.data.size, run.data.seed, run.seed, run.ckpt_path) == (32, 7, 7, "last")
    assert run.model == {"encoder": "tiny", "adversary": "reversal", "masker": True}
    assert (config.data.size, config.model["adversary"]) == (224, "none")  # the base is untouched
    folders = {Task(c, s).folder(Path("g")) for c in found.cells for s in (0, 1)}
    assert len(folders) == 8
    assert Task(found.cells[2], 7).settings() != Task(found.cells[3], 7).settings()


def test_a_path_on_this_machine_is_in_no_name() -> None:
    found = plan_grid(
        grid({"model.weights": ["random", "imagenet:/a/b.safetensors", "openai:RN101"]})
    )
    assert [c.name for c in found.cells] == [
        "weights=random",
        "weights=imagenet",
        "weights=openai:RN101",
    ]


@pytest.mark.parametrize(
    ("axes", "options", "message"),
    [
        ({"model.lamda": [1]}, {}, "no option 'lamda'"),
        ({"data.siz": [1]}, {}, "no option 'data.siz'"),
        ({"data.size.real": [1]}, {}, "no option 'data.size.real'"),
        ({"data.rewrite": [1]}, {}, "name one of data.rewrite.one_lung"),
        ({"data.root": ["a"]}, {}, "cannot be an axis"),
        ({}, {}, "at least one option"),
        ({}, {"models": {"a": {"architecture": "unt"}}}, "models: a: there is no model 'unt'"),
        ({}, {"models": {"a": {"model": {"depth": 1}}}}, "models: a: .* no option 'depth'"),
        ({}, {"models": {"a": {"data.siz": 1}}}, "models: a: .*data.siz"),
        ({}, {"models": {"a": {}}, "reference": "b"}, "none of the cells: a"),
        ({MASKER: []}, {}, "at least one value"),
        ({MASKER: [False], ADVERSARY: ["literal"]}, {}, "in no possible cell: with masker false"),
        ({ADVERSARY: ["none", "literl"]}, {}, "literl"),
        ({MASKER: [False]}, {}, "none of the cells"),
        ({MASKER: [True]}, {"reference": {ADVERSARY: "none"}}, "none of the cells"),
        ({MASKER: [True]}, {"seeds": "0,x"}, "seeds must be numbers"),
        ({MASKER: [True]}, {"seeds": [1, 1]}, "each once"),
        ({MASKER: [True]}, {"test_limit": 0}, "test_limit"),
        ({"model.weights": ["imagenet:a/b", "imagenet:a/c"]}, {}, "two cells"),
    ],
)
def test_grids_that_cannot_be_are_refused(
    axes: object, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan_grid(grid(axes, **options))


def test_an_option_within_an_option_is_an_axis() -> None:
    config = grid({"data.rewrite.one_lung": [0.0, 0.2], "data.size": [224, 32]})
    runs = [cell.run for cell in plan_grid(config).cells]
    assert [run.data.rewrite.one_lung for run in runs] == [0.0, 0.0, 0.2, 0.2]
    assert [run.data.size for run in runs] == [224, 32, 224, 32]
    assert config.data.rewrite.one_lung == 0.0, "the base is left as it was"


def test_models_with_unlike_options_stand_in_one_grid() -> None:
    models = {
        "plain": {"model": {"masker": False}},
        "wide": {"data.size": 32, "optimizer.lr": 0.5},
        "mcdrl": {"architecture": "mcdrl", "model": {"encoder": "tiny", "alpha": 1.0}},
    }
    found = plan_grid(grid({MASKER: [True]}, models=models, reference="plain"))
    assert [cell.name for cell in found.cells] == ["masker=on", "plain", "wide", "mcdrl"]
    assert found.reference.name == "plain"
    assert plan_grid(grid({}, models=models)).reference.name == "plain"
    _, plain, wide, other = (cell.run for cell in found.cells)
    assert plain.model == {"encoder": "tiny", "adversary": "none", "masker": False}
    assert (wide.data.size, wide.optimizer.lr, wide.architecture) == (32, 0.5, "causalclipseg")
    # Another architecture keeps nothing of the base's options.
    assert (other.architecture, other.model) == ("mcdrl", {"encoder": "tiny", "alpha": 1.0})


def score_folder(folder: Path, values: list[float], other: float = 0.3) -> Path:
    rows = [
        {"name": f"{i}.png", "subject": f"S{i // 2}", "native_dice": v, "native_iou": v / 2}
        for i, v in enumerate(values)
    ]
    write_csv(folder / "per_image.csv", rows)
    data = {"root": "r", "split": "test", "fingerprint": "f" * 64}
    controls = {"other_text": {"estimate": other}}
    micro = {"micro": {"dice": {"estimate": 0.5}}}
    run = {"parameters": 10, "parameters_at_inference": 8}
    content = {"data": data, "images": len(rows), "subjects": 4, "native_size": micro}
    write_json(folder / "metrics.json", content | {"controls": controls, "run": run})
    return folder


def test_the_table_is_what_a_hand_would_compute(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = [rng.uniform(0.4, 0.6, 8).tolist() for _ in range(3)]
    better = [rng.uniform(0.7, 0.9, 8).tolist() for _ in range(2)]
    folders = {
        name: {seed: score_folder(tmp_path / f"{name}{seed}", v) for seed, v in enumerate(values)}
        for name, values in {"a": base, "b": better, "c": []}.items()
    }
    cells = [CellRuns(name, {"x": name}, found) for name, found in folders.items()]
    table = tabulate_ablation(cells, "a", resamples=500)
    a, b, c = table.cells
    assert a.dice is not None
    assert a.dice.estimate == pytest.approx(np.mean(base))
    assert a.seed_standard_deviation == pytest.approx(np.std(np.mean(base, axis=1), ddof=1))
    assert a.comparison is None
    assert c.seeds == []
    assert b.comparison is not None
    # b has two seeds, so it is compared with the same two of a.
    difference = np.mean(better) - np.mean(base[:2])
    assert b.comparison.difference.estimate == pytest.approx(difference)
    by_seed = np.mean(better, axis=1) - np.mean(base[:2], axis=1)
    assert b.comparison.difference_by_seed == pytest.approx(by_seed.tolist())
    half = 12.706 * np.std(by_seed, ddof=1) / np.sqrt(2)  # Student's t, one degree of freedom
    assert b.comparison.over_seeds is not None
    assert b.comparison.over_seeds.low == pytest.approx(difference - half, abs=1e-5)
    # Four subjects, all better: two of the sixteen sign patterns are as extreme.
    assert b.comparison.p == pytest.approx(2 / 16)
    assert b.comparison.difference.clusters == 4
    assert a.dice_with_other_text == 0.3
    assert not b.comparison.holds  # four subjects are too few
    assert "With 4 subjects" in ablation_markdown(table)
    assert AblationTable.from_dict(json.loads(json.dumps(asdict(table)))) == table
    assert f"{np.mean(base):.3f} [" in ablation_markdown(table)
    with pytest.raises(InputError, match="nothing to tabulate"):
        tabulate_ablation([CellRuns("c", {}, {})], "c")


def test_a_difference_that_other_seeds_may_turn_is_not_claimed(tmp_path: Path) -> None:
    def cell(name: str, means: list[float]) -> CellRuns:
        folders = {
            seed: score_folder(tmp_path / f"{name}{seed}", [m + i / 1000 for i in range(24)])
            for seed, m in enumerate(means)
        }
        return CellRuns(name, {}, folders)

    cells = [cell("base", [0.5, 0.5, 0.5]), cell("luck", [0.8, 0.5, 0.49])]
    cells.append(cell("sure", [0.6, 0.61, 0.6]))
    _, luck, sure = (c.comparison for c in tabulate_ablation(cells, "base", resamples=2000).cells)
    assert luck is not None
    assert sure is not None
    # Every subject is better by 0.097, and yet one seed of three carries it.
    assert luck.difference.low > 0
    assert luck.p_holm < 0.05
    assert not luck.holds
    assert "another training run may turn it" in luck.claim
    assert sure.holds
    assert "sure is better than base" in sure.claim


def test_the_split_that_is_named_is_scored(phantoms: Path) -> None:
    config = grid({MASKER: [True]}, data=DataConfig(root=phantoms), split="val", test_limit=1)
    study = Ablation(config)
    assert (study.whole.split, len(study.test)) == ("val", 1)
    assert study.settings(study.tasks[0])["split"] == "val"


def test_masks_are_measured_as_defined(phantoms: Path, tiny_checkpoint: Path) -> None:
    segmenter = Segmenter.load(tiny_checkpoint)
    manifest = read_lvit(phantoms, "test")
    found = measure_masks(segmenter, manifest, batch_size=2, resamples=50)
    assert found is not None
    inside, area, opened = [], [], []
    for record in manifest.records:  # one by one, stage by stage, from the definition
        result = segmenter(record.image, record.caption)
        truth = segmenter.preprocessing.resize_mask(read_mask(record.mask))
        shares = []
        for m in result.attention.values():
            lesion = F.adaptive_avg_pool2d(torch.from_numpy(truth)[None].float(), m.shape)[
                0
            ].numpy()
            shares.append(float((m * lesion).sum() / m.sum()))
        with segmenter.model.open_masks():
            probability = segmenter.probabilities([read_image(record.image)], [record.caption])[0]
        opened.append(dice(probability >= segmenter.threshold, truth))
        if truth.any():
            inside.append(np.mean(shares))
            area.append(truth.mean())
    assert found.inside.estimate == pytest.approx(np.mean(inside), rel=1e-5)
    assert found.lesion_area == pytest.approx(np.mean(area), rel=1e-5)
    assert found.lift.estimate == pytest.approx(np.mean(inside) / np.mean(area), rel=1e-5)
    assert found.dice_open.estimate == pytest.approx(np.mean(opened), abs=1e-6)
    assert found.do_text.images_with_another_text > 0
    assert found.do_text.largest == 0.0  # masks see the image alone
    change = found.dice_open.estimate - found.dice.estimate
    assert found.open_change.estimate == pytest.approx(change)
    stages = len(found.stages)
    assert mask_sheet(segmenter, manifest, 2).shape == (2 * 144, (stages + 2) * 144, 3)


def test_a_model_without_masks_has_nothing_to_measure(phantoms: Path) -> None:
    from causalseg import build_model
    from causalseg.data.preprocessing import Preprocessing

    manifest = read_lvit(phantoms, "test").limit(2)
    for masker in (False, "additive"):
        model = build_model("causalclipseg", encoder="tiny", masker=masker, adversary="none")
        segmenter = Segmenter(model, Preprocessing(size=32), 0.5)
        assert measure_masks(segmenter, manifest, resamples=10) is None


def command(root: Path, out: Path, *more: str) -> list[str]:
    options = {
        "data.root": root, "data.size": 32, "data.batch_size": 6, "model.encoder": "tiny",
        "model.head_channels": "[16,16,8]", "model.adversary": "none", "trainer.max_epochs": 2,
        "trainer.accelerator": "cpu", "optimizer.lr": 0.001, "resamples": 100, "seeds": "0,1",
        "axes": json.dumps({MASKER: [False, True]}),
        "reference": json.dumps({MASKER: False}), "out": out,
    }  # fmt: skip
    return ["ablate", *(f"--{name}={value}" for name, value in options.items()), *more]


def test_a_killed_grid_goes_on_where_it_was(
    phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "grid"
    first = out / "cells" / "masker=off" / "seed0"
    second = out / "cells" / "masker=on" / "seed0"
    process = subprocess.Popen(
        [sys.executable, "-m", "causalseg", *command(phantoms, out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 300
    while not (second / "fit" / "last.ckpt").exists():  # the second cell is being trained
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (first / "report.html").exists()
    assert not (second / "report.html").exists()
    stamps = {p: p.stat().st_mtime_ns for p in first.rglob("*") if p.is_file()}
    assert main(command(phantoms, out)) == 0
    said = capsys.readouterr().out
    assert "run 1 of 4" not in said
    assert "run 2 of 4" in said
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert "epoch 0 " not in said.split("run 3 of 4")[0]  # it was not trained again
    assert "epoch 0 " in said.split("run 3 of 4")[1]
    assert len((second / "metrics.csv").read_text().splitlines()) == 3

    assert not list(out.glob("cells/*/*/fit"))
    table = json.loads((out / "table.json").read_text())
    assert (table["runs"], table["runs_planned"]) == (4, 4)
    off, on = table["cells"]
    assert off["masks"] is None
    assert on["masks"]["do_text"] == 0.0
    assert on["parameters"] > off["parameters"]
    with (out / "table.csv").open(newline="") as file:
        flat = list(csv.DictReader(file))
    assert [row["cell"] for row in flat] == ["masker=off", "masker=on"]
    assert float(flat[1]["difference"]) == on["comparison"]["difference"]["estimate"]
    page = (out / "report.html").read_text()
    assert page.count("data:image/png") == 2  # differences, and the masks of the one cell with any
    assert "difference to the reference" in (out / "table.md").read_text()

    # A finished grid runs nothing, and other options are not mixed into it.
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("cells/**/*") if p.is_file()}
    assert main(command(phantoms, out)) == 0
    assert "run " not in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert main(command(phantoms, out, "--optimizer.lr=0.5")) == 2
    assert "other options" in capsys.readouterr().err
