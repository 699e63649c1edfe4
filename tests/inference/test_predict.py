"""`causalseg predict` with a real (tiny, random) model: outputs, failures, resuming, privacy."""

import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from causalseg.cli.main import main
from causalseg.files import writing_alone
from causalseg.inference.domain import domain_warnings
from causalseg.inference.formats import Study
from causalseg.inference.predict import predict_one
from causalseg.inference.requests import Item, Prompt
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.tracks import PredictOptions, tracks_of

TEXT = "one infected area, lower left lung."


def picture(path: Path, shape: tuple[int, ...] = (50, 70), seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_a_picture_comes_back_at_its_own_size(predict, segmenter, tmp_path):
    image = picture(tmp_path / "a.png", (50, 70, 3))
    assert predict(image, "--text", TEXT, "--text", "right lung") == 0
    folder = tmp_path / "out" / "a"
    for number, text in ((1, TEXT), (2, "right lung")):
        expected = segmenter(image, text)
        mask = np.asarray(Image.open(folder / f"{number}_mask.png"))
        probability = np.asarray(Image.open(folder / f"{number}_probability.png"))
        assert mask.shape == probability.shape == (50, 70)
        assert np.array_equal(mask, expected.mask * 255)
        assert np.abs(probability / 65535 - expected.probability).max() < 1e-4
        for kind in ("overlay", "causal", "confounder"):
            assert Image.open(folder / f"{number}_{kind}.png").size == (70, 50)
    record = result(folder)
    assert [m["text"] for m in record["masks"]] == [TEXT, "right lung"]
    assert record["masks"][0]["pixels"] == int(segmenter(image, TEXT).mask.sum())
    assert all((folder / name).is_file() for m in record["masks"] for name in m["files"])


def test_another_threshold_cuts_the_same_probability(predict, segmenter, tmp_path):
    image = picture(tmp_path / "a.png", (50, 70, 3))
    probability = segmenter(image, TEXT).probability
    line = float(np.quantile(probability, 0.8))
    assert predict(image, "--text", TEXT, "--threshold", f"{line}") == 0
    mask = np.asarray(Image.open(tmp_path / "out" / "a" / "1_mask.png"))
    assert np.array_equal(mask > 0, probability >= line)
    assert predict(image, "--text", TEXT, "--threshold", "1.5", "--overwrite") == 2
    # Results of another threshold are not what was asked for.
    assert predict(image, "--text", TEXT, "--resume") == 0
    again = np.asarray(Image.open(tmp_path / "out" / "a" / "1_mask.png"))
    assert np.array_equal(again > 0, probability >= segmenter.threshold)


def test_the_mask_alone_is_saved(predict, tmp_path):
    image = picture(tmp_path / "a.png")
    assert predict(image, "--text", TEXT) == 0
    assert predict(image, "--text", TEXT, "--save", "mask", out="few") == 0
    few, whole = tmp_path / "few" / "a", tmp_path / "out" / "a"
    assert {path.name for path in few.iterdir()} == {"1_mask.png", "result.json"}
    assert (few / "1_mask.png").read_bytes() == (whole / "1_mask.png").read_bytes()
    assert result(few)["options"]["save"] == "mask"


def test_no_dice_is_expected_at_a_threshold_where_it_was_not_measured():
    own = Segmenter.load("default")
    assert own.trust.overlap is not None
    assert Segmenter.load("default", threshold=own.threshold).trust.overlap is not None
    assert Segmenter.load("default", threshold=0.4).trust.overlap is None


def test_many_prompts_encode_the_image_once(segmenter, tmp_path):
    """Counted on the model itself: convolution calls do not grow with the prompts."""
    calls = []
    first = next(m for m in segmenter.model.modules() if type(m).__name__ == "Conv2d")
    hook = first.register_forward_hook(lambda *_: calls.append(1))
    try:
        item = Item(
            1, str(picture(tmp_path / "a.png")), tuple(Prompt(f"p{i}") for i in range(9)), "a"
        )
        outcome = predict_one(segmenter, item, tmp_path, PredictOptions())
    finally:
        hook.remove()
    assert outcome.status == "done"
    assert len(calls) == 1
    assert len(result(tmp_path / "a")["masks"]) == 9


def test_images_side_by_side_give_what_they_give_one_after_the_other(
    predict, segmenter, tmp_path, monkeypatch
):
    monkeypatch.setattr("causalseg.inference.device._THREADS", 3)
    assert segmenter.streams == 3
    folder = tmp_path / "in"
    folder.mkdir()
    images = [picture(folder / f"{i}.png", (40 + i, 60), seed=i) for i in range(12)]
    images[5].write_bytes(b"no picture")
    assert predict(folder, "--text", TEXT) == 1
    rows = list(csv.DictReader((tmp_path / "out" / "index.csv").open(encoding="utf-8")))
    assert [row["name"] for row in rows] == [f"{i}" for i in (0, 1, 10, 11, *range(2, 10))]
    assert [row["name"] for row in rows if row["status"] == "failed"] == ["5"]
    for i in range(12):
        if i != 5:
            mask = np.asarray(Image.open(tmp_path / "out" / f"{i}" / "1_mask.png"))
            assert np.array_equal(mask, segmenter(images[i], TEXT).mask * 255)


def test_one_bad_file_never_stops_the_rest(predict, tmp_path, capsys):
    good = picture(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:200])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    nan = np.full((20, 20), np.nan, np.float32)
    Image.fromarray(nan).save(tmp_path / "nan.tif")
    picture(tmp_path / "dot.png", (1, 1))
    (tmp_path / "t.csv").write_text(
        "image,text\ncut.png,x\nempty.png,x\ntext.png,x\nnan.tif,x\ndot.png,x\n../none.png,x\n"
        'good.png,\ngood.png,"left\nlung"\n"new\nline.png",x\n'
    )
    assert predict("--prompts", tmp_path / "t.csv") == 1
    captured = capsys.readouterr()
    assert "1 segmented, 8 failed" in captured.out
    assert "Traceback" not in captured.err
    errors = [line for line in captured.err.splitlines() if "error:" in line]
    assert len(errors) == 8
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["good", "index.csv"]
    assert result(out / "good")["masks"][0]["text"] == "left lung"
    assert (out / "index.csv").read_text().count("failed") == 8


