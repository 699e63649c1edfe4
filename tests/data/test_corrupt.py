from pathlib import Path

import numpy as np
import pytest
import yaml

from causalseg.cli.main import main
from causalseg.data.corrupt import CAUSES, CORRUPTIONS, corrupt
from causalseg.data.lvit import read_lvit
from causalseg.data.phantom import make_phantoms
from causalseg.models.mcdrl.prompts import read_prompts

COLOUR = np.random.default_rng(0).integers(40, 200, (48, 64, 3), dtype=np.uint8)
GREY = COLOUR[..., 0].copy()


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("image", [COLOUR, GREY], ids=["colour", "grey"])
def test_a_corruption_is_decided_by_seed_and_name(kind, image):
    before = image.copy()
    one = corrupt(image, kind, "a.png", 1)
    assert np.array_equal(image, before)
    assert one.dtype == np.uint8
    assert one.shape[:2] == image.shape[:2]
    assert np.array_equal(one, corrupt(image, kind, "a.png", 1))
    for name, seed in (("b.png", 1), ("a.png", 2)):
        assert not np.array_equal(one, corrupt(image, kind, name, seed))


def test_corruptions_do_what_they_are_called():
    made = {kind: corrupt(COLOUR, kind, "a.png").astype(float) for kind in CORRUPTIONS}
    plain = COLOUR.astype(float)
    assert made["dark"].mean() < 0.5 * plain.mean()
    assert made["bright"].mean() > 1.3 * plain.mean()
    assert (
        np.abs(np.diff(made["blur"], axis=1)).mean() < 0.6 * np.abs(np.diff(plain, axis=1)).mean()
    )
    assert (made["noise"] - plain).std() > 15
    assert (made["specular"] > 240).all(-1).mean() > 0.01
    flat = corrupt(np.full_like(COLOUR, 120), "uneven", "a.png").astype(float)
    assert flat.max() > 1.2 * 120
    assert flat.min() < 0.4 * 120
    red = np.stack([np.full((32, 32), v, np.uint8) for v in (200, 80, 60)], axis=-1)
    narrow = corrupt(red, "nbi", "a.png").astype(float)
    assert narrow[..., 0].mean() < narrow[..., 2].mean() + 40  # no longer red
    pools = corrupt(np.full_like(COLOUR, 200), "blood", "a.png").astype(float)
    covered = pools[..., 1] < 100
    assert 0.1 < covered.mean() < 0.4
    assert (pools[covered][:, 0] > pools[covered][:, 1]).all()


def test_every_cause_is_a_domain_of_the_shipped_prompts():
    assert set(CAUSES) == set(CORRUPTIONS)
    assert set(CAUSES.values()) <= set(read_prompts("endoscopy").domain_names)


def test_the_command_copies_a_data_set_and_keeps_masks_and_texts(tmp_path, capsys):
    make_phantoms(tmp_path / "set", 12, seed=0, size=48)
    argv = ["data", "corrupt", str(tmp_path / "set"), "--kinds", "dark,noise", "--seed", "4"]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    assert main([*argv, "--out", str(tmp_path / "again")]) == 0
    for split in ("train", "val", "test"):
        was = read_lvit(tmp_path / "set", split)
        now = read_lvit(tmp_path / "out" / "dark", split)
        for a, b in zip(was.records, now.records, strict=True):
            assert (a.name, a.caption) == (b.name, b.caption)
            assert a.mask.read_bytes() == b.mask.read_bytes()
            assert a.image.read_bytes() != b.image.read_bytes()
        repeated = read_lvit(tmp_path / "again" / "dark", split)
        assert repeated.fingerprint() == now.fingerprint()
    capsys.readouterr()
    assert main([*argv, "--out", str(tmp_path / "out")]) == 2
    assert "exists already" in capsys.readouterr().err
    wrong = ["data", "corrupt", str(tmp_path / "set"), "--kinds", "fog", "--out", str(tmp_path)]
    assert main(wrong) == 2
    assert "'fog'" in capsys.readouterr().err


def test_shipped_configs_name_rows_that_exist():
    from causalseg.experiments.mcdrl_rows import MCDRL_ROWS

    folder = Path(__file__).parents[2] / "src/causalseg/configs/mcdrl"
    for path in folder.glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())["rows"]) <= set(MCDRL_ROWS)
