"""The leaderboard's rules, its table against hand computation, and a small one for real."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from causalseg.cli.main import main
from causalseg.data.datamodule import DataConfig
from causalseg.data.lvit import read_lvit
from causalseg.data.manifest import Manifest
from causalseg.errors import InputError
from causalseg.experiments.axes import plan_grid
from causalseg.experiments.grid import tasks_of
from causalseg.experiments.leaderboard_config import SYSTEMS, LeaderboardConfig
from causalseg.experiments.leaderboard_report import cost_picture
from causalseg.experiments.leaderboard_table import Budget, LeaderboardTable, RowRuns
from causalseg.experiments.leaderboard_tabulate import entry_runs, tabulate_leaderboard
from causalseg.experiments.leaderboard_words import claimed_rows, lead, leaderboard_markdown
from causalseg.files import write_csv, write_json
from causalseg.models.registry import MODELS
from causalseg.training.environment import environment

BUDGET = Budget(32, 4, 1, None, None, True, 1e-3, "compact")


def config(**options: object) -> LeaderboardConfig:
    given = {"data": DataConfig(root="x", size=96), "model": {"size": "compact"}}
    return LeaderboardConfig(**given | options)


def test_left_alone_it_has_all_systems_on_one_budget() -> None:
    cells = plan_grid(config()).cells
    assert [cell.name for cell in cells] == list(SYSTEMS)
    assert set(SYSTEMS) == {name for name in MODELS if not name.endswith("_caption")}
    assert len(SYSTEMS) == 15
    shared = {repr((c.run.data, c.run.optimizer, c.run.trainer)) for c in cells}
    assert len(shared) == 1
    assert cells[0].run.trainer.patience == cells[0].run.trainer.max_epochs  # none stops early
    assert all(cell.run.model["size"] == "compact" for cell in cells)
    # Positions are learned at the size of the run, and not at the papers' 224.
    assert {c.run.model["resolution"] for c in cells if "resolution" in c.run.model} == {96}
    assert len(tasks_of(cells, [0, 1])) == 30


def test_rows_are_a_list_or_say_what_they_change() -> None:
    found = config(rows=["lvit", "unet"])
    assert [c.name for c in plan_grid(found).cells] == ["lvit", "unet"]
    assert found.references == ["unet"]  # the other is no row
    own = {"architecture": "lvit", "optimizer.lr": 3e-4, "model": {"resolution": 64}}
    _, row = plan_grid(config(rows={"unet": {}, "lvit, own rate": own})).cells
    assert (row.run.architecture, row.run.optimizer.lr) == ("lvit", 3e-4)
    assert row.run.model == {"size": "compact", "resolution": 64}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": ["unt"]}, "no model 'unt'"),
        ({"rows": {"a": {"architecture": "unet", "model": {"depth": 1}}}}, "no option 'depth'"),
        ({"rows": ["unet"], "entries": {"unet": "x"}}, "rename the entry"),
        ({"axes": {"data.size": [1]}}, "axes are for 'ablate'"),
        ({"probe_limit": 1}, "probe_limit"),
    ],
)
def test_a_leaderboard_that_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_grid(config(**options))


@pytest.fixture
def scored(phantoms: Path) -> Manifest:
    return read_lvit(phantoms, "train")


def score_folder(folder: Path, scored: Manifest, dice: np.ndarray, **run: object) -> Path:
    rows = [
        {
            "name": r.name, "subject": r.subject, "native_dice": d, "native_iou": d / (2 - d),
            "native_tp": 10 * d, "native_fp": 10 - 10 * d, "native_fn": 10 - 10 * d,
        }
        for r, d in zip(scored.records, dice, strict=True)
    ]  # fmt: skip
    write_csv(folder / "per_image.csv", rows)
    data = {"data": {"fingerprint": scored.fingerprint()}}
    controls = {"other_text": {"estimate": 0.3}}
    own = {"macro": {"dice": {"estimate": 0.7}}}
    write_json(folder / "metrics.json", data | {"controls": controls, "model_size": own})
    cost = {"parameters": 7, "gflop": 1.5, "images_per_second": 9.0, "steps": 5}
    times = {"training_seconds": 3.0, "training_cpu_seconds": 2.0, "weights": "random"}
    write_json(folder / "cost.json", cost | times | run)
    answers = [("side swap", r.subject, "", 0.25) for r in scored.records[:4]]
    answers += [("absent finding", r.subject, i % 2, "") for i, r in enumerate(scored.records)]
    columns = ("test", "subject", "empty", "gone")
    found = [dict(zip(columns, answer, strict=True)) | {"name": "x"} for answer in answers]
    write_csv(folder / "probes.csv", found)
    return folder


def test_the_table_is_what_a_hand_would_compute(scored: Manifest, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = len(scored)
    values = {name: rng.uniform(0.4, 0.6, n) for name in ("unet", "causalclipseg", "lvit")}
    values["lvit"] = values["unet"] + 0.2
    rows = [
        RowRuns(name, {0: score_folder(tmp_path / name, scored, v)}, reads_text=name != "unet")
        for name, v in values.items()
    ]
    rows.append(RowRuns("vilt", {}, reads_text=True))
    table = tabulate_leaderboard(
        rows, ["unet", "causalclipseg"], scored, BUDGET, machine=environment(), resamples=500
    )
    unet, ours, lvit, vilt = table.rows
    assert lvit.dice is not None
    assert lvit.dice.estimate == pytest.approx(values["lvit"].mean())
    assert lvit.micro_dice is not None
    # Of equal areas the micro Dice is the mean: 2 TP / (2 TP + FP + FN) with TP + FP = 10.
    assert lvit.micro_dice.estimate == pytest.approx(values["lvit"].mean())
    assert lvit.against["unet"].difference.estimate == pytest.approx(0.2)
    assert lvit.against["unet"].p_holm < 0.05
    # Two references are compared once, and the pair is read from either side.
    assert set(lvit.against) == {"unet", "causalclipseg"}
    assert set(ours.against) == {"unet"}
    assert unet.against == {}
    difference = values["causalclipseg"].mean() - values["unet"].mean()
    text = leaderboard_markdown(table)
    pairs = text.split("Against the references")[1]
    assert f"| causalclipseg | {difference:+.3f} [" in pairs
    assert f"| unet | - | - | - | {-difference:+.3f} [" in pairs
    assert vilt.dice is None
    assert unet.probes["side swap"].estimate == pytest.approx(0.25)
    asked = len({record.subject for record in scored.records[:4]})
    assert f"at most: side swap {asked}, absent finding" in text
    assert unet.probes["absent finding"].estimate == pytest.approx(np.mean(np.arange(n) % 2))
    assert (unet.dice_at_model_size, unet.dice_with_other_text) == (0.7, 0.3)
    assert "1 are better than unet on these runs, 0 worse" in lead(table)
    assert "other training runs" not in lead(table)
    # All three points have one cost, and two nearly one Dice: their names still stand apart.
    boxes = [text.get_window_extent() for text in cost_picture(table).axes[0].texts]
    assert [box.count_overlaps(boxes) for box in boxes] == [1, 1, 1]  # each itself
    assert LeaderboardTable.from_dict(json.loads(json.dumps(asdict(table)))) == table
    with pytest.raises(InputError, match="nothing to tabulate"):
        tabulate_leaderboard([rows[-1]], [], scored, BUDGET, machine=environment())


def test_a_difference_is_of_the_systems_only_where_it_exceeds_the_spread_of_seeds(
    scored: Manifest, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.4, 0.6, len(scored))
    gains = {"unet": [0, 0], "lvit": [0.2, 0.21], "lavt": [0.01, 0.2], "vilt": [-0.2, -0.2]}
    rows = [
        RowRuns(
            name,
            {
                seed: score_folder(tmp_path / f"{name}{seed}", scored, base + gain)
                for seed, gain in enumerate(own)
            },
            reads_text=name != "unet",
        )
        for name, own in gains.items()
    ]
    once = {0: score_folder(tmp_path / "tganet", scored, base - 0.3)}
    rows.append(RowRuns("tganet", once, reads_text=False))
    table = tabulate_leaderboard(
        rows, ["unet"], scored, BUDGET, machine=environment(), resamples=500
    )
    first = lead(table)
    assert "2 are better than unet on these runs, 1 worse" in first  # whatever the seeds say
    assert "better than unet: lvit; worse: vilt; 1 of 3 with several seeds cannot" in first
    text = leaderboard_markdown(table)
    assert "training run for each of these rows: tganet." in text
    spread = np.std([0.01, 0.2], ddof=1)
    assert f"| {spread:.3f} |" in next(s for s in text.splitlines() if s.startswith("| lavt"))
    half = 12.706 * spread / np.sqrt(2)
    assert f"[{0.105 - half:+.3f}, {0.105 + half:+.3f}]" in text


def test_what_papers_claim_stands_apart(scored: Manifest, tmp_path: Path) -> None:
    folder = score_folder(tmp_path / "a", scored, np.full(len(scored), 0.5))
    row = RowRuns("unet", {0: folder}, reads_text=False)
    table = tabulate_leaderboard([row], [], scored, BUDGET, machine=environment(), resamples=50)
    assert claimed_rows(table) == []  # nobody claims anything of phantoms
    table = replace(table, data=replace(table.data, root="QaTa-COV19"))
    claimed = {name: dice for name, dice, *_ in claimed_rows(table)}
    assert claimed["TGANet"] == "79.87"
    assert claimed["CausalCLIPSeg"] == "85.21"
    assert "not measured here" in leaderboard_markdown(table)


def test_an_entry_counts_on_the_scored_part_of_its_own_data_only(
    scored: Manifest, tmp_path: Path
) -> None:
    part, values = scored.limit(6), np.linspace(0.1, 0.9, len(scored))
    folder = score_folder(tmp_path / "theirs", scored, values)
    found = entry_runs("theirs", folder, scored, part)
    assert found.entry is not None
    assert found.entry.names == tuple(r.name for r in part.records)
    kept = [v for r, v in zip(scored.records, values, strict=True) if r in part.records]
    assert found.entry.columns["native_dice"] == pytest.approx(kept)
    with pytest.raises(InputError, match="scored on other data"):
        entry_runs("theirs", folder, part, part)
    damaged = score_folder(tmp_path / "part", part, values[:6])
    write_json(damaged / "metrics.json", {"data": {"fingerprint": scored.fingerprint()}})
    with pytest.raises(InputError, match="has no score of"):
        entry_runs("part", damaged, scored, scored)


def test_systems_are_trained_scored_and_joined_by_an_entry(
    phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, masks = tmp_path / "board", phantoms / "Val_Folder" / "labelcol"
    rows = {"unet": {}, "causalclipseg": {"model": {"encoder": "tiny"}}}
    words = {
        "data.root": phantoms, "data.size": 32, "data.batch_size": 6, "data.leaks": "keep",
        "model.size": "compact", "data.train_limit": 12,
        "trainer.max_epochs": 1, "trainer.accelerator": "cpu", "optimizer.lr": 0.001,
        "resamples": 50, "rows": json.dumps(rows), "split": "val", "out": out,
    }  # fmt: skip
    command = ["leaderboard", *(f"--{name}={value}" for name, value in words.items())]
    assert main(command) == 0
    kept = {p: p.stat().st_mtime_ns for p in out.glob("cells/**/*") if p.is_file()}
    theirs = tmp_path / "theirs"
    score = ["score", str(masks), "--data", str(phantoms), "--split", "val", "--out", str(theirs)]
    assert main([*score, "--resamples", "20", "--no-controls"]) == 0
    assert main([*command, f"--entries={json.dumps({'theirs': str(theirs)})}"]) == 0
    assert {p: p.stat().st_mtime_ns for p in kept} == kept, "finished runs are left as they are"
    table = LeaderboardTable.from_dict(json.loads((out / "table.json").read_text()))
    unet, ours, entry = table.rows
    assert entry.entry
    assert entry.dice is not None
    assert entry.dice.estimate == 1.0  # the true masks
    assert set(entry.against) == {"unet", "causalclipseg"}
    assert unet.cost is not None
    assert ours.cost is not None
    assert unet.cost.steps == ours.cost.steps > 0
    assert unet.cost.training_cpu_seconds > 0
    assert (unet.reads_text, ours.reads_text) == (False, True)
    # A model that reads no text gives the same mask whatever it is told.
    assert unet.dice is not None
    assert unet.dice_with_other_text == unet.dice_at_model_size
    assert unet.dice_at_model_size is not None
    page = (out / "report.html").read_text()
    assert page.count("data:image/png") == 1
    assert 'src="http' not in page
    assert "one training run for each row" in page
    assert (out / "cost.png").read_bytes().startswith(b"\x89PNG")
    assert "theirs" in capsys.readouterr().out
