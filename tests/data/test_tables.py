"""The one reader of tables: what is read, what is refused, and at what cost."""

import io
import os
import unicodedata
import zipfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalseg.data.lvit import read_captions, read_lvit, scan_split
from causalseg.errors import InputError
from causalseg.inference import requests
from causalseg.inputs import read_bytes, read_json, read_yaml
from causalseg.inputs.tables import read_table as read_rows

TEXT = "Unilateral pulmonary infection, one infected area, lower left lung."
COLUMNS = ("Image", "Description")


def saved(folder: Path, content: str | bytes, name: str = "Train_text.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def captions(path: Path) -> list[tuple[str, str]]:
    return [(name, text) for _, name, text in read_captions(path)]


@pytest.mark.parametrize(
    "content",
    [
        f'Image,Description\na.png,"{TEXT}"\n',
        f'Image, Description\na.png, "{TEXT}"\n',
        f'Image ,Description \n a.png ,"{TEXT}" \n',
        f'"Image" ,"Description"\n"a.png"  ,  "{TEXT}"\t\n',
        f"Image;Description\na.png;{TEXT}\n",
        f"Image\tDescription\na.png\t{TEXT}\n",
        f"sep=;\nImage;Description\na.png;{TEXT}\n",
        f'\ufeffimage,DESCRIPTION\r\na.png,"{TEXT}"\r\n\r\n,\r\n',
        f'Image,Description,,\na.png,"{TEXT}",,\n',
        f'Note,Description,Image\nx,"{TEXT}",a.png\n',
        f'\n ,\nImage,Description\na.png,"{TEXT}"\n',
        f'Image,Description\na.png,"{TEXT}",,\n',
        f'Image,Description\na.png,"{TEXT}"\n'.encode("utf-16"),
    ],
)
def test_every_common_form_of_a_csv_reads_the_same(tmp_path: Path, content: str) -> None:
    assert captions(saved(tmp_path, content)) == [("a.png", TEXT)]


def test_a_doubled_quote_beside_blanks_stays(tmp_path: Path) -> None:
    path = saved(tmp_path, 'Image,Description\na.png,"the ""left"" , or ""right"""\n')
    assert captions(path) == [("a.png", 'the "left" , or "right"')]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"Image,Description\nb.png,fine\na.png,{TEXT}\n", r"row 3: .*double quotes"),
        ("Image,Description,Description\na.png,x,y\n", "Description 2 times"),
        ("Image,Description, description \na.png,x,y\n", "Description 2 times"),
        ("Image,Text\na.png,x\n", r"lacks the column.* Description"),
        ("Image,Description\na.png,Lunge rückwärts\n".encode("cp1252"), r"line 2.*Windows-1252"),
        ('Image,Description\na.png,"open\n', "well-formed"),
        ("Image,Description\na.png," + "x" * 2_000_000, "line 2 has no end"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, "encrypted"),
    ],
)
def test_what_would_be_cut_or_guessed_is_refused(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_captions(saved(tmp_path, content))


def test_a_cut_row_fails_the_check_of_a_set(phantom_copy: Path) -> None:
    table = phantom_copy / "Train_Folder" / "Train_text.csv"
    table.write_text(table.read_text().replace('"', ""))
    scan = scan_split(phantom_copy, "train")
    assert {p.kind for p in scan.problems} == {"broken row"}
    assert not scan.records


def test_two_columns_of_one_name_are_refused_for_prompts_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="text 2 times"):
        requests.read_requests(saved(tmp_path, "image,text,text\na.png,x,y\n"))


