"""A text tower learns wordings from sentences alone, and keeps its own captions."""

from pathlib import Path

import pytest
import torch

from causalseg import build_model
from causalseg.cli.main import main
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.models.checkpoint import load_checkpoint, save_checkpoint
from causalseg.text.wordings import draw_pair
from causalseg.training.distil import DistilConfig, distil_text

CAPTION = "unilateral pulmonary infection, one infected area, lower left lung."


def test_wordings_come_nearer_to_their_captions() -> None:
    torch.manual_seed(0)
    model = build_model("causalclipseg", encoder="tiny").eval()
    reader = model.reader(48)
    image = {k: v.clone() for k, v in model.image_tower.state_dict().items()}
    own = model.encode_text(reader([CAPTION])).detach()
    seen: list[int] = []
    report = distil_text(
        model,
        reader,
        draw_pair,
        DistilConfig(steps=60, batch_size=48, held_out=200),
        lambda step, _: seen.append(step),
    )
    assert seen == list(range(1, 61))
    assert report.error_after < 0.6 * report.error_before
    assert report.nearest_after > report.nearest_before
    assert not model.training
    for key, value in model.image_tower.state_dict().items():
        assert torch.equal(value, image[key])
    moved = (model.encode_text(reader([CAPTION])) - own).norm() / own.norm()
    assert moved < 0.5


def test_a_model_without_text_is_refused() -> None:
    model = build_model("unet", size="compact")
    with pytest.raises(InputError, match="no text tower"):
        distil_text(model, model.reader(20), draw_pair, DistilConfig(steps=20))


def test_the_command_makes_room_for_longer_sentences(tmp_path: Path) -> None:
    path, out = tmp_path / "model.safetensors", tmp_path / "taught.safetensors"
    model = build_model("causalclipseg", encoder="tiny", head_channels=(16, 16, 8))
    chest = {"captions": {"reading": "chest", "sides": "viewer", "wording": "sgseg", "also": []}}
    save_checkpoint(
        path, model, preprocessing=Preprocessing(size=32).to_dict(), threshold=0.4, provenance=chest
    )
    assert main(["distil-text", "--model", str(path), "--out", str(out), "--steps", "20"]) == 0
    back = load_checkpoint(out)
    assert back.threshold == 0.4
    assert back.preprocessing["reader"]["context_length"] == 48
    assert back.provenance["distilled"]["config"]["steps"] == 20
    assert main(["distil-text", "--model", str(path), "--out", str(tmp_path / "x.pt")]) == 2
