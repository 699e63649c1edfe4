"""Archives on Ray: the local engine's results, shard by shard, whatever fails or is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from causalseg.cli.main import main
from causalseg.inference import shards
from causalseg.inference.predict import PredictOptions

pytest.importorskip("ray")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FIRST_SHARD = "shard-000000"
TEXTS = ["upper left lung", "lower right lung"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory, png, to_png):
    """Nine rows in row groups of four, of which three are bad."""
    root = tmp_path_factory.mktemp("archive")
    for n in range(4):
        (root / f"{n}.png").write_bytes(to_png(np.eye(40 + n, dtype=np.uint8) * 255))
    (root / "cut.png").write_bytes(png[:200])
    rows = [(f"{n}.png", text) for n in range(3) for text in TEXTS]
    rows += [("missing.png", TEXTS[0]), ("cut.png", TEXTS[0]), ("3.png", None)]
    table = pa.table({"image": [image for image, _ in rows], "text": [text for _, text in rows]})
    pq.write_table(table, root / "manifest.parquet", row_group_size=4)
    return root


def command(archive, out, checkpoint, *more):
    manifest = str(archive / "manifest.parquet")
    return ["predict", "--engine", "ray", "--prompts", manifest, "--out", str(out),
            "--model", str(checkpoint), "--shard-rows", "5", *more]  # fmt: skip


def run_and_kill(arguments, out):
    """Start the job as a process of its own and end it after its first result."""
    process = subprocess.Popen(
        [sys.executable, "-m", "causalseg.cli.main", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while not list(out.glob("shard-*/*/result.json")) and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_job_is_resumed_to_the_local_engine_s_results_and_records_failures(
    archive, tiny_checkpoint, tmp_path, capfd
):
    out = tmp_path / "out"
    arguments = command(archive, out, tiny_checkpoint)
    run_and_kill(arguments, out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("shard-*/*/result.json")}
    assert times

    assert main([*arguments, "--resume"]) == 1
    said = capfd.readouterr()
    assert "3 failed" in said.out
    assert "row 7: there is no such file" in said.err
    assert {path: path.stat().st_mtime_ns for path in times} == times, "done twice"
    assert not list(out.rglob("*.part"))
    index = [pq.read_table(path).to_pylist() for path in sorted(out.glob("shard-*/index.parquet"))]
    assert [[line["row"] for line in lines] for lines in index] == [[1, 2, 3, 4, 5], [6, 7, 8, 9]]
    lines = [line for part in index for line in part]
    assert {line["status"] for line in lines[:6]} <= {"done", "kept"}
    assert [line["status"] for line in lines[6:]] == ["failed"] * 3
    assert all(line["reason"] for line in lines[6:])

    table = tmp_path / "local.csv"
    rows = [f"{archive / f'{n}.png'},{text}\n" for n in range(2) for text in TEXTS]
    table.write_text("image,text\n" + "".join(rows))
    local = tmp_path / "local"
    options = ["--model", str(tiny_checkpoint), "--device", "cpu"]
    assert main(["predict", "--prompts", str(table), "--out", str(local), *options]) == 0
    pictures = [path.relative_to(local) for path in sorted(local.rglob("*.png"))]
    assert len(pictures) == 2 * 2 * 5
    for name in pictures:
        same = [np.asarray(Image.open(base / name), float) for base in (local, out / FIRST_SHARD)]
        assert np.allclose(*same, atol=2), name


def test_shards_have_their_rows_whatever_the_row_groups(tmp_path):
    count = 23
    for groups in (1, 4, 23):
        path = tmp_path / f"{groups}.parquet"
        table = pa.table({"image": [str(n) for n in range(count)], "text": ["x"] * count})
        pq.write_table(table, path, row_group_size=groups)
        found = [shard.to_pylist() for shard in shards.read_shards(path, 5)]
        assert [len(rows) for rows in found] == [5, 5, 5, 5, 3]
        flat = [row for rows in found for row in rows]
        assert [row["row"] for row in flat] == list(range(1, count + 1))
        assert [row["image"] for row in flat] == [str(n) for n in range(count)]
        assert all(row["of"] == len(found[row["shard"]]) for row in flat)


def no_parquet(path):
    path.write_bytes(b"PAR1" + bytes(50))


def no_columns(path):
    pq.write_table(pa.table({"path": ["a"]}), path)


def no_rows(path):
    empty = pa.array([], pa.string())
    pq.write_table(pa.table({"image": empty, "text": empty}), path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_parquet, "cannot be read as Parquet"),
        (no_columns, "needs the columns image and text"),
        (no_rows, "has no rows"),
        (lambda path: None, "cannot be read as Parquet"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_said(make, said, tiny_checkpoint, tmp_path, capsys):
    make(tmp_path / "manifest.parquet")
    assert main(command(tmp_path, tmp_path / "out", tiny_checkpoint)) == 2
    assert said in capsys.readouterr().err


def test_another_job_in_the_folder_is_left_alone(archive, tiny_checkpoint, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / shards.JOB).write_text("{}")
    assert main(command(archive, out, tiny_checkpoint)) == 2
    assert "holds a job already" in capsys.readouterr().err
    assert main(command(archive, out, tiny_checkpoint, "--resume")) == 2
    assert "another manifest, model or options" in capsys.readouterr().err
    assert [path.name for path in Path(out).iterdir()] == [shards.JOB]


def test_overwrite_begins_from_nothing_and_only_when_it_is_asked_for(archive, tmp_path):
    manifest, options = archive / "manifest.parquet", PredictOptions()
    assert shards.open_job(manifest, tmp_path, options, 5, again="") == 2
    old = shards.shard_folder(tmp_path, 0) / "0" / "result.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    (tmp_path / "notes").mkdir()
    assert shards.open_job(manifest, tmp_path, options, 5, again="resume") == 2
    assert old.exists()
    assert shards.open_job(manifest, tmp_path, options, 4, again="overwrite") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [shards.JOB, "notes"]


def test_options_that_cannot_be_used_are_said(archive, tiny_checkpoint, tmp_path, capsys):
    for more, said in (
        (["--workers", "0"], "workers must be at least 1"),
        (["--text", "lung"], "from --prompts MANIFEST.parquet alone"),
    ):
        assert main(command(archive, tmp_path / "out", tiny_checkpoint, *more)) == 2
        assert said in capsys.readouterr().err
