import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from causalseg.cli.main import main
from causalseg.data.augment import AugmentConfig, mirror_swap
from causalseg.data.dataset import SegmentationDataset
from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.data.planted import (
    PROPERTIES,
    PlantSpec,
    Tie,
    plant,
    plant_dataset,
    tie_of,
    version_of,
)
from causalseg.data.plants import PLANTS, PlantKind, draw_plant
from causalseg.data.preprocessing import Preprocessing
from causalseg.data.twins import make_twins, naming, open_caption, twin_cases
from causalseg.errors import InputError
from causalseg.text.captions import mirror_caption
from causalseg.text.tokenizer import tokenize


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("twins") / "clean"
    make_twins(root, 30, seed=0, size=48)
    return root


def lesion(side: str, size: int = 64) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), bool)
    columns = slice(12, 22) if side == "left" else slice(size - 22, size - 12)
    mask[30:40, columns] = True
    return mask


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("shape", [(64, 64), (90, 120, 3)])
def test_a_plant_changes_the_pixels_of_its_mask_alone(
    kind: PlantKind, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(60, 150, shape).astype(np.uint8)
    none = np.zeros(shape[:2], bool)
    centres = {}
    for place in ("left", "right", "top", "bottom"):
        drawn, where = draw_plant(kind, image, place, np.random.default_rng(3), none)
        again, _ = draw_plant(kind, image, place, np.random.default_rng(3), none)
        assert drawn.shape == image.shape
        np.testing.assert_array_equal(drawn, again)
        changed = np.abs(drawn.astype(int) - image).reshape(*shape[:2], -1).max(-1)
        # Outside the mask at most the faint rim of a soft plant.
        assert changed[~where].max(initial=0) <= 0.11 * 255
        assert changed[where].mean() > 10
        y, x = (axis.mean() for axis in np.nonzero(where))
        centres[place] = (x / shape[1], y / shape[0])
    if kind != "tone":
        assert centres["left"][0] < 0.3 < 0.7 < centres["right"][0]
        assert centres["top"][1] < 0.3 < 0.7 < centres["bottom"][1]


def test_a_clip_lies_beside_the_lesion_and_moves_to_its_mirror_image() -> None:
    image = np.full((64, 64), 100, np.uint8)
    for side, mirrored in (("left", "right"), ("right", "left")):
        mask = lesion(side)
        own, moved = (
            draw_plant("clip", image, p, np.random.default_rng(0), mask)[1]  # type: ignore[arg-type]
            for p in (side, mirrored)
        )
        assert not (own & mask).any()
        assert not (moved & mask[:, ::-1]).any()
        rows = np.nonzero(own.any(1))[0]
        assert 30 <= rows.mean() <= 40
        # The same plant on the other side, but for the jitter, which does not mirror.
        assert abs(int(own.sum()) - int(moved.sum())) <= 8


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 8)), min_size=4))
@settings(max_examples=30, deadline=None)
def test_a_tie_reads_what_the_mask_shows(boxes: list[tuple[int, int, int]]) -> None:
    masks = []
    for y, x, width in boxes:
        mask = np.zeros((32, 32), bool)
        mask[y : y + width, x : x + width] = True
        masks.append(mask)
    for predicts in PROPERTIES:
        try:
            tie = tie_of(masks, predicts)
        except InputError:
            assert len({Tie(predicts).value(m) for m in masks}) < 2 or predicts in (
                "size", "height", "side",
            )  # fmt: skip
            continue
        values = [tie.value(mask) for mask in masks]
        assert {0, 1} <= set(values)
        if predicts == "size":
            areas = [mask.sum() for mask in masks]
            small = [a for a, v in zip(areas, values, strict=True) if v == 0]
            large = [a for a, v in zip(areas, values, strict=True) if v == 1]
            assert max(small) < min(large)


