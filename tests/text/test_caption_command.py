import json
from pathlib import Path

import numpy as np
import pytest
from openpyxl import Workbook
from PIL import Image

from causalseg.cli.main import main
from causalseg.text.captions import parse
from causalseg.text.words import CaptionError

GOOD = "Unilateral pulmonary infection, one infected area, all left lung."
BAD = "Unilateral pulmonary infection, one infected area, all left lung and pleura."


def write_table(path: Path, captions: list[str]) -> Path:
    rows = [("Image", "Description"), *((f"m{i}.png", text) for i, text in enumerate(captions))]
    if path.suffix == ".xlsx":
        book = Workbook()
        for row in rows:
            book.worksheets[0].append(row)
        book.save(path)
    else:
        path.write_text("\n".join(f'{name},"{text}"' for name, text in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_parse_reports_each_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    path = write_table(tmp_path / f"t{suffix}", [GOOD, BAD, "No polyp visible."])
    assert main(["caption", "parse", str(path), "--json", str(tmp_path / "o.json")]) == 1
    printed = capsys.readouterr().out
    assert "2 of 3 captions parsed" in printed
    assert "row 3 (m1.png)" in printed
    assert "pleura" in printed
    entries = json.loads((tmp_path / "o.json").read_text())["captions"]
    assert [entry["finding"] is None for entry in entries] == [False, True, False]
    assert entries[1]["not_understood"] == ["pleura"]
    assert entries[0]["finding"]["left"]["zones"] == ["upper", "middle", "lower"]
    assert entries[0]["exact"]


def test_parse_exits_0_when_all_parse(tmp_path: Path) -> None:
    assert main(["caption", "parse", str(write_table(tmp_path / "t.csv", [GOOD]))]) == 0


def test_derive_writes_a_table_that_parses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((64, 64), np.uint8)
    Image.fromarray(mask).save(masks / "m1.png")
    mask[50:60, 40:60] = 255
    Image.fromarray(mask).save(masks / "m0.png")
    (masks / "notes.txt").write_text("x")
    out, reference = tmp_path / "out.csv", tmp_path / "ref.csv"
    write_table(
        reference,
        ["unilateral pulmonary infection, one infected area, lower right lung.", GOOD],
    )
    command = ["caption", "derive", "--masks", str(masks), "--out", str(out)]
    assert main([*command, "--wording", "lvit", "--compare", str(reference)]) == 0
    assert out.read_text().splitlines() == [
        "Image,Description",
        'm0.png,"Unilateral pulmonary infection, one infected area, lower right lung."',
        "m1.png,No pulmonary infection.",
    ]
    printed = capsys.readouterr().out
    assert "notes.txt" in printed
    assert "(1 of empty masks)" in printed
    assert "50.0 %  (1 of 2)" in printed
    assert main(["caption", "parse", str(out)]) == 0
    assert main([*command, "--wording", "polyp"]) == 0
    assert "Single polyp, one small polyp area, lower right of the image." in out.read_text()


def test_edit_shows_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "edits.json"
    assert main(["caption", "edit", GOOD, "--seed", "3", "--json", str(out)]) == 0
    assert "swap-sides" in capsys.readouterr().out
    edits = {edit["kind"]: edit for edit in json.loads(out.read_text())["edits"]}
    assert edits["swap-sides"]["caption"] == GOOD.replace("left", "right")
    assert ["right", "upper"] in edits["swap-sides"]["gained"]
    assert main(["caption", "edit", "[bold]in the[/x] left lung"]) == 0
    assert "[/x]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["parse", "absent.csv"],
        ["parse", "."],
        ["parse", "empty.csv"],
        ["parse", "columns.csv"],
        ["derive", "--masks", "absent", "--out", "o.csv"],
        ["derive", "--masks", ".", "--out", "o.csv"],
        ["derive", "--masks", "grey", "--out", "o.csv"],
        ["derive", "--masks", "fine", "--out", "o.csv", "--cuts", "0.9", "0.1"],
        ["derive", "--masks", "fine", "--out", "o.csv", "--compare", "t.csv"],
        ["derive", "--masks", "fine", "--out", "o.csv", "--wording", "polyp", "--cuts", ".3", ".6"],
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").write_text("Image,Description\n")
    Path("columns.csv").write_text("a,b\n1,2\n")
    write_table(Path("t.csv"), [GOOD])
    for folder, high in (("grey", 7), ("fine", 1)):
        Path(folder).mkdir()
        pixels = np.arange(256, dtype=np.uint8).reshape(16, 16) % 16 > 7
        values = pixels * np.uint8(high) + (np.eye(16, dtype=np.uint8) * 3 if high == 7 else 0)
        Image.fromarray(values.astype(np.uint8)).save(f"{folder}/other.png")
    assert main(["caption", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not Path("o.csv").exists()


def test_message_of_an_empty_caption() -> None:
    with pytest.raises(CaptionError, match="it is empty"):
        parse("  ")
