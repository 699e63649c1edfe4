"""`score` and `evaluate` from files to report, on phantoms and on real data where there is any."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from causalseg.cli.main import main
from causalseg.data.images import read_mask
from causalseg.data.lvit import read_lvit
from causalseg.errors import InputError
from causalseg.evaluation.controls import mean_masks, score_controls
from causalseg.evaluation.metrics import dice
from causalseg.evaluation.predictions import Prediction, find_predictions, read_prediction
from causalseg.evaluation.scoring import ScoringOptions, score


@pytest.fixture
def perfect(small_set, tmp_path) -> Path:
    """The true masks as predictions."""
    folder = tmp_path / "perfect"
    folder.mkdir()
    for record in read_lvit(small_set, "test").records:
        (folder / record.name).write_bytes(record.mask.read_bytes())
    return folder


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "per_image.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_true_masks_score_one_everywhere(small_set, perfect, tmp_path):
    out = tmp_path / "out"
    assert run("score", perfect, "--data", small_set, "--out", out, "--size", 64) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    for at in ("model_size", "native_size"):
        for key, value in metrics[at]["macro"].items():
            assert value["estimate"] == (0 if key == "hd95" else 1), key
        assert metrics[at]["micro"]["dice"]["estimate"] == 1
        assert metrics[at]["null_accuracy"]["estimate"] == 1
    assert len(read_rows(out)) == metrics["images"] == 8
    assert metrics["lesions_left_empty"] == 0
    assert metrics["warnings"] == []
    assert metrics["data"]["fingerprint"] == read_lvit(small_set, "test").fingerprint()
    assert 0 < metrics["controls"]["caption_mean_mask"]["estimate"] < 0.9


def test_a_score_of_0_is_explained(small_set, perfect, tmp_path, capsys):
    for path in perfect.iterdir():
        Image.fromarray(np.zeros_like(read_mask(path)).astype(np.uint8)).save(path)
    out = tmp_path / "out"
    arguments = ("--data", small_set, "--out", out, "--size", 64, "--no-controls")
    assert run("score", perfect, *arguments) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    lesions = sum(row["empty"] == "0" for row in read_rows(out))
    assert metrics["images_with_lesion"] == metrics["lesions_left_empty"] == lesions > 0
    assert f"nothing is marked in any of the {lesions} images" in capsys.readouterr().err
    assert metrics["warnings"]
    assert f"In {lesions} of {lesions} images" in (out / "report.html").read_text()


def test_report_is_one_page_without_network(small_set, perfect, tmp_path):
    out = tmp_path / "out"
    run("score", perfect, "--data", small_set, "--out", out, "--size", 64, "--no-controls")
    page = (out / "report.html").read_text()
    assert "viewport" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert page.count("<img ") >= 10
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.json",
        "per_image.csv",
        "report.html",
    ]


def test_missing_prediction_is_an_error_that_names_it(small_set, perfect, tmp_path, capsys):
    victim = sorted(perfect.iterdir())[2]
    victim.unlink()
    out = tmp_path / "out"
    assert run("score", perfect, "--data", small_set, "--out", out) == 2
    assert victim.name in capsys.readouterr().err
    assert not out.exists()


def test_macro_micro_and_sizes_against_a_plain_loop(small_set):
    manifest = read_lvit(small_set, "test")
    generator = np.random.default_rng(0)
    predictions = [
        Prediction(read_mask(r.mask) ^ (generator.random((96, 96)) < 0.1)) for r in manifest.records
    ]
    scores = score(manifest, predictions, ScoringOptions(size=64))
    for record, prediction, row in zip(manifest.records, predictions, scores.rows, strict=True):
        truth = read_mask(record.mask)
        assert row["native_dice"] == dice(prediction.mask, truth)
        small = [
            np.array(Image.fromarray(m).resize((64, 64), Image.Resampling.NEAREST))
            for m in (prediction.mask, truth)
        ]
        assert row["dice"] == dice(*small)
        assert row["tp"] + row["fp"] + row["fn"] + row["tn"] == 64 * 64


def test_spacing_gives_the_same_millimetres_at_both_sizes(small_set):
    manifest = read_lvit(small_set, "test").limit(3)
    half = np.zeros((96, 96), bool)
    half[:, :48] = True
    options = ScoringOptions(size=48, spacing=(0.5, 0.5), tolerance=1)
    for row in score(manifest, [Prediction(half)] * 3, options).rows:
        if row["empty"]:
            assert row["native_hd95"] == pytest.approx(np.hypot(48, 48))
        # Halving the size moves pixel centres by half a pixel of 1 mm.
        assert row["hd95"] == pytest.approx(row["native_hd95"], abs=2.5)


def test_spacing_from_a_table(small_set, perfect, tmp_path, capsys):
    records = read_lvit(small_set, "test").records
    table = tmp_path / "spacing.csv"
    lines = ["name,row_mm,column_mm", *(f"{r.name},0.5,{1 + i}" for i, r in enumerate(records))]
    table.write_text("\n".join(lines))
    empty = tmp_path / "empty"
    empty.mkdir()
    for record in records:
        np.save(empty / f"{Path(record.name).stem}.npy", np.zeros((96, 96), bool))
    out = tmp_path / "out"
    arguments = ["--data", small_set, "--out", out, "--no-controls", "--spacing", table]
    assert run("score", empty, *arguments) == 0
    for i, row in enumerate(read_rows(out)):
        if row["empty"] == "0":
            assert float(row["native_hd95"]) == pytest.approx(np.hypot(96 * 0.5, 96 * (1 + i)))
    table.write_text("\n".join(lines[:-1]))
    assert run("score", empty, *arguments) == 2
    assert records[-1].name in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["png8", "png16", "npy"])
def test_probabilities_read_back(tmp_path, kind):
    values = np.linspace(0, 1, 96 * 96, dtype=np.float32).reshape(96, 96)
    path = tmp_path / ("p.npy" if kind == "npy" else "p.png")
    if kind == "npy":
        np.save(path, values)
    else:
        scale, dtype = (255, np.uint8) if kind == "png8" else (65535, np.uint16)
        Image.fromarray(np.rint(values * scale).astype(dtype)).save(path)
    read = read_prediction(path, probabilities=True, threshold=0.25)
    np.testing.assert_allclose(read.probability, values, atol=1 / 255)
    assert read.mask.mean() == pytest.approx(0.75, abs=0.01)
    with pytest.raises(InputError, match="binary"):
        read_prediction(path, probabilities=False, threshold=0.5)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((9, 9), np.nan, np.float32), "NaN"),
        (np.full((9, 9), 3.0), "sigmoid"),
        (np.zeros((2, 9, 9)), "height, width"),
    ],
)
def test_bad_probabilities_are_refused(tmp_path, array, words):
    np.save(tmp_path / "p.npy", array)
    with pytest.raises(InputError, match=words):
        read_prediction(tmp_path / "p.npy", probabilities=True, threshold=0.5)


def test_pickled_arrays_are_refused(tmp_path):
    np.save(tmp_path / "p.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"p\.npy"):
        read_prediction(tmp_path / "p.npy", probabilities=True, threshold=0.5)


def test_two_files_for_one_image_are_refused(small_set, perfect):
    records = read_lvit(small_set, "test").records
    np.save(perfect / f"{Path(records[0].name).stem}.npy", np.zeros((96, 96), bool))
    with pytest.raises(InputError, match="both"):
        find_predictions(perfect, records)


def test_evaluate_agrees_with_the_segmenter(small_set, tiny_checkpoint, tmp_path):
    from causalseg import Segmenter
    from causalseg.data.images import read_image

    out = tmp_path / "out"
    assert run("evaluate", tiny_checkpoint, "--data", small_set, "--out", out) == 0
    segmenter = Segmenter.load(tiny_checkpoint)
    for row, record in zip(read_rows(out), read_lvit(small_set, "test").records, strict=True):
        result = segmenter(read_image(record.image), record.caption)
        expected = dice(result.mask > 0, read_mask(record.mask))
        assert row["name"] == record.name
        assert float(row["native_dice"]) == pytest.approx(expected, abs=0.01)
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"no_text", "other_text", "mean_mask"} <= set(metrics["controls"])
    records = read_lvit(small_set, "test").records
    image_alone = [
        dice(
            segmenter.probabilities([read_image(r.image)], ["pulmonary infection."])[0]
            >= segmenter.threshold,
            segmenter.preprocessing.resize_mask(read_mask(r.mask)),
        )
        for r in records
    ]
    found = metrics["controls"]["no_place"]["estimate"]
    assert found == pytest.approx(np.mean(image_alone), abs=0.02)
    micro = metrics["model_size"]["micro"]
    assert metrics["model_size"]["micro_iou_from_dice"] == pytest.approx(micro["iou"]["estimate"])


def test_what_cannot_work_is_told_before_the_work(small_set, perfect, tiny_checkpoint, capsys):
    blocked = tiny_checkpoint / "out"
    assert run("score", perfect, "--data", small_set, "--out", blocked) == 2
    assert "cannot be written" in capsys.readouterr().err
    arguments = ["--data", small_set, "--out", perfect / "out", "--device"]
    assert run("evaluate", tiny_checkpoint, *arguments, "nonsense") == 2
    assert "nonsense" in capsys.readouterr().err


def test_controls_by_hand(small_set):
    train, test = read_lvit(small_set, "train"), read_lvit(small_set, "test")
    templates = mean_masks(train, 96)
    stack = np.stack([read_mask(record.mask) for record in train.records])
    np.testing.assert_allclose(templates.overall, stack.mean(0))
    same = [i for i, r in enumerate(train.records) if r.caption == train.records[0].caption]
    caption = train.records[0].caption
    np.testing.assert_allclose(templates.by_caption[caption], stack[same].mean(0))
    scores = score_controls(templates, test, threshold=0.2)
    expected = [dice(stack.mean(0) >= 0.2, read_mask(r.mask)) for r in test.records]
    np.testing.assert_allclose(scores.mean_mask, expected)


@pytest.mark.realdata
def test_controls_on_qata(qata_root):
    scores = score_controls(
        mean_masks(read_lvit(qata_root, "train"), 224), read_lvit(qata_root, "test")
    )
    assert scores.mean_mask.mean() == pytest.approx(0.392, abs=5e-4)
    assert scores.caption_mask.mean() == pytest.approx(0.453, abs=5e-4)
