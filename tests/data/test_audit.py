import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from causalseg.cli.main import main
from causalseg.data.audit import audit
from causalseg.data.lvit import read_lvit
from causalseg.data.similarity import near_identical, thumbnail


def copy_over(source: Path, target: Path, change: str) -> None:
    image = Image.open(source).convert("L")
    if change == "recoded":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=60)
        image = Image.open(buffer)
    elif change == "darker":
        image = image.point(lambda v: int(v * 0.8))
    elif change == "smaller":
        image = image.resize((48, 48), Image.Resampling.BILINEAR)
        mask = next((target.parent.parent / "labelcol").glob(f"mask_{target.name}"))
        Image.open(mask).resize((48, 48), Image.Resampling.NEAREST).save(mask)
    image.save(target)


@pytest.mark.parametrize("change", ["recoded", "darker", "smaller"])
def test_a_changed_copy_in_another_split_is_a_warning(phantom_copy: Path, change: str) -> None:
    source = read_lvit(phantom_copy, "train").records[4].image
    target = read_lvit(phantom_copy, "test").records[2].image
    copy_over(source, target, change)
    report = audit(phantom_copy)
    assert report.errors == []
    (found,) = report.by_kind("warning")["near-identical images in two splits"]
    assert (found.where, found.other) == (
        str(source.relative_to(phantom_copy)),
        str(target.relative_to(phantom_copy)),
    )


def test_a_byte_identical_copy_is_one_error(phantom_copy: Path) -> None:
    source = read_lvit(phantom_copy, "train").records[0].image
    target = read_lvit(phantom_copy, "val").records[0].image
    shutil.copy(source, target)
    report = audit(phantom_copy)
    assert [p.kind for p in report.problems] == ["image in two splits"]


def test_near_identical_agrees_with_comparing_every_pair() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (40, 64, 64)).astype(np.uint8)
    base[30], base[35], base[7] = base[3], base[12], base[5]
    thumbnails = np.stack([thumbnail(image) for image in base])
    groups = np.array([0] * 10 + [1] * 15 + [2] * 15)
    slow = [
        (i, j)
        for i in range(40)
        for j in range(i + 1, 40)
        if groups[i] != groups[j] and np.array_equal(base[i], base[j])
    ]
    assert sorted(near_identical(thumbnails, groups)) == slow == [(3, 30), (12, 35)]


def test_shared_subjects_and_cut_captions_are_warnings(phantom_copy: Path) -> None:
    name = "mask_sub-S00001_run-9.png"
    folder = phantom_copy / "Test_Folder"
    record = read_lvit(phantom_copy, "test").records[0]
    record.mask.rename(folder / "labelcol" / name)
    record.image.rename(folder / "img" / name.removeprefix("mask_"))
    table = folder / "Test_text.csv"
    table.write_text(table.read_text().replace(record.name, name))
    report = audit(phantom_copy, context_length=16)
    assert report.errors == []
    kinds = report.by_kind("warning")
    assert [p.where for p in kinds["subject in two splits"]] == ["subject S00001"]
    assert all("at 16 tokens" in p.message for p in kinds["caption will be cut"])
    facts = report.splits[-1]
    assert facts.cut_captions == sum(n for length, n in facts.token_lengths.items() if length > 16)
    assert facts.cut_captions > 0


def test_counts_are_those_of_the_files(small_phantoms: Path) -> None:
    report = audit(small_phantoms)
    assert [(f.split, f.rows, f.matched) for f in report.splits] == [
        ("train", 21, 21),
        ("val", 3, 3),
        ("test", 6, 6),
    ]
    for facts in report.splits:
        folder = small_phantoms / f"{facts.split.capitalize()}_Folder" / "labelcol"
        masks = [np.asarray(Image.open(path)) > 0 for path in folder.iterdir()]
        assert facts.empty_masks == sum(not mask.any() for mask in masks)
        assert facts.foreground == pytest.approx(np.mean([mask.mean() for mask in masks]))
        assert facts.sizes == {"64 x 64": len(masks)}
        assert sum(facts.token_lengths.values()) == facts.rows


def test_check_exits_0_1_2_and_writes_json(
    phantom_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    assert main(["data", "check", str(phantom_copy), "--json", str(out)]) == 0
    assert "0 error(s)" in capsys.readouterr().out
    assert json.loads(out.read_text())["splits"]["train"]["rows"] == 21

    mask = read_lvit(phantom_copy, "train").records[0].mask
    mask.unlink()
    assert main(["data", "check", str(phantom_copy), "--json", str(out)]) == 1
    assert "missing mask" in capsys.readouterr().out
    (problem,) = [p for p in json.loads(out.read_text())["problems"] if p["severity"] == "error"]
    assert problem["name"] == mask.name
    assert problem["where"].startswith("Train_Folder/Train_text.csv row 2")

    assert main(["data", "check", str(tmp_path / "nowhere")]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.strip().splitlines()) == 1
    assert not captured.out


def test_make_phantoms_makes_a_set_that_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "made"
    arguments = ["data", "make-phantoms", "--out", str(root), "--count", "9", "--seed", "4"]
    assert main([*arguments, "--size", "64"]) == 0
    assert main(["data", "check", str(root)]) == 0
    assert main(arguments) == 2
    assert "not empty" in capsys.readouterr().err


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["MosMedDataPlus_demo22", "MoNuSeg"])
def test_real_sets_have_no_errors(data_root: Path, name: str) -> None:
    report = audit(data_root / name)
    assert report.errors == []
    assert sum(facts.matched for facts in report.splits) == {"MoNuSeg": 44}.get(name, 22)


def test_what_is_done_to_a_picture_on_reading_is_a_warning(phantom_copy: Path) -> None:
    """A turned training image fits its mask only if the mask was drawn on the upright one."""
    path = sorted((phantom_copy / "Train_Folder" / "img").iterdir())[0]
    tags = Image.Exif()
    tags[274] = 3
    with Image.open(path) as image:
        image.load()
        image.save(path, exif=tags)
    report = audit(phantom_copy)
    assert report.errors == []
    found = report.by_kind("warning")["picture changed"]
    assert [Path(p.where).name for p in found] == [path.name]
    assert "EXIF orientation (3)" in found[0].message
    with pytest.warns(UserWarning, match="1 pictures of the train split"):
        manifest = read_lvit(phantom_copy, "train")
    assert path in [record.image for record in manifest.records]