@pytest.mark.parametrize(
    "words",
    [
        ["absent.png", "--text", "x"],
        ["IMAGE", "--text", " "],
        ["IMAGE"],
        [],
        ["IMAGE", "--text", "x", "--prompts", "t.csv"],
        ["IMAGE", "--text", "x", "--window", "0", "0"],
        ["IMAGE", "--text", "x", "--finding", "lesion"],
        ["IMAGE", "--text", "x", "--device", "cuda:99"],
        ["IMAGE", "--text", "x", "--format", "seg"],
        ["IMAGE", "--text", "x", "--format", "nifti"],
        ["FOLDER", "--text", "x"],
    ],
)
def test_nothing_usable_is_code_2_and_one_sentence(predict, tmp_path, capsys, words):
    image = picture(tmp_path / "a.png")
    named = {"IMAGE": image, "FOLDER": tmp_path}  # --out lies inside the folder
    assert predict(*(named.get(word, word) for word in words)) == 2
    error = capsys.readouterr().err.strip()
    assert "error:" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "a").exists()


def test_a_bad_checkpoint_is_code_2(tmp_path, capsys):
    image = picture(tmp_path / "a.png")
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    for model in (tmp_path / "bad.safetensors", tmp_path / "absent", tmp_path):
        words = ["predict", image, "--text", "x", "--out", tmp_path / "o", "--model", model]
        assert main([str(word) for word in words]) == 2
        assert capsys.readouterr().err.count("error:") == 1