@pytest.mark.parametrize(
    "word", ["N/A", "nan", "None.", "#REF!", " ", "-", "0.0", "\u200b", "(not available)", "TRUE"]
)
def test_a_placeholder_is_no_caption(phantom_copy: Path, tmp_path: Path, word: str) -> None:
    record = read_lvit(phantom_copy, "train").records[0]
    table = phantom_copy / "Train_Folder" / "Train_text.csv"
    table.write_text(table.read_text().replace(record.caption, word))
    assert {p.kind for p in scan_split(phantom_copy, "train").problems} == {"empty caption"}
    plan = requests.read_requests(saved(tmp_path, f"image,text\na.png,{word}\n", "p.csv"))
    assert [f.row for f in plan.failures] == [1]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_match_in_either_form_of_unicode_and_in_any_case(
    phantom_copy: Path, tmp_path: Path, form: str
) -> None:
    folder = phantom_copy / "Train_Folder"
    record = read_lvit(phantom_copy, "train").records[0]
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "Röntgen_é")
    record.mask.rename(folder / "labelcol" / f"mask_{other}.PNG")
    record.image.rename(folder / "img" / f"{other}.PNG")
    table = folder / "Train_text.csv"
    name = unicodedata.normalize(form, "mask_Röntgen_é.png")
    table.write_text(table.read_text().replace(record.name, name))
    first = read_lvit(phantom_copy, "train").records[0]
    assert first.name == unicodedata.normalize("NFC", name)
    assert first.image.exists()
    prompts = saved(
        folder / "img", f"image,text\n{unicodedata.normalize(form, 'röntgen_é.png')},x\n", "p.csv"
    )
    (item,) = requests.read_requests(prompts).items
    assert os.path.exists(item.image)


def test_names_that_differ_by_case_alone_are_two_files(phantom_copy: Path) -> None:
    folder = phantom_copy / "Train_Folder"
    record = read_lvit(phantom_copy, "train").records[0]
    upper = record.name.replace("mask_sub", "mask_SUB")
    for path, name in ((record.mask, upper), (record.image, upper.removeprefix("mask_"))):
        (path.parent / name).write_bytes(path.read_bytes())
    table = folder / "Train_text.csv"
    table.write_text(table.read_text() + f'{upper},"{record.caption}"\n')
    found = {r.name: r.mask.name for r in read_lvit(phantom_copy, "train").records}
    assert found[upper] == upper
    assert found[record.name] == record.name


def workbook(path: Path, **sheets: list[list[object]]) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return book


TABLE: list[list[object]] = [[" image", "Description "], [" a.png ", TEXT]]


def rewritten(path: Path, member: str, old: bytes, new: bytes) -> None:
    """Change bytes of one part of an .xlsx, as programs do that write it wrongly."""
    source = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            # openpyxl writes an empty element in another way where lxml is installed.
            content = source.read(name).replace(b"<v></v>", b"<v />")
            if name == member:
                assert old in content
                content = content.replace(old, new)
            target.writestr(name, content)


def test_a_workbook_is_read_whole_whatever_size_it_states(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    workbook(path, one=[*TABLE, ["b.png", "x"]])
    rewritten(path, "xl/worksheets/sheet1.xml", b'ref="A1:B3"', b'ref="A1"')
    assert captions(path) == [("a.png", TEXT), ("b.png", "x")]
    assert captions(path.rename(tmp_path / "t.csv")) == [("a.png", TEXT), ("b.png", "x")]


def test_a_workbooks_escapes_are_no_words(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    workbook(path, one=[TABLE[0], ["a.png", "lower_x000D_ left lung"]])
    assert captions(path) == [("a.png", "lower\r left lung")]


def test_the_visible_sheet_with_the_columns_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    book = workbook(path, old=[TABLE[0], ["a.png", "outdated"]], notes=[["hello"]], now=TABLE)
    book["old"].sheet_state = "hidden"
    book.save(path)
    assert captions(path) == [("a.png", TEXT)]
    book["old"].sheet_state = "visible"
    book.save(path)
    with pytest.raises(InputError, match="'old' and 'now'"):
        read_captions(path)
    workbook(path, only=[["hello"]])
    with pytest.raises(InputError, match="lacks the column"):
        read_captions(path)


def test_formulas_count_by_their_stored_value(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    workbook(path, one=[TABLE[0], ["a.png", '="lower "&"left lung"'], ["b.png", "x"]])
    (bad, good) = read_rows(path, COLUMNS)
    assert bad.problem is not None
    assert "formula" in bad.problem
    assert (good.number, good.problem) == (3, None)
    rewritten(path, "xl/worksheets/sheet1.xml", b"<v />", b"<v>lower left lung</v>")
    rewritten(path, "xl/worksheets/sheet1.xml", b'<c r="B2">', b'<c r="B2" t="str">')
    assert captions(path)[0] == ("a.png", "lower left lung")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'<row r="2"', b'<row r="99999999999"'),
        (b'<row r="2"', b'<row r="1048577"'),
        (b'r="A2"', b'r="XFD2"'),
        (b"<?xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><?xml"),
        (b"<sheetData>", b"<sheetData"),
    ],
)
def test_a_sheet_that_would_cost_without_end_is_refused(
    tmp_path: Path, old: bytes, new: bytes
) -> None:
    path = tmp_path / "t.xlsx"
    workbook(path, one=TABLE)
    content = zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml")
    rewritten(
        path, "xl/worksheets/sheet1.xml", content, (b"<?xml?>" + content).replace(old, new, 1)
    )
    with pytest.raises(InputError, match=r"t\.xlsx"):
        read_captions(path)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    workbook(path, one=TABLE)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/x.bin", bytes(60 << 20))
    with pytest.raises(InputError, match="unpacks to more"):
        read_captions(path)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5), st.sampled_from(",;\t"))
