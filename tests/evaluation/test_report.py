"""The report builder: escaping, and the page in a real browser without network."""

import numpy as np
import pytest

from causalseg.evaluation.plots import histogram
from causalseg.evaluation.report import Report


@pytest.fixture
def page(tmp_path):
    report = Report("A <title>", "Lead & more")
    report.heading("Numbers")
    report.table(("a", "b"), [("<script>x</script>", 0.123456)] * 3, "note")
    report.table([f"column {i}" for i in range(30)], [range(30)])
    report.figure(histogram(np.linspace(0, 1, 50), "Dice"), "a figure")
    report.pictures([(np.full((40, 60), 7 * i, np.uint8), f"case {i}") for i in range(5)])
    path = tmp_path / "report.html"
    report.write(path)
    return path


def test_text_is_escaped_and_numbers_are_short(page):
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;x&lt;/script&gt;" in text
    assert "0.1235" in text
    assert "A &lt;title&gt;" in text


def test_rows_must_fit_their_header():
    with pytest.raises(ValueError, match="zip"):
        Report("t", "l").table(("a", "b"), [(1, 2, 3)])


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1200])
def test_page_in_a_browser(page, width):
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = launch(playwright, api.Error)
        context = browser.new_context(viewport={"width": width, "height": 800}, offline=True)
        tab, trouble = context.new_page(), []
        tab.on("console", lambda message: trouble.append(message.text))
        tab.on("requestfailed", lambda request: trouble.append(request.url))
        tab.goto(page.as_uri())
        assert tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        # Wide tables scroll in their own box; the page itself never scrolls sideways.
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert trouble == []
        browser.close()


def launch(playwright, error):
    for options in ({}, {"executable_path": "/usr/bin/chromium"}):
        try:
            return playwright.chromium.launch(args=["--no-sandbox"], **options)
        except error:
            continue
    pytest.skip("no Chromium can be started here: 'playwright install chromium'")
