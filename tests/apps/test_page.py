"""The page as users see it: a process of its own, driven by a real headless Chromium."""

import json
import os
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from causalseg.apps import rle
from causalseg.cli.main import main

pytest.importorskip("gradio")

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
FIRST = "Unilateral pulmonary infection, one infected area, upper left lung."
SECOND = "Unilateral pulmonary infection, one infected area, upper right lung."


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def app(run_command, tiny_checkpoint, temporary):
    """Process and address of `causalseg app`."""
    return run_command("app", "--model", str(tiny_checkpoint), TMPDIR=str(temporary))


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        pytest.skip("no Chromium: set CHROMIUM to its path")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def visits(app, browser):
    """Opens the page, as a user of its own; in the end, no request may have left the host."""
    asked: list[str] = []
    context = browser.new_context(accept_downloads=True)  # Shared: it keeps the page's scripts.
    context.set_default_timeout(30_000)
    context.on("request", lambda request: asked.append(request.url))

    def open_page(query=""):
        page = context.new_page()
        page.goto(app[1] + query)
        page.wait_for_selector("#segment")
        return page

    yield open_page
    context.close()
    foreign = [url for url in asked if not url.startswith(("data:", "blob:"))]
    assert asked
    assert {urlsplit(url).hostname for url in foreign} == {"127.0.0.1"}


@pytest.fixture
def visit(visits):
    opened = []

    def open_page(query=""):
        opened.append(visits(query))
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()


def upload(page, path):
    page.locator("#file input[type=file]").set_input_files(path)


def press_segment(page):
    page.locator("#segment").click()


def wait_for_result(page):
    page.wait_for_selector("#results >> visible=true")
    page.wait_for_selector("#figures .figures")
    page.wait_for_selector("#segment:enabled >> text=Segment")


def sentence(page, text, which="sentence"):
    page.locator(f"#{which} textarea").fill(text)
    page.locator(f"#{which} textarea").blur()


def download(page, name, folder):
    with page.expect_download() as waiting:
        page.locator(f"#get-{name}").click()
    path = folder / f"{name}-{waiting.value.suggested_filename}"
    waiting.value.save_as(path)
    return path