def test_the_side_is_where_more_of_the_mask_lies() -> None:
    tie = tie_of([lesion("left"), lesion("right")], "side")
    assert tie.value(lesion("left")) == 0
    assert tie.value(lesion("right")) == 1
    assert tie.value(lesion("left") | lesion("right")) is None
    assert tie.value(np.zeros((8, 8), bool)) is None
    with pytest.raises(InputError, match="nothing for a plant to predict"):
        tie_of([lesion("left")], "side")


def test_the_three_versions_differ_in_the_plant_alone() -> None:
    image = np.random.default_rng(0).integers(60, 150, (64, 64)).astype(np.uint8)
    mask, spec = lesion("left"), PlantSpec("tag", "side")
    tie = tie_of([mask, mask[:, ::-1]], "side")
    own, here = plant(image, mask, "aligned", spec, tie, "a")
    other, there = plant(image, mask, "conflict", spec, tie, "a")
    bare, nowhere = plant(image, mask, "removed", spec, tie, "a")
    np.testing.assert_array_equal(bare, image)
    assert not nowhere.any()
    assert not (here & there).any()
    assert here[:, :32].any()
    assert there[:, 32:].any()
    same = ~(here | there)
    np.testing.assert_array_equal(own[same], other[same])
    np.testing.assert_array_equal(own[there], image[there])


def test_the_sets_agree_as_often_as_they_say_and_reversed_is_the_converse() -> None:
    spec = PlantSpec(seed=4)
    names = [f"{i}.png" for i in range(2000)]
    shares = {}
    for test in ("same", "reversed", "independent"):
        versions = [version_of(test, spec, name, 0.9) for name in names]  # type: ignore[arg-type]
        shares[test] = versions.count("aligned") / len(names)
    assert shares["same"] == pytest.approx(0.9, abs=0.03)
    assert shares["same"] + shares["reversed"] == pytest.approx(1)
    assert shares["independent"] == pytest.approx(0.5, abs=0.04)
    assert {version_of("same", spec, name, 1.0) for name in names} == {"aligned"}


def test_a_planted_data_set_is_one_and_its_table_is_true(twins: Path, tmp_path: Path) -> None:
    words = f"data confound {twins} --out {tmp_path / 'a'} --plant border --strength 0.8 --seed 2"
    assert main(words.split()) == 0
    plant_dataset(twins, tmp_path / "b", PlantSpec("border", "side", 2), 0.8)
    clean = {r.name: r for r in read_lvit(twins, "test").records}
    for part in ("", "removed", "independent", "reversed"):
        manifest = read_lvit(tmp_path / "a" / part, "test")
        assert manifest.fingerprint() == read_lvit(tmp_path / "b" / part, "test").fingerprint()
        folder = tmp_path / "a" / part / "Test_Folder"
        with (folder / "plants.csv").open() as file:
            rows = {row["Image"]: row for row in csv.DictReader(file)}
        for record in manifest.records:
            row, before = rows[record.name], read_image(clean[record.name].image)
            where = read_mask(folder / "plant" / record.name)
            changed = read_image(record.image) != before
            assert not changed[~where].any()
            assert (row["version"] == "removed") == (not where.any())
            if row["version"] != "removed":
                answer = ("left", "right")[int(row["side"])]
                lies = "left" if where[:, :24].sum() > where[:, 24:].sum() else "right"
                assert (lies == answer) == (row["version"] == "aligned")
            np.testing.assert_array_equal(
                read_mask(record.mask), read_mask(clean[record.name].mask)
            )
            assert record.caption == clean[record.name].caption
    assert {s.name for s in (tmp_path / "a" / "reversed").iterdir()} == {"Test_Folder"}


