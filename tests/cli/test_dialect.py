"""Dashes in options, `--model` for a checkpoint; what versions before took still works."""

import json
from pathlib import Path

import pytest

from causalseg.cli import predict_options, serve
from causalseg.cli.dialect import with_dashes
from causalseg.cli.main import main


def test_names_of_options_get_dashes_and_values_stay() -> None:
    words = ["--batch_size", "4", "--data.root=a_b/c_d", "runs/a_b", "--", "-x_y"]
    assert with_dashes(words) == [
        "--batch-size",
        "4",
        "--data.root=a_b/c_d",
        "runs/a_b",
        "--",
        "-x_y",
    ]


@pytest.mark.parametrize("spelling", ["batch_size", "batch-size"])
def test_a_config_takes_both_spellings(
    spelling: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--data.root=a_b", f"--data.{spelling}", "3", "--print-config"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "batch_size: 3" in shown
    assert "root: a_b" in shown


def test_help_shows_dashes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("fit", "ablate", "lodo"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown = capsys.readouterr().out
        assert "--data.batch-size" in shown
        assert "--data.batch_size" not in shown


def test_a_checkpoint_may_be_named_or_placed_but_not_twice(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["faithfulness", "--phantoms", "2", "--resamples", "10"]
    found = []
    for name, words in (("a", ["--model", tiny_checkpoint]), ("b", [tiny_checkpoint])):
        out = tmp_path / name
        assert main([*given, *map(str, words), "--out", str(out)]) == 0
        found.append(json.loads((out / "faithfulness.json").read_text()))
    assert found[0] == found[1]
    assert found[0]["model"] == tiny_checkpoint.name
    both = [*given, "--model", "default", str(tiny_checkpoint), "--out", str(tmp_path / "c")]
    assert main(both) == 2
    assert "give one checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["fit", "--data.root", "x", "--trainer.max-epoch5", "3"], "--trainer.max-epochs"),
        (["fit", "--data.root", "x", "--modle.encoder=RN50"], "--model.encoder"),
        (["predict", "a.png", "--out", "o", "--txet", "left lung"], "--text"),
        (["serve", "--prot", "80"], "--port"),
        (["fit", "--data.root", "x", "--lr", "0.1"], "--optimizer.lr"),
    ],
)
def test_a_mistyped_option_is_told_in_one_line_with_what_may_be_meant(words, meant, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"causalseg {words[0]}: error: unrecognized arguments: ")
    assert f"did you mean {meant}?" in told
    assert told.count("\n") == 1


def test_a_mistyped_command_is_told_what_may_be_meant(capsys):
    assert main(["fitt"]) == 2
    assert "did you mean fit?" in capsys.readouterr().err


def test_an_option_is_not_completed_from_its_first_letters(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "a.png", "--out", "o", "--tex", "left lung"])
    assert "did you mean --text?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "older", "now"),
    [
        (serve._parser, ["--queue", "3", "--batch=2"], {"most": 3, "batch_size": 2}),
        (
            predict_options.parser,
            ["--input", "p.csv", "--output=o", "--prompt", "left lung"],
            {"prompts": Path("p.csv"), "out": Path("o"), "text": ["left lung"]},
        ),
    ],
)
def test_older_spellings_work_and_are_not_shown(make, older, now) -> None:
    parser = make()
    found = vars(parser.parse_args(older))
    assert {name: found[name] for name in now} == now
    for word in (word.partition("=")[0] for word in older if word.startswith("--")):
        assert f"{word} " not in parser.format_help()
