import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image

from causalseg.data.images import read_image
from causalseg.data.lvit import find_table, read_captions, read_lvit
from causalseg.data.manifest import subject_of
from causalseg.errors import InputError


def rows_of(root: Path, split: str = "Train") -> list[list[str]]:
    with (root / f"{split}_Folder" / f"{split}_text.csv").open(newline="") as file:
        return list(csv.reader(file))


def write_rows(root: Path, rows: list[list[str]], split: str = "Train") -> None:
    with (root / f"{split}_Folder" / f"{split}_text.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def to_xlsx(table: Path) -> None:
    book = openpyxl.Workbook()
    with table.open(newline="") as file:
        for row in csv.reader(file):
            book.active.append(row)
    book.active.append([None, None])  # Spreadsheets often end in blank rows.
    book.save(table.with_suffix(".xlsx"))
    table.unlink()


def test_reads_rows_in_order_with_subjects(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "train")
    rows = rows_of(small_phantoms)[1:]
    assert [[r.name, r.caption] for r in manifest.records] == rows
    first = manifest.records[0]
    assert first.name == f"mask_{first.image.name}"
    assert first.subject == "S00001"
    assert first.domain == small_phantoms.name
    assert manifest.left_out == ()


def test_xlsx_and_other_image_formats_read_the_same(phantom_copy: Path) -> None:
    before = read_lvit(phantom_copy, "train")
    pixels = [read_image(record.image) for record in before.records]
    for i, record in enumerate(before.records):
        suffix = (".tif", ".bmp", ".png")[i % 3]
        image = Image.open(record.image).copy()
        record.image.unlink()
        image.save(record.image.with_suffix(suffix))
    to_xlsx(phantom_copy / "Train_Folder" / "Train_text.csv")
    after = read_lvit(phantom_copy, "train")
    assert [(r.name, r.caption) for r in after.records] == [
        (r.name, r.caption) for r in before.records
    ]
    for record, expected in zip(after.records, pixels, strict=True):
        np.testing.assert_array_equal(read_image(record.image), expected)


def test_an_image_may_keep_the_masks_own_name(phantom_copy: Path) -> None:
    folder = phantom_copy / "Val_Folder" / "img"
    for path in list(folder.iterdir()):
        path.rename(folder / f"mask_{path.name}")
    assert len(read_lvit(phantom_copy, "val")) == 3


def first_record(root: Path) -> tuple[Path, Path]:
    name = rows_of(root)[1][0]
    folder = root / "Train_Folder"
    return folder / "img" / name.removeprefix("mask_"), folder / "labelcol" / name


def lose_image(root: Path) -> None:
    first_record(root)[0].unlink()


def lose_mask(root: Path) -> None:
    first_record(root)[1].unlink()


def shrink_mask(root: Path) -> None:
    path = first_record(root)[1]
    Image.open(path).resize((32, 32), Image.Resampling.NEAREST).save(path)


def grey_mask(root: Path) -> None:
    path = first_record(root)[1]
    Image.open(path.parent.parent / "img" / path.name.removeprefix("mask_")).save(path)


def truncate_image(root: Path) -> None:
    path = first_record(root)[0]
    path.write_bytes(path.read_bytes()[:900])


def folder_for_mask(root: Path) -> None:
    path = first_record(root)[1]
    path.unlink()
    path.mkdir()


def empty_caption(root: Path) -> None:
    rows = rows_of(root)
    rows[1][1] = "   "
    write_rows(root, rows)


def duplicate_row(root: Path) -> None:
    rows = rows_of(root)
    write_rows(root, [*rows, [rows[1][0], "another caption"]])


def drop_row(root: Path) -> None:
    rows = rows_of(root)
    write_rows(root, [rows[0], *rows[2:]])


def two_images(root: Path) -> None:
    path = first_record(root)[0]
    Image.open(path).save(path.with_suffix(".bmp"))


def same_as_test(root: Path) -> None:
    other = next(iter(sorted((root / "Test_Folder" / "img").iterdir())))
    shutil.copy(other, first_record(root)[0])


BREAKS: dict[str, tuple[Callable[[Path], None], int]] = {
    # kind of problem: (how to make it, rows that remain of 21)
    "missing image": (lose_image, 20),
    "missing mask": (lose_mask, 20),
    "size mismatch": (shrink_mask, 20),
    "non-binary mask": (grey_mask, 20),
    "unreadable image": (truncate_image, 20),
    "unreadable mask": (folder_for_mask, 20),
    "empty caption": (empty_caption, 20),
    "duplicate row": (duplicate_row, 21),
    "unmatched file": (drop_row, 20),
    "ambiguous image": (two_images, 20),
    "image in two splits": (same_as_test, 20),
}


@pytest.mark.parametrize("kind", list(BREAKS))
def test_an_error_refuses_the_set_or_is_recorded(phantom_copy: Path, kind: str) -> None:
    damage, remaining = BREAKS[kind]
    damage(phantom_copy)
    with pytest.raises(InputError, match="causalseg data check"):
        read_lvit(phantom_copy, "train")
    manifest = read_lvit(phantom_copy, "train", allow_problems=True)
    assert kind in {problem.kind for problem in manifest.left_out}
    assert all(problem.where.startswith("Train_Folder") for problem in manifest.left_out)
    assert len(manifest) == remaining
    if kind == "duplicate row":
        assert manifest.records[0].caption != "another caption", "the first row counts"


def test_a_leak_refuses_the_test_split_but_is_left_out_of_training(phantom_copy: Path) -> None:
    same_as_test(phantom_copy)
    with pytest.raises(InputError, match="byte-identical"):
        read_lvit(phantom_copy, "test")
    whole = read_lvit(phantom_copy, "test", allow_problems=True)
    assert (len(whole), whole.left_out) == (6, ())


def test_an_error_in_one_split_leaves_the_others_usable(phantom_copy: Path) -> None:
    lose_image(phantom_copy)
    assert len(read_lvit(phantom_copy, "val")) == 3


def test_unusable_sets_say_what_is_wrong(phantom_copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        read_lvit(tmp_path / "nowhere", "train")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="Train_Folder"):
        read_lvit(tmp_path / "bare", "train")
    table = phantom_copy / "Train_Folder" / "Train_text.csv"
    content = table.read_text()
    table.write_text(content.replace("Description", "Caption"))
    with pytest.raises(InputError, match=r"lacks the column.* Description"):
        read_lvit(phantom_copy, "train")
    table.write_bytes(b"Image,Description\na,\xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_lvit(phantom_copy, "train")
    table.unlink()
    with pytest.raises(InputError, match="no Train_text"):
        read_lvit(phantom_copy, "train")
    table.with_suffix(".xlsx").write_text("not a zip")
    with pytest.raises(InputError, match=r"not a readable \.xlsx"):
        read_lvit(phantom_copy, "train")
    table.write_text(content)
    with pytest.raises(InputError, match="keep the one"):
        read_lvit(phantom_copy, "train")


def test_a_set_may_have_one_split(phantom_copy: Path) -> None:
    shutil.rmtree(phantom_copy / "Train_Folder")
    shutil.rmtree(phantom_copy / "Val_Folder")
    assert len(read_lvit(phantom_copy, "test")) == 6
    with pytest.raises(InputError, match="it has Test_Folder"):
        read_lvit(phantom_copy, "train")


def test_fingerprint_follows_content_and_not_order(phantom_copy: Path) -> None:
    def fingerprint() -> str:
        return read_lvit(phantom_copy, "train").fingerprint()

    rows = rows_of(phantom_copy)
    original = fingerprint()
    write_rows(phantom_copy, [rows[0], *rows[:0:-1]])
    assert fingerprint() == original
    rows[1][1] += " "
    rows[2][1] = "Unilateral pulmonary infection, one infected area, all left lung."
    write_rows(phantom_copy, rows)
    assert fingerprint() != original


def test_limit_is_a_reproducible_slice(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "train")
    some = manifest.limit(5, seed=1)
    assert some.records == manifest.limit(5, seed=1).records
    assert len(some) == 5
    assert some.records != manifest.limit(5, seed=2).records
    assert [r for r in manifest.records if r in some.records] == list(some.records)
    assert manifest.limit(None).records == manifest.limit(10_000).records == manifest.records


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("mask_sub-S08047_ses-E16280_run-1_bp-chest_vp-ap_dx.png", "S08047"),
        ("sub-S00012_run-1.png", "S00012"),
        ("seq03_051.png", "seq03"),
        ("mask_covid_2077.png", None),
        ("TCGA-21-5784-01Z-00-DX1.png", None),
        ("patient001_2.png", "patient001"),
        ("mask_Subject-12.png", "Subject-12"),
        ("patient3b.png", None),
    ],
)
def test_subjects_are_read_from_names(name: str, subject: str | None) -> None:
    assert subject_of(name) == subject


@pytest.mark.realdata
def test_monuseg_reads_from_xlsx_at_native_tif(data_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "MoNuSeg"
    shutil.copytree(data_root / "MoNuSeg", root)
    for path in (root / "Test_Folder" / "img").iterdir():
        path.chmod(0o644)
        Image.open(path).resize((1000, 1000)).save(path.with_suffix(".tif"))
        path.unlink()
    for path in (root / "Test_Folder" / "labelcol").iterdir():
        Image.open(path).resize((1000, 1000), Image.Resampling.NEAREST).save(path)
    to_xlsx(root / "Test_Folder" / "Test_text.csv")
    manifest = read_lvit(root, "test")
    assert len(manifest) == 14
    assert read_image(manifest.records[0].image).shape == (1000, 1000, 3)


@pytest.mark.realdata
def test_the_other_texts_beside_qata_are_not_taken(qata_root: Path) -> None:
    table = find_table(qata_root / "Test_Folder", "test")
    assert table.name == "Test_text.csv"
    assert len(read_captions(table)) == 2113