@pytest.mark.browser
def test_upload_type_segment_edit_download(visit, segmenter, pixels, png, tmp_path):
    (tmp_path / "x.png").write_bytes(png)
    page = visit()
    assert "not a medical device" in page.locator("#notice").inner_text()
    upload(page, tmp_path / "x.png")
    page.wait_for_selector("#figures >> text=96 × 80 pixels")
    sentence(page, FIRST)
    press_segment(page)
    wait_for_result(page)
    page.locator("#compare button").first.click()
    page.locator("#swap").click()
    page.wait_for_function(
        "document.querySelector('#edited textarea').value.includes('upper right lung')"
    )
    press_segment(page)
    page.wait_for_selector("#figures >> text=Dice of the two masks")
    record = json.loads(download(page, "json", tmp_path).read_text())
    assert [mask["text"] for mask in record["masks"]] == [FIRST, SECOND]
    for name, found, text in zip(("png", "edited"), record["masks"], (FIRST, SECOND), strict=True):
        mask = np.asarray(Image.open(download(page, name, tmp_path)))
        expected = segmenter(pixels, text).probability >= found["threshold"]
        assert (mask == expected * 255).mean() > 0.999  # Two texts run as one batch.
        assert np.array_equal(rle.decode(found["mask"]), mask // 255)
    assert page.locator("#get-dicom").is_hidden()
    assert page.locator("#history input").count() == 2

    # The slider draws the line anew, and two empty masks are not called alike.
    page.locator("#threshold input[type=number]").fill("1")
    page.locator("#threshold input[type=number]").press("Enter")
    page.wait_for_selector(".figures >> text=No pixel reaches the probability 1.00")
    page.wait_for_selector(".figures >> text=there is nothing to compare")
    # The next answer starts at the model's own threshold again.
    press_segment(page)
    page.wait_for_selector("#figures >> text=Dice of the two masks")


@pytest.mark.browser
def test_a_mask_is_corrected_undone_and_downloaded(visit, to_png, tmp_path):
    (tmp_path / "x.png").write_bytes(to_png(np.full((64, 64), 90, np.uint8)))
    page = visit()
    upload(page, tmp_path / "x.png")
    page.wait_for_selector("#figures >> text=64 × 64 pixels")
    press_segment(page)
    wait_for_result(page)
    page.locator("#threshold input[type=number]").fill("1")
    page.locator("#threshold input[type=number]").press("Enter")
    page.wait_for_selector(".figures >> text=Nothing is marked")
    page.locator("[data-tool=brush]").click()
    box = page.locator(".viewer-stage canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 20, steps=4)
    page.mouse.up()
    page.wait_for_selector(".figures >> text=Corrected by hand")
    mask = np.asarray(Image.open(download(page, "png", tmp_path)))
    assert mask[32, 32] == 255
    assert 0 < (mask > 0).sum() < mask.size / 4
    page.locator("[data-do=undo]").click()
    page.wait_for_selector(".figures >> text=Nothing is marked")


@pytest.mark.browser
def test_dicom_shows_its_sides_and_area_and_gives_a_segmentation(
    visit, pixels, make_dicom, tmp_path
):
    from causalseg.inference.formats.seg import read_seg

    (tmp_path / "DoeJane").write_bytes(make_dicom(pixels))
    page = visit()
    upload(page, tmp_path / "DoeJane")
    page.wait_for_selector("#figures >> text=DX · CHEST, 96 × 80 pixels, 0.5 × 0.25 mm each")
    page.wait_for_selector(".edge-left >> text=R")
    assert page.locator(".edge-right").inner_text() == "L"
    press_segment(page)
    page.wait_for_selector(".figures >> text=mm²")
    assert "does not record on which modality" in page.locator("#status").inner_text()
    path = download(page, "dicom", tmp_path)
    assert path.name == "dicom-segmentation.dcm"
    record = json.loads(download(page, "json", tmp_path).read_text())["masks"][0]
    mask = rle.decode(record["mask"])
    assert np.array_equal(read_seg(path)[0, ..., 0], mask)
    assert record["area_mm2"] == pytest.approx(mask.sum() * 0.125)


@pytest.mark.browser
def test_image_sentence_button_and_answer_share_the_first_screen(visit, png, tmp_path):
    (tmp_path / "x.png").write_bytes(png)
    page = visit()
    page.set_viewport_size({"width": 1366, "height": 650})
    upload(page, tmp_path / "x.png")
    page.wait_for_selector("#figures >> text=96 × 80 pixels")
    for width, height in ((1366, 650), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        press_segment(page)
        wait_for_result(page)
        page.wait_for_timeout(300)
        for name in (".viewer-stage", "#sentence", "#segment", "#figures .figures"):
            box = page.locator(name).first.bounding_box()
            assert box["y"] > -1, (name, width)
            assert box["y"] + box["height"] < height + 1, (name, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_and_names_keep_to_wcag_aa(visit, make_dicom, pixels, theme, tmp_path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    (tmp_path / "x").write_bytes(make_dicom(pixels))
    page = visit(f"/?__theme={theme}")
    page.set_viewport_size({"width": 1366, "height": 768})
    upload(page, tmp_path / "x")
    page.wait_for_selector("#figures >> text=96 × 80 pixels")
    press_segment(page)
    wait_for_result(page)
    page.mouse.move(0, 0)
    page.wait_for_timeout(700)  # Fades end.
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    found = axe.run(page, options=rules).response["violations"]
    assert not [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


@pytest.mark.browser
def test_controls_write_the_sentence_and_typing_sets_the_controls(visit):
    page = visit()
    page.locator("#side label", has_text="both").click()
    page.locator("#right-zones label", has_text="upper").click()
    page.locator("#count input[type=number]").fill("2")
    expected = "two infected areas, lower left lung and upper right lung."
    page.wait_for_function(
        f"document.querySelector('#sentence textarea').value.endsWith('{expected}')"
    )
    page.wait_for_timeout(1000)  # The clicks' own answers come one by one; the last must be in.
    sentence(page, SECOND)
    page.wait_for_selector("#left-zones", state="hidden")
    assert page.locator("#right-zones input:checked").count() == 1
    assert page.locator("#side input:checked").input_value() == "right"


@pytest.mark.browser
def test_bad_files_are_refused_in_words_and_the_page_goes_on(visit, png, tmp_path):
    bad = {
        "<img src=x onerror=alert(1)>.png": (b"no image", "not a readable image"),
        "cut.png": (png[:200], "damaged or truncated"),
        "empty.dcm": (b"", "empty"),
        "volume.nii.gz": (b"\x1f\x8b\x08\0", "causalseg predict"),
    }
    page = visit()
    page.on("dialog", lambda dialog: pytest.fail("a file name was run as a script"))
    press_segment(page)
    page.wait_for_selector("#status [role=alert] >> text=choose an image first")
    for name, (content, said) in bad.items():
        (tmp_path / name).write_bytes(content)
        upload(page, tmp_path / name)
        page.wait_for_selector(f"#status [role=alert] >> text={said}")
    (tmp_path / "x.png").write_bytes(png)
    upload(page, tmp_path / "x.png")
    page.wait_for_selector("#figures >> text=96 × 80 pixels")
    sentence(page, "   ")
    press_segment(page)
    page.wait_for_selector("#status [role=alert] >> text=the text is empty")
    sentence(page, FIRST)
    press_segment(page)
    wait_for_result(page)


@pytest.mark.browser
def test_two_users_at_once_get_their_own_results(visit, to_png, tmp_path):
    users = []
    for side, text in ((64, FIRST), (128, SECOND)):
        path = tmp_path / f"{side}.png"
        path.write_bytes(to_png(np.eye(side, dtype=np.uint8) * 255))
        page = visit()
        upload(page, path)
        page.wait_for_selector(f"#figures >> text={side} × {side} pixels")
        sentence(page, text)
        users.append((page, side, text))
    for page, _, _ in users:
        press_segment(page)
    for page, side, text in users:
        wait_for_result(page)
        record = json.loads(download(page, "json", tmp_path).read_text())["masks"][0]
        assert (record["height"], record["text"]) == (side, text)


def test_a_path_in_a_request_is_not_opened(app, png, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png)
    file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    with httpx.Client(base_url=f"{app[1]}/gradio_api", timeout=30) as client:
        load = client.get("/../config").json()["dependencies"][0]["id"]
        client.post("/queue/join", json={"data": [file], "fn_index": load, "session_hash": "s"})
        with client.stream("GET", "/queue/data", params={"session_hash": "s"}) as stream:
            events = [json.loads(line[5:]) for line in stream.iter_lines() if line[:5] == "data:"]
        assert client.get(f"/file={secret}").status_code in (403, 404)
    done = [event for event in events if event["msg"] == "process_completed"]
    assert [event["success"] for event in done] == [False]


def test_other_names_and_other_pages_are_refused(app):
    port = urlsplit(app[1]).port
    assert httpx.get(app[1], headers={"Host": f"evil.example:{port}"}).status_code == 403
    assert httpx.get(app[1], headers={"Origin": "http://evil.example"}).status_code == 403
    assert httpx.get(f"{app[1]}/config").status_code == 200


def test_what_was_uploaded_is_gone_when_the_page_ends(app, temporary):
    process, _ = app
    assert list(temporary.glob("causalseg-*"))
    assert oct(next(temporary.glob("causalseg-*")).stat().st_mode)[-3:] == "700"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not [path for path in temporary.iterdir() if Path(path).name.startswith("causalseg")]


def test_an_address_that_cannot_be_bound_is_said(tiny_checkpoint, capsys, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # Leave pytest's own handlers alone.
    arguments = ["app", "--model", str(tiny_checkpoint), "--port", "99999"]
    assert main(arguments) == 2
    assert "--port 99999 cannot be bound" in capsys.readouterr().err
