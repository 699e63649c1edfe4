import json
from pathlib import Path

import numpy as np
import pytest
import torch

from causalseg.cli.main import main
from causalseg.data.datamodule import DataConfig
from causalseg.data.planted import PlantSpec, plant_dataset
from causalseg.data.twins import make_twins
from causalseg.errors import InputError
from causalseg.experiments.confound_config import ROWS, ConfoundConfig, confound_cells
from causalseg.experiments.confound_data import PlantedDataModule
from causalseg.experiments.confound_table import tabulate_confound
from causalseg.files import write_csv, write_json
from causalseg.models.registry import build_model


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("confound")
    make_twins(folder / "clean", 40, seed=0, size=32)
    plant_dataset(folder / "clean", folder / "tag", PlantSpec(), 0.9)
    return folder / "clean", folder / "tag"


def module(roots: tuple[Path, Path], row: str) -> PlantedDataModule:
    config = DataConfig(root=roots[1], size=32, augment=False, leaks="keep", batch_size=8)
    return PlantedDataModule(config, ROWS[row], roots[0], PlantSpec())


def test_every_row_builds_its_model() -> None:
    config = ConfoundConfig(data=DataConfig(root="x"), model={"encoder": "tiny"})
    cells = confound_cells(config)
    assert [cell.values["row"] for cell in cells] == list(ROWS)
    for cell in cells:
        model = build_model("causalclipseg", **cell.run.model)
        out = model(torch.randn(2, 3, 32, 32), torch.ones(2, 20, dtype=torch.long))
        assert out.logits.isfinite().all()


def test_a_random_mask_is_the_same_for_all_images() -> None:
    model = build_model("causalclipseg", encoder="tiny", masker="random", adversary="none").eval()
    first, second = (
        model(torch.randn(2, 3, 64, 64), torch.ones(2, 20, dtype=torch.long)).attention
        for _ in range(2)
    )
    assert sorted(first) == [2, 3, 4]
    for stage, mask in first.items():
        assert torch.equal(mask, second[stage])
        assert torch.equal(mask[0], mask[1])
        assert 0 <= mask.min() < 0.3 < 0.7 < mask.max() <= 1 or mask[0].numel() < 8


def test_reversal_all_sends_the_turned_gradient_to_the_tower_too() -> None:
    """L_s falls for D_s, and rises for masker and tower, when each takes a step downhill."""
    gradients = {}
    for form in ("reversal-all", "literal"):
        torch.manual_seed(0)
        model = build_model(
            "causalclipseg", encoder="tiny", adversary=form, adversary_weight=1.0
        ).train()
        torch.manual_seed(1)
        image, tokens = torch.randn(2, 3, 64, 64), torch.ones(2, 20, dtype=torch.long)
        target = (torch.rand(2, 1, 64, 64) > 0.5).float()
        logits = model(image, tokens).confounder_logits
        torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
        gradients[form] = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    plain, turned = gradients["literal"], gradients["reversal-all"]
    for name, gradient in turned.items():
        if name.startswith(("image_tower", "maskers")):
            torch.testing.assert_close(gradient, -plain[name], rtol=1e-3, atol=1e-6)
        else:
            assert name.startswith("confounding")
            torch.testing.assert_close(gradient, plain[name], rtol=1e-3, atol=1e-6)
    assert any(name.startswith("image_tower") for name in turned)


def test_rebalancing_shows_every_group_equally_often(roots: tuple[Path, Path]) -> None:
    data = module(roots, "rebalanced")
    data.setup("fit")
    versions = data._versions()
    names = [record.name for record in data.dataset("train").manifest.records]
    loader = data.train_dataloader()
    drawn: list[tuple[str, str]] = []
    for epoch in range(30):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        batch = list(loader.sampler)
        assert batch == list(loader.sampler)  # the same after a resume
        drawn += [versions[names[index]] for _, index in batch]
    counts = {group: drawn.count(group) / len(drawn) for group in set(drawn)}
    assert set(counts) == set(versions.values())
    assert max(counts.values()) - min(counts.values()) < 0.08
    assert len(set(versions.values())) > 2


