"""A checkpoint comes back whole, and what is none is refused in one sentence."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from causalseg import build_model, tokenize
from causalseg.errors import InputError
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
    assert header["config"]["encoder"] == "tiny"
    assert header["config"]["head_channels"] == [16, 16, 8]
