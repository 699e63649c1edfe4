import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter

from causalseg.cli.main import main
from causalseg.data.audit import audit
from causalseg.data.datamodule import DataConfig, LViTDataModule
from causalseg.data.lvit import read_lvit
from causalseg.data.similarity import find_copies, thumbnail
from causalseg.errors import InputError


def changed(image: Image.Image, change: str) -> Image.Image:
    w, h = image.size
    if change == "recoded":
        buffer = io.BytesIO()
        image.resize((w * 3 // 4, h * 3 // 4)).save(buffer, "JPEG", quality=70)
        return Image.open(buffer).resize((w, h))
    if change == "darker":
        return image.point(lambda v: int(255 * (v / 255) ** 1.5))
    if change == "mirrored":
        return ImageOps.mirror(image)
    if change == "inverted":
        return ImageOps.invert(image)
    if change == "turned":
        return image.rotate(90)
    if change == "tilted":
        return image.rotate(6, Image.Resampling.BILINEAR)
    return image.crop((w // 20, 0, w, h - h // 20)).resize((w, h))  # cropped


def fine_image(seed: int, size: int = 128) -> Image.Image:
    """Blobs of all sizes, as different from another seed's as two patients, or more."""
    rng = np.random.default_rng(seed)
    total = sum(gaussian_filter(rng.normal(size=(size, size)), s) * s for s in (1, 2, 4, 8, 16))
    scaled = (total - total.min()) / np.ptp(total) * 255
    return Image.fromarray(scaled.astype(np.uint8))


CHANGES = ("recoded", "darker", "mirrored", "inverted", "turned", "tilted", "cropped")


def test_changed_copies_of_every_kind_are_found_across_splits(phantom_copy: Path) -> None:
    sources = [record.image for record in read_lvit(phantom_copy, "train").records]
    targets = [r.image for split in ("val", "test") for r in read_lvit(phantom_copy, split).records]
    pairs = list(zip(CHANGES, sources, targets, strict=False))
    assert len(pairs) == len(CHANGES)
    for seed, (change, source, target) in enumerate(pairs):
        image = fine_image(seed, 64)
        image.save(source)
        changed(image, change).convert("L").save(target)
    errors = audit(phantom_copy).errors
    assert {error.kind for error in errors} == {"copy in two splits"}
    assert {(error.where, error.other) for error in errors} == {
        (str(source.relative_to(phantom_copy)), str(target.relative_to(phantom_copy)))
        for _, source, target in pairs
    }


def test_a_changed_copy_in_another_split_is_an_error(phantom_copy: Path) -> None:
    source = read_lvit(phantom_copy, "train").records[4].image
    target = read_lvit(phantom_copy, "test").records[2].image
    image = fine_image(0, 64)
    image.save(source)
    changed(image, "tilted").convert("L").save(target)
    report = audit(phantom_copy)
    (found,) = report.errors
    assert (found.kind, found.where, found.other) == (
        "copy in two splits",
        str(source.relative_to(phantom_copy)),
        str(target.relative_to(phantom_copy)),
    )
    with pytest.raises(InputError, match=r"--leaks leave_out.*--leaks keep"):
        read_lvit(phantom_copy, "train", leaks="refuse")
    with pytest.raises(InputError, match="copy of Test_Folder"):
        read_lvit(phantom_copy, "test", leaks="refuse")
    assert len(read_lvit(phantom_copy, "val", leaks="refuse")) == 3
    without = read_lvit(phantom_copy, "train", leaks="leave_out")
    assert len(without) == 20
    assert [p.kind for p in without.left_out] == ["copy in two splits"]
    assert len(read_lvit(phantom_copy, "test", leaks="leave_out")) == 6
    assert len(read_lvit(phantom_copy, "train", leaks="keep")) == 21


def test_copies_are_found_among_images_that_are_none() -> None:
    originals = [fine_image(seed) for seed in range(30)]
    copies = [changed(image, c) for image, c in zip(originals, CHANGES, strict=False)]
    thumbnails = np.stack([thumbnail(np.asarray(i.convert("L"))) for i in originals + copies])
    found = {(c.first, c.second): c.correlation for c in find_copies(thumbnails)}
    assert set(found) == {(i, 30 + i) for i in range(len(CHANGES))}
    assert found[3, 33] < -0.95, "a negative correlates negatively"


def test_a_copy_within_a_split_is_a_warning(phantom_copy: Path) -> None:
    first, second = (r.image for r in read_lvit(phantom_copy, "train").records[:2])
    fine_image(1, 64).save(first)
    ImageOps.mirror(fine_image(1, 64)).save(second)
    report = audit(phantom_copy)
    assert report.errors == []
    (found,) = report.by_kind("warning")["image twice in a split"]
    assert found.other == str(second.relative_to(phantom_copy))


def test_pairs_of_large_sets_are_kept_for_the_next_time(
    phantom_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from causalseg.data import leaks

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(leaks, "WORTH_KEEPING", 10)
    image = read_lvit(phantom_copy, "train").records[0].image
    ImageOps.mirror(fine_image(2, 64)).save(image)
    fine_image(2, 64).save(read_lvit(phantom_copy, "test").records[0].image)
    first = audit(phantom_copy).problems
    (kept,) = (tmp_path / "cache" / "causalseg").iterdir()
    with monkeypatch.context() as later:
        later.setattr(leaks, "_search", None)
        assert audit(phantom_copy).problems == first  # this process knows them
        later.setattr(leaks, "_FOUND", {})
        assert audit(phantom_copy).problems == first  # another reads them
    kept.write_text("[damaged")
    fine_image(3, 64).save(image)
    assert audit(phantom_copy).errors == []


def test_fit_refuses_leaks_unless_told(phantom_copy: Path) -> None:
    source = read_lvit(phantom_copy, "train").records[4].image
    fine_image(0, 64).save(source)
    ImageOps.mirror(fine_image(0, 64)).save(read_lvit(phantom_copy, "val").records[0].image)
    config = DataConfig(root=phantom_copy, size=64)
    with pytest.raises(InputError, match=r"data\.leaks"):
        LViTDataModule(config).setup("fit")
    data = LViTDataModule(replace(config, leaks="leave_out"))
    data.setup("fit")
    assert "copy in two splits" in data.provenance()["train"].left_out[0]


def test_a_pattern_tells_subjects_that_the_default_does_not(phantom_copy: Path) -> None:
    names = {s: [r.name for r in read_lvit(phantom_copy, s).records] for s in ("train", "test")}
    for split, name in (("Train", names["train"][0]), ("Test", names["test"][0])):
        folder = phantom_copy / f"{split}_Folder"
        new = f"mask_site7-{split}.png"
        (folder / "labelcol" / name).rename(folder / "labelcol" / new)
        image = folder / "img" / name.removeprefix("mask_")
        image.rename(folder / "img" / new.removeprefix("mask_"))
        table = folder / f"{split}_text.csv"
        table.write_text(table.read_text().replace(name, new))
    assert audit(phantom_copy).errors == []
    report = audit(phantom_copy, subject_pattern=r"site(\d+)")
    assert [(p.kind, "subject 7" in p.message) for p in report.errors] == [
        ("subject in two splits", True)
    ]
    with pytest.raises(InputError, match="no expression"):
        audit(phantom_copy, subject_pattern="(")


def test_a_caption_that_cannot_be_mirrored_is_a_warning(phantom_copy: Path) -> None:
    table = phantom_copy / "Train_Folder" / "Train_text.csv"
    caption = read_lvit(phantom_copy, "train").records[0].caption
    table.write_text(table.read_text().replace(f'"{caption}"', "RLL opacity"))
    (found,) = audit(phantom_copy).by_kind("warning")["caption cannot be mirrored"]
    assert "RLL opacity" in found.message


def test_a_byte_identical_copy_is_one_error(phantom_copy: Path) -> None:
    source = read_lvit(phantom_copy, "train").records[0].image
    target = read_lvit(phantom_copy, "val").records[0].image
    shutil.copy(source, target)
    report = audit(phantom_copy)
    assert [p.kind for p in report.problems] == ["image in two splits"]


def test_shared_subjects_are_errors_and_cut_captions_warnings(phantom_copy: Path) -> None:
    name = "mask_sub-S00001_run-9.png"
    folder = phantom_copy / "Test_Folder"
    record = read_lvit(phantom_copy, "test").records[0]
    record.mask.rename(folder / "labelcol" / name)
    record.image.rename(folder / "img" / name.removeprefix("mask_"))
    table = folder / "Test_text.csv"
    table.write_text(table.read_text().replace(record.name, name))
    report = audit(phantom_copy, context_length=16)
    kinds = report.by_kind("warning")
    assert {p.kind for p in report.errors} == {"subject in two splits"}
    assert all("subject S00001" in p.message for p in report.errors)
    assert all(p.where.startswith("Train_Folder") for p in report.errors)
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
