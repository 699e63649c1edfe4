"""The Python in the pages about the server and archives does what they say."""

import re
from pathlib import Path

import numpy as np
import pytest

from causalseg.apps import rle
from causalseg.inference import shards

DOCS = Path(__file__).parents[2] / "docs"


def python_of(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_decoder_of_the_server_s_page_reads_the_server_s_masks():
    (code,) = python_of("how-to/server.md")
    names = {}
    exec(code, names)
    mask = np.random.default_rng(0).random((5, 7)) < 0.5
    assert np.array_equal(names["decode"](rle.encode(mask)), mask)


def test_the_manifest_and_the_list_of_failures_of_the_page_on_archives(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    write, read = python_of("how-to/cluster.md")
    monkeypatch.chdir(tmp_path)
    exec(write, {})
    (shard,) = shards.read_shards(Path("MANIFEST.parquet"), 1000)
    rows = shard.to_pylist()
    assert (rows[0]["image"], rows[0]["text"]) == ("a.dcm", "left lung")
    lines = [
        {"row": row["row"], "name": "n", "status": "failed" if row["row"] == 2 else "done",
         "reason": "", "warnings": [], "seconds": 0.0}
        for row in rows
    ]  # fmt: skip
    folder = shards.shard_folder(Path("DIR"), 0)
    folder.mkdir(parents=True)
    shards.write_index(folder, lines)
    names = {}
    exec(read, names)
    assert [row["row"] for row in names["failed"]] == [2]


def test_the_pictures_of_the_page_are_there_and_small():
    page = DOCS / "how-to" / "web-page.md"
    names = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text("utf-8"))
    assert names
    for name in names:
        assert 0 < (page.parent / name).stat().st_size < 300_000