def test_moving_plants_are_half_the_time_in_the_other_place(roots: tuple[Path, Path]) -> None:
    data = module(roots, "random-plant")
    data.setup("fit")
    dataset, still = data.dataset("train"), module(roots, "plain").dataset("train")
    moved = [
        not torch.equal(dataset[epoch, i]["image"], still[epoch, i]["image"])
        for epoch in range(10)
        for i in range(len(dataset))
    ]
    assert 0.4 < np.mean(moved) < 0.6
    for i in range(len(dataset)):
        assert torch.equal(dataset[0, i]["mask"], still[0, i]["mask"])
        # Only the two places of the tag may differ.
        both = dataset.other[i] != dataset.pixels[i]  # type: ignore[attr-defined]
        assert not both[:, 8:].any()
        assert both[0, :8, :8].any()
        assert both[0, :8, -8:].any()


def write_run(folder: Path, row: str, seed: int, aligned: float, conflict: float) -> Path:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.02, 40)
    rows = [
        {"name": f"{i}.png", "subject": "", "aligned": aligned + n, "conflict": conflict + n}
        for i, n in enumerate(noise)
    ]
    out = folder / f"{row}{seed}"
    write_csv(out / "per_image.csv", rows)
    means = {"removed": 0.6, "aligned": aligned, "conflict": conflict}
    write_json(
        out / "result.json",
        {"strength": 0.9, "row": row, "seed": seed, "data_seed": seed % 2, "images": 40,
         "means": means},
    )  # fmt: skip
    return out


def test_the_table_by_hand(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, "plain", s, 0.8, 0.4) for s in range(4)]
    folders += [write_run(tmp_path, "mirror-swap", s, 0.8, 0.8 - 0.01 * s) for s in range(4)]
    folders += [write_run(tmp_path, "masker", s, 0.8, (0.5, 0.3, 0.5, 0.3)[s]) for s in range(4)]
    table = tabulate_confound(folders, plant="tag", predicts="side", resamples=500)
    plain, swap, masker = table.cells
    assert plain.repair is None
    assert np.mean(plain.tests["same"]) == pytest.approx(0.76, abs=0.01)
    assert np.mean(plain.tests["reversed"]) == pytest.approx(0.44, abs=0.01)
    assert np.mean(plain.drop) == pytest.approx(0.8 * 0.4)
    assert swap.repair is not None
    assert swap.repair.by_seed == pytest.approx([0.9 * (0.4 - 0.01 * s) for s in range(4)])
    assert swap.repair.same_by_seed == pytest.approx([0.1 * (0.4 - 0.01 * s) for s in range(4)])
    assert swap.repair.holds
    assert swap.repair.difference.clusters == 80  # two data seeds, of other subjects
    assert masker.repair is not None
    assert not masker.repair.holds
    with pytest.raises(InputError, match="nothing to tabulate"):
        tabulate_confound([], plant="tag", predicts="side")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows": ["plain", "magic"]}, "there is no row 'magic'"),
        ({"rows": ["masker"]}, "must name 'plain'"),
        ({"strengths": [0.2]}, "between 0.5"),
        ({"strengths": [1.0, 0.5]}, "must rise"),
        ({"plant": "nose"}, "there is no plant"),
        ({"architecture": "unet"}, "leave architecture out"),
        ({"twins": 2}, "at least 3"),
    ],
)
def test_grids_that_cannot_be_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ConfoundConfig(data=DataConfig(root="x"), **options)  # type: ignore[arg-type]


def test_the_command_runs_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "confound", "--config", "causalclipseg/confound_twins.yaml", "--twins", "30",
        "--data.size", "32", "--trainer.max-epochs", "1", "--strengths", "[0.95]",
        "--resamples", "200", "--out", str(tmp_path), "--rows",
    ]  # fmt: skip
    assert main([*words, "[plain]"]) == 0
    assert main([*words, "[plain, masker]"]) == 0
    told = capsys.readouterr().out
    assert told.count("plain, seed 0") == 1  # not run again
    table = json.loads((tmp_path / "table.json").read_text())
    assert [cell["row"] for cell in table["cells"]] == ["plain", "masker"]
    plain, masker = table["cells"]
    assert {"moved", "on_plant", "named", "aligned", "conflict"} <= set(plain["measures"])
    assert {"lift_2", "lift_3", "lift_4"} <= set(masker["measures"])
    assert masker["measures"]["lift_2"][0] > 0
    for cell in table["cells"]:
        same, turned = cell["tests"]["same"][0], cell["tests"]["reversed"][0]
        assert cell["drop"] == [pytest.approx(same - turned)]
    assert "data:image/png" in (tmp_path / "report.html").read_text()
    assert main([*words, "[plain]", "--plant", "tag"]) == 2
    assert "other options (plant)" in capsys.readouterr().err
