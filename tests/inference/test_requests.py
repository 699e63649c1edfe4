"""Prompt tables and folders: what is read, what is refused, and names that stay inside --out."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from causalseg.errors import InputError
from causalseg.inference.formats import short_path
from causalseg.inference.requests import Item, name_items, plan_images, read_requests


def table(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_rows_of_one_image_come_together(tmp_path):
    plan = read_requests(
        table(tmp_path, '\ufeffImage,text\na.png,"one, two"\nb.dcm,x\na.png, y  z \n')
    )
    assert [(i.image, [p.text for p in i.prompts], i.row) for i in plan.items] == [
        (str(tmp_path / "a.png"), ["one, two", "y z"], 1),
        (str(tmp_path / "b.dcm"), ["x"], 2),
    ]
    assert plan.items[0].name == "a"
    assert plan.items[1].name.startswith("scan-")
    assert "b.dcm" not in plan.items[1].label
    assert plan.failures == ()


def test_json_lines_and_slices(tmp_path):
    lines = [{"image": "v.nii", "text": "a", "slice": 0}, {"image": "v.nii", "text": "b"}]
    text = "\n".join(map(json.dumps, lines)) + "\nnot json\n[1]\n" + "[" * 100_000 + "\n"
    plan = read_requests(table(tmp_path, text, "t.jsonl"))
    assert [(p.text, p.slice) for p in plan.items[0].prompts] == [("a", 0), ("b", None)]
    assert [failure.row for failure in plan.failures] == [3, 4, 5]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",x", "image is empty"),
        ("a.png,", "text is empty"),
        ("a.png,   ", "text is empty"),
        ("a.png", "text is empty"),
        ("a.png,one, two", "double quotes"),
        ("a\0.png,x", "NUL"),
        ("a.png,x\0y", "control characters"),
        (f"a.png,{'x' * 1001}", "1001 characters"),
    ],
)
def test_bad_rows_fail_alone(tmp_path, row, reason):
    plan = read_requests(table(tmp_path, f"image,text\n{row}\ngood.png,fine\n"))
    assert [item.name for item in plan.items] == ["good"]
    assert len(plan.failures) == 1
    assert reason in plan.failures[0].reason
    assert plan.failures[0].row == 1


@pytest.mark.parametrize("value", ["-1", "1.5", "x", "1e3"])
def test_bad_slices(tmp_path, value):
    plan = read_requests(table(tmp_path, f"image,text,slice\na.nii,x,{value}\n"))
    assert "slice" in plan.failures[0].reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "columns"),
        (b"image,text\n", "no rows"),
        (b"picture,text\na,b\n", "columns"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b'image,text\na.png,"unclosed\n', "well-formed"),
        (b"image,text\na.png," + b"x" * 200_000, "well-formed"),
    ],
)
def test_unusable_tables(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_requests(path)


def test_missing_table(tmp_path):
    for path in (tmp_path / "absent.csv", tmp_path, Path("a\0b")):
        with pytest.raises(InputError, match=r"does not exist|is a directory|cannot be read"):
            read_requests(path)


images = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(
            ["../../etc/passwd.png", "a/x.png", "b/x.png", "b/X.PNG", "x\ny.png", ".png", "..png"]
        ),
        st.text(max_size=30).map(lambda stem: stem + ".png"),
    ),
    min_size=1,
    max_size=12,
    unique=True,
)


@given(images=images)
def test_names_are_unique_and_harmless(images):
    named = name_items([Item(i, image, ()) for i, image in enumerate(images)])
    names = [item.name for item in named]
    assert len({name.lower() for name in names}) == len(names)
    for item in named:
        assert Path("/out", item.name).resolve().parent == Path("/out")
        assert item.name.isascii()
        assert all(c.isalnum() or c in "._-" for c in item.name)
        assert not item.name.startswith(".")
        assert 0 < len(item.name) <= 100
        assert item.label.isprintable()
    again = name_items([Item(i, image, ()) for i, image in enumerate(images)])
    assert [item.name for item in again] == names


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_any_table_is_read_or_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(b"image,text\n" * (name == "t.csv") + content)
    try:
        plan = read_requests(path)
    except InputError:
        return
    assert all(prompt.text.strip() for item in plan.items for prompt in item.prompts)


def test_folders_are_searched_and_others_counted(tmp_path):
    for name in ("b/2.png", "b/1.bmp", "a.jpg", ".hidden/x.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "truncated.png").write_bytes(b"")
    plan = plan_images([str(tmp_path)], ["x", "y"])
    found = [str(Path(item.image).relative_to(tmp_path)) for item in plan.items]
    assert found == ["a.jpg", "truncated.png", "b/1.bmp", "b/2.png"]
    assert plan.ignored == 1
    assert all(len(item.prompts) == 2 for item in plan.items)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="without an image"):
        plan_images([str(tmp_path / "empty")], ["x"])
    with pytest.raises(InputError, match="no text"):
        plan_images(["a.png"], [])
    with pytest.raises(InputError, match="empty"):
        plan_images(["a.png"], ["  "])


def test_shown_paths_fit_one_line():
    assert short_path("a\nb\x1b[31m\0") == r"a\nb\x1b[31m\x00"
    assert len(short_path("x" * 1000)) < 200


def test_no_name_is_made_to_be_anothers_or_the_tables() -> None:
    crafted = [Item(1, "a/x.png", ()), Item(2, "b/x.png", ()), Item(3, "scan.dcm", ())]
    names = [item.name for item in name_items(crafted)]
    taken = [Item(4 + i, f"{name}.png", ()) for i, name in enumerate([*names, "index.csv"])]
    every = [item.name.lower() for item in name_items([*crafted, *taken])]
    assert len({*every, "index.csv"}) == 8
