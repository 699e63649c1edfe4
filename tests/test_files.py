import csv
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from causalseg.errors import InputError
from causalseg.evaluation.files import read_result_rows
from causalseg.files import (
    remove_leftovers,
    replacing,
    replacing_folder,
    sha256_of,
    write_bytes,
    write_csv,
    write_json,
)
from causalseg.markdown import markdown_table

WRITER = """
import sys, time
from pathlib import Path
from causalseg.files import replacing{folder}
with replacing{folder}(Path(sys.argv[1])) as part:
    target = part / "a" if part.is_dir() else part
    target.write_bytes(b"half")
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("folder", ["", "_folder"])
def test_a_killed_writer_leaves_what_was_there(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "result"
    old = path / "a" if folder else path
    old.parent.mkdir(exist_ok=True)
    old.write_bytes(b"old and whole")
    words = [sys.executable, "-c", WRITER.format(folder=folder), str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half\n"
        writer.kill()
    assert old.read_bytes() == b"old and whole"
    assert len(list(tmp_path.glob(".result.*.part"))) == 1
    remove_leftovers(path)
    assert list(tmp_path.iterdir()) == [path]
    assert old.read_bytes() == b"old and whole"


def test_writers_at_the_same_time_never_mix(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", [bytes([65 + i]) * 100_000 for i in range(4)]
    threads = [
        threading.Thread(target=lambda c=c: [write_bytes(path, c) for _ in range(5)])
        for c in contents
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            assert path.read_bytes() in contents
        time.sleep(0.001)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_others_may_read_what_a_library_wrote_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    old = os.umask(0o022)
    try:
        with replacing(path) as part:
            save_file({"a": torch.zeros(2)}, part)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o644


def test_an_error_in_between_keeps_the_old_file_and_removes_the_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as part:
        part.write_text("new \udcff", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError), replacing_folder(tmp_path / "folder") as part:
        (part / "x").write_text("new \udcff", encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_what_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot be written: .*file is a file"):
        write_json(tmp_path / "file" / "x.json", {})
    with pytest.raises(InputError, match="absent cannot be read: No such file"):
        sha256_of(tmp_path / "absent")


def test_tables_come_back(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [{"name": "ü, 1", "x": 1}, {"name": "b", "y": 2}])
    assert read_result_rows(tmp_path / "a.csv") == [
        {"name": "ü, 1", "x": "1", "y": ""},
        {"name": "b", "x": "", "y": "2"},
    ]
    name = os.fsdecode(b"\xff.png")  # no Unicode, so UTF-8 cannot hold it
    write_json(tmp_path / "a.json", {"name": name})
    assert json.loads((tmp_path / "a.json").read_text()) == {"name": name}
    assert markdown_table(("a", ""), [("x|y", 1), (r"x\|y", "two\nlines")]).splitlines() == [
        "| a | |",
        "|---|---|",
        r"| x\|y | 1 |",
        r"| x\|y | two lines |",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it takes two steps")
def test_a_folder_that_is_replaced_is_there_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "result"
    with replacing_folder(path) as part:
        (part / "whole").touch()
    looking, missed = threading.Event(), []

    def look() -> None:
        while not looking.is_set():
            if not (path / "whole").exists():
                missed.append(1)

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(300):
        with replacing_folder(path) as part:
            (part / "whole").touch()
    looking.set()
    thread.join()
    assert not missed
    assert [p.name for p in tmp_path.iterdir()] == ["result"]


def test_a_folder_put_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    for name in (".result.01234567.old", ".result.01234567.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "from").write_text(name)
    remove_leftovers(tmp_path / "result")
    assert [p.name for p in tmp_path.iterdir()] == ["result"]
    assert (tmp_path / "result" / "from").read_text().endswith(".old")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=HYPERLINK(A1)", "'=HYPERLINK(A1)"), ("@SUM(1)", "'@SUM(1)"), ("+1+cmd", "'+1+cmd"),
        ("-1.5e-3", "-1.5e-3"), ("-inf", "-inf"), ("left\nlung", "left\nlung"),
        ("red\x1b[31m", "red\\x1b[31m"), ("a\u202eb", "a\\u202eb"), ("né", "né"),
    ],
)  # fmt: skip
def test_a_cell_is_no_formula_and_no_command_of_a_terminal(
    tmp_path: Path, text: str, written: str
) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, [{"a": text, "b": -1}])
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"a": written, "b": "-1"}]
