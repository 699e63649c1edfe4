"""`causalseg export`: what is written equals PyTorch, and what does not is not written."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from causalseg.cli import export as command
from causalseg.cli.main import main
from causalseg.errors import InputError
from causalseg.inference import export as module
from causalseg.inference.backends import DISABLED_OPTIMIZERS, load_exported
from causalseg.inference.segmenter import Segmenter
from causalseg.models.checkpoint import load_checkpoint, save_checkpoint

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
TEXTS = ["one infected area, lower left lung.", "right lung"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = rng.integers(0, 255, (60 + i, 70), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def exported(tiny_checkpoint, pictures, tmp_path_factory):
    pytest.importorskip("openvino")
    folder = tmp_path_factory.mktemp("exported")
    for kind, suffix in module.SUFFIX.items():
        out = ["--out", str(folder / f"model{suffix}"), "--images", str(pictures)]
        assert main(["export", str(tiny_checkpoint), "--format", kind, *out]) == 0
    return folder


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_an_exported_file_stands_in_for_the_checkpoint(exported, tiny_checkpoint, pictures, suffix):
    own, found = Segmenter.load(tiny_checkpoint), Segmenter.load(exported / f"model{suffix}")
    assert found.preprocessing == own.preprocessing
    assert found.threshold == own.threshold
    assert found.provenance == own.provenance
    files = [pictures / f"{i}.png" for i in range(3)]
    texts = [*TEXTS, "left lung"]
    for count in (1, 2, 3):  # the batch is free
        pairs = zip(
            own.batch(files[:count], texts[:count]),
            found.batch(files[:count], texts[:count]),
            strict=True,
        )
        for a, b in pairs:
            assert np.abs(a.probability - b.probability).max() < 1e-4
            assert np.array_equal(a.mask, b.mask)
    for a, b in zip(own.prompts(files[0], texts), found.prompts(files[0], texts), strict=True):
        assert np.abs(a.probability - b.probability).max() < 1e-4


def test_nothing_but_the_files_is_left(exported):
    assert sorted(p.name for p in exported.iterdir()) == ["model.bin", "model.onnx", "model.xml"]


def test_the_file_says_how_it_is_to_be_used(exported):
    import onnx

    model = onnx.load(exported / "model.onnx")
    header = json.loads(next(p.value for p in model.metadata_props if p.key == "causalseg"))
    assert header["preprocessing"]["size"] == 64
    assert header["tokenizer"]["context_length"] == 20
    assert header["tokenizer"]["eos"] == 49407
    assert header["threshold"] == 0.5


def test_the_fusion_that_gave_wrong_logits_is_off():
    assert "MatmulTransposeFusion" in DISABLED_OPTIMIZERS


def test_a_wrong_file_fails_with_the_figure_and_is_not_kept(
    exported, tiny_checkpoint, pictures, tmp_path, monkeypatch, capsys
):
    """A graph whose logits are off by a little, as a faulty runtime's would be."""
    saved = load_checkpoint(tiny_checkpoint)
    with torch.no_grad():
        saved.model.causal.decoder.kernel.bias[-1] += 0.01
    other = tmp_path / "other.safetensors"
    save_checkpoint(
        other, saved.model, preprocessing=saved.preprocessing, threshold=0.5, provenance={}
    )

    def stale(_saved, _inputs, path):
        shutil.copy(exported / "model.onnx", path)

    monkeypatch.setattr(module, "_write_onnx", stale)
    out = tmp_path / "out" / "model.onnx"
    arguments = ["--format", "onnx", "--out", str(out), "--images", str(pictures), "--count", "1"]
    assert main(["export", str(other), *arguments]) == 2
    assert "differ by at most 1.00e-02" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []


def test_unusable_arguments_are_refused(tiny_checkpoint, pictures, tmp_path):
    base = [str(tiny_checkpoint), "--format", "onnx"]
    with pytest.raises(InputError, match="must end in"):
        command.main([*base, "--out", str(tmp_path / "a.xml"), "--images", str(pictures)])
    with pytest.raises(InputError, match="is not a folder"):
        command.main([*base, "--out", str(tmp_path / "a.onnx"), "--images", str(tmp_path / "no")])
    with pytest.raises(InputError, match="holds no image"):
        command.main([*base, "--out", str(tmp_path / "a.onnx"), "--images", str(tmp_path)])


def test_an_onnx_file_of_another_origin_is_refused(tmp_path):
    (tmp_path / "other.onnx").write_bytes(b"not a graph")
    with pytest.raises(InputError, match=r"other\.onnx"):
        load_exported(tmp_path / "other.onnx")
    with pytest.raises(InputError, match="there is no"):
        load_exported(tmp_path / "absent.onnx")


def test_options_that_an_exported_file_has_not_are_refused(exported):
    for options in ({"device": "cuda"}, {"compile": True}, {"precision": "bf16"}):
        with pytest.raises(InputError, match="runs on the CPU"):
            load_exported(exported / "model.onnx", **options)