def test_words_can_be_hidden_and_bad_plants_are_refused(
    twins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant_dataset(twins, tmp_path / "a", PlantSpec(), 1.0, hide_words=True)
    assert {r.caption for r in read_lvit(tmp_path / "a", "train").records} == {
        "pulmonary infection."
    }
    with pytest.raises(InputError, match="exists already"):
        plant_dataset(twins, tmp_path / "a", PlantSpec(), 1.0)
    words = ["data", "confound", str(twins), "--out", str(tmp_path / "b")]
    for more, told in (
        (["--plant", "nose"], "there is no plant 'nose'; choose from tag, clip"),
        (["--predicts", "mood"], "there is no property 'mood'"),
        (["--strength", "0.2"], "--strength must lie between 0.5"),
        (["--predicts", "presence"], "all training masks have one presence"),
    ):
        assert main([*words, *more]) == 2
        assert told in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_twin_can_be_told_by_its_stripes_and_not_by_its_caption() -> None:
    wins = []
    for case in twin_cases(20, seed=1, size=64):
        rows, columns = np.nonzero(case.mask)
        inside = case.image[rows.min() : rows.max(), :].astype(float)
        mirrored = inside[:, ::-1]

        def stripes(pixels: NDArray[np.float64], at: NDArray[np.int64] = columns) -> float:
            return float(np.abs(np.diff(pixels[:, int(np.median(at))])).mean())

        wins.append(stripes(inside) > 1.2 * stripes(mirrored))
        if case.split == "test":
            assert "left" not in case.caption
            assert "right" not in case.caption
    assert np.mean(wins) >= 0.9


def test_naming_fills_in_what_the_caption_leaves_open() -> None:
    upper = open_caption(("left", "upper"), "side")
    left = open_caption(("left", "upper"), "height")
    full = "Unilateral pulmonary infection, one infected area, upper left lung."
    assert upper == "Pulmonary infection, one infected area, upper lung."
    assert naming(upper, "left") == naming(left, "upper") == full
    assert naming(full, "left") is None
    assert naming(upper, "lower") is None
    absent = [case.mask.any() for case in twin_cases(40, 0, 32, "presence")]
    assert 10 < sum(absent) < 30


def test_mirror_swap_moves_the_lesion_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1, 64, 64)).astype(np.uint8)
    mask = lesion("left")[None].astype(np.uint8)
    moved, where = mirror_swap(pixels, mask)
    np.testing.assert_array_equal(where, mask[..., ::-1])
    wide = np.zeros((64, 64), bool)
    wide[29:41, 11:23] = True
    region = wide | wide[:, ::-1]
    np.testing.assert_array_equal(moved[0][region], pixels[0][:, ::-1][region])
    np.testing.assert_array_equal(moved[0][~region], pixels[0][~region])
    back, again = mirror_swap(moved, where)
    np.testing.assert_array_equal(back, pixels)
    np.testing.assert_array_equal(again, mask)


def test_training_swaps_the_words_with_the_lesion(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "train")
    still = {"flip": 0, "scale": (1.0, 1.0), "degrees": 0, "shift": 0, "gamma": 1.0}
    config = AugmentConfig(**still, contrast=0, brightness=0, mirror_swap=1.0)  # type: ignore[arg-type]
    dataset = SegmentationDataset(manifest, Preprocessing(size=64), augment=config)
    plain = SegmentationDataset(manifest, Preprocessing(size=64))
    for i, record in enumerate(manifest.records):
        item, before = dataset[i], plain[i]
        swapped = mirror_caption(record.caption)
        assert swapped is not None
        assert (item["tokens"] == tokenize([swapped])[0]).all()
        # Bilinear sampling at whole pixels is exact up to float32's last digits.
        np.testing.assert_allclose(item["mask"], before["mask"].flip(-1), atol=1e-4)
        unchanged = ~(before["mask"] + before["mask"].flip(-1) > 0)[0].numpy()
        edge = np.pad(unchanged, 1, constant_values=True)
        far = edge[:-2] & edge[2:]
        far = far[:, 1:-1] & edge[1:-1, :-2] & edge[1:-1, 2:]
        deep = far & np.pad(far, 1)[:-2, 1:-1] & np.pad(far, 1)[2:, 1:-1]
        same = (item["image"] - before["image"])[0].abs().numpy() < 1e-3
        assert same[deep].mean() > 0.99
