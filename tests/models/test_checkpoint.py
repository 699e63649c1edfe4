"""A checkpoint comes back whole, and what is none is refused in one sentence."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from causalseg import build_model, tokenize
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.inference.segmenter import Segmenter
from causalseg.models.checkpoint import load_checkpoint, read_header, save_checkpoint


def save(path: Path, half: bool = False) -> torch.nn.Module:
    model = build_model("causalclipseg", encoder="tiny", head_channels=(16, 16, 8))
    save_checkpoint(
        path,
        model,
        preprocessing={"size": 64},
        threshold=0.35,
        provenance={"data": "phantoms"},
        half=half,
    )
    return model.eval()


def test_round_trip(tmp_path: Path) -> None:
    model = save(tmp_path / "m.safetensors")
    loaded = load_checkpoint(tmp_path / "m.safetensors")
    assert (loaded.architecture, loaded.threshold) == ("causalclipseg", 0.35)
    assert loaded.preprocessing == {"size": 64}
    assert loaded.provenance == {"data": "phantoms"}
    assert loaded.model.config == model.config
    images, tokens = torch.randn(1, 3, 64, 64), tokenize("left lung")
    torch.testing.assert_close(loaded.model(images, tokens).logits, model(images, tokens).logits)
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_half_precision_is_half_the_size_and_close(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = save(tmp_path / "half.safetensors", half=True)
    save(tmp_path / "full.safetensors")
    small, large = ((tmp_path / f"{n}.safetensors").stat().st_size for n in ("half", "full"))
    assert small < 0.55 * large
    loaded = load_checkpoint(tmp_path / "half.safetensors").model
    assert next(loaded.parameters()).dtype == torch.float32
    images, tokens = torch.randn(1, 3, 64, 64), tokenize("left lung")
    torch.testing.assert_close(
        loaded(images, tokens).logits, model(images, tokens).logits, atol=2e-2, rtol=2e-2
    )


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_checkpoint(tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match="is a directory"):
        load_checkpoint(tmp_path)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="not a readable safetensors"):
        load_checkpoint(tmp_path / "text")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="not written by causalseg"):
        load_checkpoint(tmp_path / "other.safetensors")
    save(tmp_path / "m.safetensors")
    whole = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable safetensors"):
        load_checkpoint(tmp_path / "cut.safetensors")


def test_header_says_what_is_inside(tmp_path: Path) -> None:
    save(tmp_path / "m.safetensors")
    header = read_header(tmp_path / "m.safetensors")
    assert header.config["encoder"] == "tiny"
    assert header.config["head_channels"] == [16, 16, 8]


def rewrite(path: Path, tensors: dict[str, torch.Tensor] | None = None, **changes: object) -> Path:
    """The checkpoint at `path` with other metadata or tensors, as a hostile hand could write it."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["causalseg"]) | changes
    state = load_file(path) | (tensors or {})
    save_file(state, path, metadata={"causalseg": json.dumps(header)})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"threshold": "0.5"}, "threshold"),
        ({"architecture": ["causalclipseg"]}, "architecture"),
        ({"architecture": "unknown"}, "there is no model"),
        ({"config": None}, "config"),
        ({"config": {"nonsense": 1}}, "has no option"),
        ({"config": {"encoder": 3}}, "encoder"),
        ({"config": {"encoder": "tiny", "head_channels": [10**6, 10**6, 10**6]}}, "do not fit"),
        ({"config": {"encoder": "tiny", "head_channels": ["a", None]}}, "can be built"),
        ({"config": {"encoder": "RN101"}}, "do not fit"),
        ({"preprocessing": []}, "preprocessing"),
        ({"provenance": "x"}, "provenance"),
        ({"format": "causalseg-99"}, "causalseg-99"),
    ],
)
def test_false_metadata_is_refused_before_a_model_is_built(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    save(tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=message):
        load_checkpoint(rewrite(tmp_path / "m.safetensors", **change))


@pytest.mark.parametrize(
    "preprocessing",
    [
        {"mean": [0.5, 0.5, float("nan")]},
        {"std": [1, 1, float("inf")]},
        {"std": [1, 0, 1]},
        {"mean": 3},
        {"size": 10**9},
        {"size": 64.5},
        {"size": True},
        {"context_length": 10**9},
        {"unknown": 1},
    ],
)
def test_false_preprocessing_is_refused(tmp_path: Path, preprocessing: dict[str, object]) -> None:
    save(tmp_path / "m.safetensors")
    path = rewrite(tmp_path / "m.safetensors", preprocessing={"size": 64} | preprocessing)
    with pytest.raises(InputError):
        Segmenter.load(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = save(tmp_path / "m.safetensors")
    name, tensor = next(iter(model.state_dict().items()))
    tensor = tensor.clone()
    tensor.view(-1)[0] = float("nan")
    with pytest.raises(InputError, match=f"not finite.*{name}"):
        load_checkpoint(rewrite(tmp_path / "m.safetensors", {name: tensor}))


@pytest.mark.parametrize("threshold", [float("nan"), 0.0, -1.0, 1.5, float("inf")])
def test_a_segmenter_takes_no_false_threshold(threshold: float) -> None:
    model = build_model("causalclipseg", encoder="tiny", head_channels=(16, 16, 8))
    with pytest.raises(InputError, match="threshold"):
        Segmenter(model, Preprocessing(size=64), threshold)


def test_packaged_model_loads() -> None:
    from causalseg.inference.default import default_checkpoint

    assert load_checkpoint(default_checkpoint()).architecture == "causalclipseg"


def test_half_keeps_numbers_that_float16_cannot_hold(tmp_path: Path) -> None:
    model = build_model("causalclipseg", encoder="tiny")
    name, variance = next(
        (name, buffer) for name, buffer in model.named_buffers() if name.endswith("running_var")
    )
    variance.fill_(1e6)
    path = tmp_path / "half.safetensors"
    preprocessing = Preprocessing(size=64).to_dict()
    save_checkpoint(
        path, model, preprocessing=preprocessing, threshold=0.5, provenance={}, half=True
    )
    assert torch.equal(load_checkpoint(path).model.state_dict()[name], variance)
