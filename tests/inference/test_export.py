"""`causalseg export`: what is written equals PyTorch, and what does not is not written."""

import contextlib
import io
import json
import shutil

import numpy as np
import pytest
import torch

from causalseg.cli import export as command
from causalseg.cli.main import main
from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.data.phantom import make_phantoms
from causalseg.errors import InputError
from causalseg.evaluation.int8 import macro_dice
from causalseg.evaluation.metrics import dice
from causalseg.inference import export as module
from causalseg.inference.backends import DISABLED_OPTIMIZERS, load_exported
from causalseg.inference.quantise import quantise
from causalseg.inference.segmenter import Segmenter
from causalseg.models.checkpoint import load_checkpoint, save_checkpoint
from causalseg.models.checks import ImageCheck
from causalseg.models.presence import FindingHead, PresenceCheck
from causalseg.models.trust import Trust
from causalseg.text.tokenizer import tokenize

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
TEXTS = ["one infected area, lower left lung.", "right lung"]


def onnx_from(file):
    """Stands in for tracing the same network once more, which is what takes long."""
    return lambda _saved, _inputs, path: shutil.copy(file, path)


@pytest.fixture(scope="session")
def exported(tiny_checkpoint, tiny_onnx, pictures, tmp_path_factory):
    pytest.importorskip("openvino")
    folder = tmp_path_factory.mktemp("exported")
    shutil.copy(tiny_onnx, folder / "model.onnx")
    out = ["--out", str(folder / "model.xml"), "--images", str(pictures)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_write_onnx", onnx_from(tiny_onnx))
        assert main(["export", str(tiny_checkpoint), "--format", "openvino", *out]) == 0
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


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_an_exported_file_checks_its_answers(exported, tiny_checkpoint, pictures, tmp_path, suffix):
    import onnx

    own = Segmenter.load(tiny_checkpoint)
    width = own.model.image_tower.channels[4]
    zero, one = np.zeros(width, np.float32), np.ones(width, np.float32)
    weights = FindingHead(width, 4).vector()
    trust = Trust(
        ImageCheck(zero, one, np.eye(2, width, dtype=np.float32), 1e-9, 0.01),
        PresenceCheck(weights, width, 4, 0.0, 1.01, 0.01, 0.1, 0.7),
    )
    own.trust, own.provenance = trust, {"card": {"trained on": "QaTa-COV19"}}
    model = onnx.load(exported / "model.onnx")
    entry = next(p for p in model.metadata_props if p.key == "causalseg")
    header = json.loads(entry.value) | {"trust": trust.to_json(), "provenance": own.provenance}
    entry.value = json.dumps(header)
    onnx.save(model, tmp_path / "checked.onnx")
    if suffix == ".xml":
        module.convert_to_openvino(tmp_path / "checked.onnx", tmp_path / "checked.xml")
    found = Segmenter.load(tmp_path / f"checked{suffix}")
    texts = ["one infected area, lower left lung.", "lower right lung"]
    answers = found.prompts(pictures / "0.png", texts)
    for a, b in zip(own.prompts(pictures / "0.png", texts), answers, strict=True):
        assert any("unlike those" in note for note in b.warnings)
        assert any("shows little" in note for note in b.warnings)
        assert a.warnings == b.warnings


def test_nothing_but_the_files_is_left(exported):
    assert sorted(p.name for p in exported.iterdir()) == ["model.bin", "model.onnx", "model.xml"]


def test_the_file_says_how_it_is_to_be_used(exported):
    import onnx

    model = onnx.load(exported / "model.onnx")
    header = json.loads(next(p.value for p in model.metadata_props if p.key == "causalseg"))
    assert header["preprocessing"]["size"] == 64
    assert header["preprocessing"]["reader"] == {"name": "clip", "context_length": 20}
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

    monkeypatch.setattr(module, "_write_onnx", onnx_from(exported / "model.onnx"))
    out = tmp_path / "out" / "model.onnx"
    arguments = ["--format", "onnx", "--out", str(out), "--images", str(pictures), "--count", "1"]
    assert main(["export", str(other), *arguments]) == 2
    assert "differ by at most 1.00e-02" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []


@pytest.fixture(scope="session")
def int8(exported, tiny_checkpoint, pictures, tmp_path_factory):
    """An 8-bit file with its labelled set: (file, root, what was printed)."""
    folder = tmp_path_factory.mktemp("int8")
    make_phantoms(folder / "phantoms", 24, seed=0, size=64)
    out = ["--out", str(folder / "out" / "small.xml"), "--images", str(pictures)]
    data = ["--data", str(folder / "phantoms"), "--limit", "2"]
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(module, "_write_onnx", onnx_from(exported / "model.onnx"))
        arguments = [str(tiny_checkpoint), "--format", "openvino", "--int8", *out, *data]
        assert main(["export", *arguments]) == 0
    return folder / "out" / "small.xml", folder / "phantoms", printed.getvalue()


def test_int8_states_the_dice_that_it_loses(int8, tiny_checkpoint):
    file, root, printed = int8
    own, found = Segmenter.load(tiny_checkpoint), Segmenter.load(file)
    labelled = read_lvit(root, "val").limit(2, seed=0)
    pictured = [read_image(r.image) for r in labelled.records]
    cut = float(np.median(own.probabilities(pictured, [r.caption for r in labelled.records])))
    dices = []
    for threshold in (own.threshold, cut):
        for segmenter in (own, found):
            segmenter.threshold = threshold
            pairs = [(segmenter(r.image, r.caption).mask > 0, r.mask) for r in labelled.records]
            dices.append(np.mean([dice(mask, read_mask(path)) for mask, path in pairs]))
            assert macro_dice(segmenter, labelled) == pytest.approx(dices[-1])
    assert dices[2] != dices[0]  # the threshold is the segmenter's own
    expected = dices[:2]
    noted = found.provenance["int8"]
    assert (noted["dice"]["split"], noted["dice"]["images"]) == ("val", 2)
    assert [noted["dice"]["eager"], noted["dice"]["exported"]] == pytest.approx(expected)
    assert noted["calibration_images"] == 3
    assert f"Dice loss {100 * (expected[0] - expected[1]):+.2f} points" in printed
    assert sorted(p.name for p in file.parent.iterdir()) == ["small.bin", "small.xml"]


def test_int8_holds_every_wide_convolution_and_stays_close(int8, exported, tmp_path):
    import onnx

    torch.manual_seed(0)
    images, tokens = torch.randn(2, 3, 64, 64), tokenize(TEXTS)
    count = quantise(exported / "model.onnx", tmp_path / "int8.onnx", images, tokens)
    assert count == Segmenter.load(int8[0]).provenance["int8"]["convolutions"]
    graph = onnx.load(tmp_path / "int8.onnx").graph
    bytes_of = {w.name for w in graph.initializer if w.data_type == onnx.TensorProto.INT8}
    in_int8 = {
        n.output[0]
        for n in graph.node
        if n.op_type == "DequantizeLinear" and n.input[0] in bytes_of
    }
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    chosen = [n for n in convolutions if n.input[1] in in_int8]
    kept = {w.name: w.dims[1] for w in graph.initializer if len(w.dims) == 4}
    # Weights that the decoder computes from its parameters are constants by then, too.
    assert all(kept[n.input[1]] < 16 for n in convolutions if n not in chosen)
    assert len(chosen) == count
    exact = load_exported(exported / "model.onnx").model(images, tokens).logits
    found = load_exported(int8[0]).model(images, tokens).logits
    assert 0 < (found - exact).square().mean().sqrt() < 0.05 * exact.std()


def test_unusable_arguments_are_refused(tiny_checkpoint, pictures, tmp_path):
    base = [str(tiny_checkpoint), "--format", "onnx"]
    with pytest.raises(InputError, match="must end in"):
        command.main([*base, "--out", str(tmp_path / "a.xml"), "--images", str(pictures)])
    with pytest.raises(InputError, match="is not a folder"):
        command.main([*base, "--out", str(tmp_path / "a.onnx"), "--images", str(tmp_path / "no")])
    with pytest.raises(InputError, match="holds no image"):
        command.main([*base, "--out", str(tmp_path / "a.onnx"), "--images", str(tmp_path)])
    fitting = [*base, "--out", str(tmp_path / "a.onnx"), "--images", str(pictures)]
    with pytest.raises(InputError, match="--data is for --int8"):
        command.main([*fitting, "--data", str(tmp_path)])
    with pytest.raises(InputError, match="--limit"):
        command.main([*fitting, "--format", "openvino", "--int8", "--limit", "3"])
    with pytest.raises(InputError, match="is for --format openvino"):
        command.main([*fitting, "--int8"])


def test_an_onnx_file_of_another_origin_is_refused(tmp_path):
    (tmp_path / "other.onnx").write_bytes(b"not a graph")
    with pytest.raises(InputError, match=r"other\.onnx"):
        load_exported(tmp_path / "other.onnx")
    with pytest.raises(InputError, match="does not exist"):
        load_exported(tmp_path / "absent.onnx")


def test_options_that_an_exported_file_has_not_are_refused(exported):
    for options in ({"device": "cuda"}, {"compile": True}, {"precision": "bf16"}):
        with pytest.raises(InputError, match="runs on the CPU"):
            load_exported(exported / "model.onnx", **options)
