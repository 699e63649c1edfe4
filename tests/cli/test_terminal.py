"""What commands print cannot command a terminal, and nothing in brackets is lost."""

import ast
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import causalseg
from causalseg.cli.main import main
from causalseg.terminal import say, say_json, show_markdown, show_table, warnings_as

EVIL = "\x1b]0;owned\x07\x9b2J[bold]x[/bold] :smile: *\u202e"
SHOWN = r"\x1b]0;owned\x07\x9b2J[bold]x[/bold] :smile: *\u202e"


def test_every_way_of_printing_escapes_control_sequences_and_keeps_brackets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say(EVIL)
    show_table([EVIL], [[EVIL]], title=EVIL)
    show_markdown(f"{EVIL}\n\n|a|\n|---|\n|{EVIL}|")
    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == 6
    assert all(line.isprintable() for line in printed.split("\n"))
    say_json({"text": EVIL})
    printed = capsys.readouterr().out
    assert printed.rstrip("\n").isprintable()
    assert json.loads(printed) == {"text": EVIL}


def test_nothing_is_printed_by_another_way() -> None:
    root = Path(causalseg.__file__).parent
    wrong = []
    for path in root.rglob("*.py"):
        if path.name in ("terminal.py", "progress.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "func", None)
            name = getattr(name, "id", getattr(name, "attr", None))
            if isinstance(node, ast.Call) and name in ("print", "Console"):
                wrong.append(f"{path.relative_to(root)}:{node.lineno}")
    assert not wrong


def test_names_and_captions_of_a_data_set_are_shown_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    name = "[red]\x1b[31m.png"
    table.write_text(f'Image,Description\n"{name}",lower left [bold]lung\n', encoding="utf-8")
    assert main(["caption", "parse", str(table)]) == 1
    printed = capsys.readouterr().out
    assert "[red]\\x1b[31m.png" in printed
    assert "\x1b" not in printed
    folder = tmp_path / "set" / "Test_Folder"
    for part in ("img", "labelcol"):
        (folder / part).mkdir(parents=True)
    (folder / "Test_text.csv").write_text(table.read_text())
    (folder / "img" / name).write_bytes(b"no image")
    assert main(["data", "check", str(folder.parent)]) == 1
    printed = capsys.readouterr().out
    assert "labelcol has no [red]\\x1b[31m.png" in printed
    assert "\x1b" not in printed


def test_a_warning_is_a_line_of_the_command() -> None:
    plain = warnings.formatwarning
    with warnings_as("causalseg fit"):
        line = warnings.formatwarning("a \x1b[31mname", UserWarning, "module.py", 1)
    assert line == "causalseg fit: warning: a \\x1b[31mname\n"
    assert warnings.formatwarning is plain


def test_output_may_end_early_and_may_lack_letters() -> None:
    words = [sys.executable, "-m", "causalseg", "caption", "read", "lower left lung \u00fc"]
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, env=ascii_only, capture_output=True, check=False)
    assert b"\\xfc" in done.stdout
    assert not done.stderr
    gone, pipe = os.pipe()
    os.close(gone)
    done = subprocess.run(words, stdout=pipe, stderr=subprocess.PIPE, check=False)
    os.close(pipe)
    assert (done.returncode, done.stderr) == (141, b"")