def test_what_the_csv_module_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], separator: str
) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL)
        writer.writerows([COLUMNS, *rows])
    plain = [tuple(unicodedata.normalize("NFC", c).strip() for c in row) for row in rows]
    assert captions(path) == [row for row in plain if any(row)]


def test_only_regular_files_of_valid_names_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    bad = os.fsencode(tmp_path) + b"/\xff.csv"
    Path(os.fsdecode(bad)).write_bytes(b"Image,Description\n")
    for path, message in (
        (tmp_path / "pipe", "pipe"),
        (Path("/dev/zero"), "device"),
        (Path(os.fsdecode(bad)), "not valid UTF-8"),
        (tmp_path, "directory"),
        (tmp_path / ("x" * 300), "cannot be read"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read_captions(path)
        assert str(caught.value).encode()
    with pytest.raises(InputError, match="limit"):
        read_bytes(saved(tmp_path, b"x" * 100), limit=0)


@pytest.mark.parametrize(
    "content",
    [
        "[1]",
        "[" * 100_000,
        '{"a": NaN}',
        '{"a": 1e999999}',
        '{"a": "\\ud800"}',
        '{"a": 1, "a": 2}',
        "{",
    ],
)
def test_json_is_an_object_of_finite_numbers_and_text(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"a\.json"):
        read_json(saved(tmp_path, content, "a.json"))


@pytest.mark.parametrize(
    "content",
    [
        "- 1",
        "a: [1, 2",
        "a: &x [1]\nb: *x",
        "a: 2020-99-99",
        "!!python/object:os.x {}",
        "[" * 9000,
        "a: {b: 1, b: 2}",
    ],
)
def test_yaml_is_a_plain_mapping(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"a\.yaml"):
        read_yaml(saved(tmp_path, content, "a.yaml"))


def test_linked_folders_are_followed_once_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "in").mkdir()
    (tmp_path / "store" / "deep").mkdir(parents=True)
    for place in ("in/a.png", "store/b.png", "store/deep/c.png"):
        Image.new("L", (8, 8)).save(tmp_path / place)
    (tmp_path / "in" / "linked").symlink_to("../store")
    (tmp_path / "in" / "loop").symlink_to(".")
    (tmp_path / "store" / "back").symlink_to("../in")
    (tmp_path / "in" / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/in/\xff.png")).write_bytes(b"x")
    plan = requests.plan_images([str(tmp_path / "in")], ["x"])
    found = [os.path.relpath(item.image, tmp_path / "in") for item in plan.items]
    assert found == ["a.png", "linked/b.png", "linked/deep/c.png"]
    reasons = " ".join(f.reason for f in plan.failures)
    assert all(word in reasons for word in ("does not exist", "pipe", "UTF-8"))
    reasons.encode()


@pytest.mark.parametrize(
    "content", ["Image,Descr\niption\n", 'Image,"Descr\niption"\n', "a\rb,c\n1,2"]
)
def test_a_broken_header_is_named_in_one_line(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="lacks the column") as caught:
        read_rows(saved(tmp_path, content), COLUMNS)
    assert "\n" not in str(caught.value)