def test_results_are_never_replaced_unasked(predict, tmp_path, capsys):
    image = picture(tmp_path / "a.png")
    assert predict(image, "--text", "x") == 0
    stamp = (tmp_path / "out/a/result.json").stat().st_mtime_ns
    assert predict(image, "--text", "y") == 2
    assert "--resume" in capsys.readouterr().err
    assert predict(image, "--text", "x", "--resume") == 0
    assert "1 kept" in capsys.readouterr().out
    assert (tmp_path / "out/a/result.json").stat().st_mtime_ns == stamp
    assert predict(image, "--text", "y", "--resume") == 0
    assert result(tmp_path / "out/a")["masks"][0]["text"] == "y"
    picture(image, seed=5)
    os.utime(image, ns=(1, 1))
    assert predict(image, "--text", "y", "--resume") == 0
    assert "1 segmented" in capsys.readouterr().out
    assert predict(image, "--text", "y", "--overwrite") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "index.csv"]


@pytest.mark.parametrize("harm", ["removed", "cut", "changed"])
def test_resume_makes_again_what_is_no_longer_whole(predict, tmp_path, capsys, harm):
    image = picture(tmp_path / "a.png")
    assert predict(image, "--text", "x") == 0
    mask = tmp_path / "out/a/1_mask.png"
    whole = mask.read_bytes()
    if harm == "removed":
        mask.unlink()
    else:
        mask.write_bytes(whole[:-5] if harm == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    capsys.readouterr()
    assert predict(image, "--text", "x", "--resume") == 0
    assert "1 segmented" in capsys.readouterr().out
    assert mask.read_bytes() == whole


def index(out: Path) -> list[dict[str, str]]:
    with (out / "index.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_index_tells_source_texts_and_areas(predict, tmp_path):
    image = picture(tmp_path / "=a.png")
    (tmp_path / "bad.png").write_bytes(b"")
    assert predict(image, tmp_path / "bad.png", "--text", "=right lung", "--text", "left lung") == 1
    first, second = index(tmp_path / "out")
    masks = result(tmp_path / "out" / first["name"])["masks"]
    assert first["source"] == str(image)
    assert first["text"] == "'=right lung | left lung"
    assert first["area"] == " | ".join(str(mask["pixels"]) for mask in masks)
    assert first["unit"] == "px"
    assert all(note in first["warnings"] for mask in masks for note in mask["warnings"])
    assert (second["status"], second["area"]) == ("failed", "")
    assert "empty" in second["reason"]


def test_killed_and_resumed(tiny_checkpoint, tmp_path):
    """kill -9 in the middle: whole folders or none; the finished ones are not done again."""
    (tmp_path / "in").mkdir()
    names = [f"{number:02d}" for number in range(16)]
    for number, name in enumerate(names):
        picture(tmp_path / "in" / f"{name}.png", (300, 300, 3), number)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "causalseg.cli.main", "predict", str(tmp_path / "in")]
    command += ["--text", TEXT, "--model", str(tiny_checkpoint), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(out.glob("[0-9]*"))) < 3 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = {path.name: (path / "result.json").stat().st_mtime_ns for path in out.glob("[0-9]*")}
    listed = {row["name"] for row in index(out)}
    assert listed <= finished.keys()
    assert len(listed) >= len(finished) - 1
    assert 3 <= len(finished) < len(names)
    for name in finished:
        for mask in result(out / name)["masks"]:
            for file in mask["files"]:
                Image.open(out / name / file).load()
    (out / f".{names[-1]}.1.part").mkdir()  # what a kill in the middle of writing leaves

    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert f"{len(names) - len(finished)} segmented, {len(finished)} kept" in again.stdout
    assert sorted(path.name for path in out.iterdir()) == [*names, "index.csv"]
    for name, stamp in finished.items():
        assert (out / name / "result.json").stat().st_mtime_ns == stamp


def test_tracks_refuse_slices_that_clash():
    assert [t.texts for t in tracks_of([Prompt("a"), Prompt("b", 1)], 2)] == [
        {0: "a", 1: "a"},
        {1: "b"},
    ]
    for prompts in ([Prompt("a", 2)], [Prompt("a", 1), Prompt("b", 1)]):
        with pytest.raises(ValueError, match="slice"):
            tracks_of(prompts, 2)


def test_untrained_kinds_are_segmented_with_a_warning():
    frames = [np.zeros((8, 8), np.uint8)]
    trained = {"modalities": ["CR", "DX"], "body_parts": ["CHEST"]}
    study = Study("dicom", frames, modality="MR", body_part="CHEST")
    (note,) = domain_warnings(study, trained)
    assert "NOT TRAINED" in note
    assert "MR" in note
    assert domain_warnings(Study("dicom", frames, modality="DX", body_part="CHEST"), trained) == []
    assert domain_warnings(Study("raster", frames), trained) == []
    assert len(domain_warnings(study, {})) == 2
    assert len(domain_warnings(Study("nifti", frames), trained)) == 2


def test_a_text_that_is_cut_is_said(predict, tmp_path):
    assert predict(picture(tmp_path / "a.png"), "--text", "lung " * 30 + "apex") == 0
    (mask,) = result(tmp_path / "out" / "a")["masks"]
    assert any("apex" in note and "cut off" in note for note in mask["warnings"])


def test_real_chest_images(predict, qata_root, tmp_path):
    images = sorted((qata_root / "Val_Folder" / "img").iterdir())[:3]
    assert predict(*images, "--text", TEXT) == 0
    for image in images:
        mask = Image.open(tmp_path / "out" / image.stem / "1_mask.png")
        assert mask.size == Image.open(image).size


def test_items_and_options_travel_to_workers(segmenter, tmp_path):
    """predict_one is a plain function of picklable arguments, as worker processes need."""
    item = Item(1, str(picture(tmp_path / "a.png")), (Prompt("x"),), "a")
    work = pickle.loads(pickle.dumps((predict_one, item, tmp_path, PredictOptions(resume=True))))
    assert work[0](segmenter, *work[1:]).status == "done"
    assert work[0](segmenter, *work[1:]).status == "kept"


def test_base_install_without_dicom_and_nifti(tmp_path, make_dicom, tiny_checkpoint):
    """Pictures need no extra, and load nothing that they do not need; a scan says what it needs."""
    picture(tmp_path / "a.png")
    make_dicom(np.zeros((9, 9), np.uint8)).rename(tmp_path / "a.dcm")
    (tmp_path / "v.nii").write_bytes(bytes(344) + b"n+1\0" + bytes(99))
    code = """
import sys
for name in ("pydicom", "highdicom", "nibabel"):
    sys.modules[name] = None
from causalseg.inference.formats import read_study
for path in sys.argv[1:]:
    try:
        print(read_study(path).kind)
    except ValueError as error:
        print(error)
from causalseg.cli.main import main
from causalseg.files import writing_alone
model, out = MODEL, OUT
assert main(["predict", sys.argv[1], "--text", "left lung", "--model", model, "--out", out]) == 0
heavy = {"lightning", "monai", "matplotlib", "scipy", "pandas", "rich", "jsonargparse", "openpyxl",
         "transformers", "ftfy", "rapidfuzz", "onnxruntime", "openvino", "torchvision"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    code = code.replace("MODEL", repr(str(tiny_checkpoint))).replace(
        "OUT", repr(str(tmp_path / "o"))
    )
    files = [str(tmp_path / name) for name in ("a.png", "a.dcm", "v.nii")]
    run = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, check=True
    )
    picture_line, *others = run.stdout.splitlines()[:3]
    assert picture_line == "raster"
    assert len(others) == 2
    assert all("pip install 'causalseg[dicom]'" in line for line in others)


@pytest.mark.parametrize("name", ["fifo_1.png", "fifo_1"])
def test_a_pipe_is_refused_and_not_waited_for(predict, tmp_path, capsys, name):
    os.mkfifo(tmp_path / name)
    assert predict(tmp_path / name, "--text", TEXT) == 2
    assert "device, pipe or socket: name a regular file" in capsys.readouterr().err


def test_a_second_run_in_a_folder_is_refused_and_leaves_the_first_alone(predict, tmp_path, capsys):
    image, out = picture(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    with writing_alone(out):
        assert predict(image, "--text", TEXT) == 2
        assert "another run is writing into" in capsys.readouterr().err
        assert list(out.iterdir()) == []
    assert predict(image, "--text", TEXT) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a", "index.csv"]
