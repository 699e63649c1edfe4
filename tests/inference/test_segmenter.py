"""`Segmenter` takes what people have, and says in a sentence what it cannot take."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import causalseg
from causalseg.data.lvit import read_lvit
from causalseg.errors import InputError
from causalseg.inference.default import checkpoint_path, default_checkpoint
from causalseg.inference.pictures import overlay
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.sentences import NOT_MIRRORED

GREY = np.random.default_rng(0).integers(0, 256, (40, 56), dtype=np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize("pixels", [GREY, COLOURS], ids=["grey", "colours"])
def test_one_image_in_many_forms_has_one_answer(segmenter, tmp_path: Path, pixels) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(pixels))
    expected = segmenter(pixels, "left lung").probability
    first = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    for image in (path, str(path), png(pixels), io.BytesIO(png(pixels)), Image.fromarray(pixels)):
        np.testing.assert_array_equal(segmenter(image, "left lung").probability, expected)
    for image in (first, torch.from_numpy(first.copy())):
        found = segmenter(image, "left lung", channels="first")
        np.testing.assert_array_equal(found.probability, expected)
    stack = np.stack([pixels, pixels[:, ::-1]])
    firsts = stack[:, None] if pixels.ndim == 2 else np.moveaxis(stack, -1, 1)
    for images, channels in ((stack, "last"), (torch.from_numpy(firsts.copy()), "first")):
        same, mirrored = segmenter.batch(images, "left lung", channels=channels)
        np.testing.assert_allclose(same.probability, expected, atol=1e-5)
        np.testing.assert_array_equal(mirrored.image, pixels[:, ::-1])


def test_one_string_is_one_prompt(segmenter: Segmenter) -> None:
    (result,) = segmenter.prompts(GREY, "left lung")
    assert result.text == "left lung"


@pytest.mark.parametrize(
    ("image", "text", "told"),
    [
        (None, "left lung", "the image is None"),
        (GREY, None, "the text is NoneType, not a sentence"),
        (GREY, GREY, "the text is ndarray, not a sentence"),
        ("lower left lung", "left lung", "is a sentence, not a file"),
        ("infiltrate, left.", "left lung", "is a sentence, not a file"),
        ("absent folder/a.png", "left lung", "does not exist"),
        (GREY, "xray.PNG", "is the name of a file"),
        (GREY[None], "left lung", "channels='first'"),
    ],
)
def test_what_cannot_be_meant_is_told(segmenter: Segmenter, image, text, told: str) -> None:
    with pytest.raises(InputError, match=told):
        segmenter(image, text)


def test_other_arguments_that_cannot_be_meant(segmenter: Segmenter) -> None:
    for told, call in (
        ("list of images", lambda: segmenter.batch("a.png", "left lung")),
        ("2 images and 1 texts", lambda: segmenter.batch([GREY, GREY], ["left lung"])),
        ("'first' or 'last'", lambda: segmenter(GREY, "left lung", channels="CHW")),
        ("no device 'gpus'", lambda: Segmenter.load("default", device="gpus")),
        ("threshold", lambda: Segmenter.load("default", threshold=1.5)),
    ):
        with pytest.raises(InputError, match=told):
            call()


def test_devices_go_by_what_there_is(tiny_checkpoint: Path) -> None:
    found = Segmenter.load(tiny_checkpoint, device="auto").device.type
    assert found == ("cuda" if torch.cuda.is_available() else "cpu")
    if found == "cpu" and not torch.backends.mps.is_available():
        with pytest.raises(InputError, match="no device 'cuda' here: use auto"):
            Segmenter.load(tiny_checkpoint, device="gpu")


def test_another_threshold_cuts_the_same_probabilities(tiny_checkpoint: Path) -> None:
    result = Segmenter.load(tiny_checkpoint, threshold=0.3)(GREY, "left lung")
    assert result.threshold == 0.3
    np.testing.assert_array_equal(result.mask, result.probability >= 0.3)


def test_a_scan_brings_its_area_and_its_warnings(
    segmenter: Segmenter, make_dicom: Callable[..., Path], radiograph: np.ndarray
) -> None:
    path = make_dicom(radiograph, PatientOrientation=["P", "F"])
    result = segmenter(path, "left lung")
    assert result.area_mm2 == result.mask.sum() * 0.5 * 0.25
    assert any("does not record on which modality" in note for note in result.warnings)
    with path.open("rb") as file:
        read = segmenter(file, "left lung")
    np.testing.assert_array_equal(read.mask, result.mask)
    assert read.warnings == result.warnings
    assert segmenter(GREY, "left lung").area_mm2 is None


def test_a_volume_of_one_slice_is_an_image(segmenter: Segmenter, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    path = tmp_path / "a.nii"
    volume = GREY.astype(np.int16)[..., None]
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([2.0, 3.0, 1.0, 1.0])), path)
    result = segmenter(path, "left lung")
    assert result.area_mm2 == pytest.approx(6 * result.mask.sum())
    np.testing.assert_array_equal(segmenter(path.read_bytes(), "left lung").mask, result.mask)


def test_an_answer_is_short_in_a_terminal_and_a_picture_in_a_notebook(segmenter) -> None:
    result = segmenter(GREY, "left <lung>")
    assert repr(result).startswith("Segmentation('left <lung>', 40 x 56 px, ")
    assert len(repr(result)) < 100
    assert len(repr(segmenter)) < 100
    html = result._repr_html_()
    data = html.partition("base64,")[2].partition('"')[0]
    import base64

    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(shown, overlay(result.image, result.mask))
    assert "left &lt;lung&gt;" in html
    assert "<lung>" not in html
    for note in result.warnings:
        assert f"<li>{note}</li>" in html


def test_a_model_is_named_by_itself_and_not_by_what_lies_beside_it(tmp_path: Path) -> None:
    assert checkpoint_path("default") == default_checkpoint()
    (tmp_path / "last.ckpt").touch()
    (tmp_path / "run.json").touch()
    for name in ("last.ckpt", "run.json", "."):
        with pytest.raises(InputError, match=r"give the best\.safetensors of a run"):
            checkpoint_path(tmp_path / name)
    best = tmp_path / "best.safetensors"
    best.touch()
    assert checkpoint_path(best) == best
    for name in ("last.ckpt", "run.json", "."):
        with pytest.raises(InputError) as told:
            checkpoint_path(str(tmp_path / name))
        assert f"give {best}." in str(told.value)
    with pytest.raises(InputError, match="names no repository"):
        checkpoint_path("hf:causalseg")


def test_help_tells_what_the_package_has() -> None:
    assert {*causalseg.__all__} <= {*dir(causalseg)}
    for name in causalseg.__all__:
        assert getattr(causalseg, name)
        assert name == "__version__" or f"\n{name}: " in str(causalseg.__doc__)


def test_flip_answers_alike_whichever_way_round_the_picture_lies(qata_root: Path) -> None:
    segmenter = Segmenter.load("default", flip=True)
    record = read_lvit(qata_root, "val", allow_problems=True).records[0]
    pixels = np.asarray(Image.open(record.image).convert("L"))
    plain = segmenter(pixels, "opacity in the left lower zone")
    mirrored = segmenter(pixels[:, ::-1], "opacity in the right lower zone")
    np.testing.assert_allclose(mirrored.probability[:, ::-1], plain.probability, atol=1e-4)
    alone = Segmenter.load("default")(pixels, plain.text)
    assert np.abs(alone.probability - plain.probability).max() > 0.01


def test_flip_tells_of_a_text_that_it_cannot_mirror(tiny_checkpoint: Path) -> None:
    both = Segmenter.load(tiny_checkpoint, flip=True)
    alone = Segmenter.load(tiny_checkpoint)
    text = "links unten"
    found = both(GREY, text)
    assert NOT_MIRRORED in found.warnings
    np.testing.assert_array_equal(found.probability, alone(GREY, text).probability)
    assert NOT_MIRRORED not in both(GREY, "left lung").warnings
