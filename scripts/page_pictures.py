"""Take the pictures of the web page that the docs show; phantoms only, never a patient.

causalseg app --model CHECKPOINT &
python scripts/page_pictures.py http://127.0.0.1:7860 docs/images
"""

import argparse
import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MAX_BYTES = 300_000
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


SENTENCE = "Unilateral pulmonary infection, one infected area, lower left lung."


def phantom() -> bytes:
    """A drawn radiograph as PNG."""
    from causalseg.data.phantom import draw_phantom

    buffer = io.BytesIO()
    Image.fromarray(draw_phantom(np.random.default_rng(0)).image).save(buffer, format="PNG")
    return buffer.getvalue()


def shoot(page: Any, path: Path) -> None:
    """Save the first screen as PNG, of 256 colours where it would be large otherwise."""
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(700)  # Fades end.
    page.screenshot(path=path, full_page=False)
    with Image.open(path) as picture:
        full = picture.convert("RGB")
    full.save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        full.quantize(256).save(path, optimize=True)


def main() -> None:
    """Segment the first phantom by one sentence, then by two."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.set_default_timeout(60_000)
        page.goto(options.url)
        page.wait_for_selector("#segment")
        page.locator("#file input[type=file]").set_input_files(
            {"name": "phantom.png", "mimeType": "image/png", "buffer": phantom()}
        )
        page.wait_for_selector("#figures >> text=224 × 224 pixels")
        page.locator("#sentence textarea").fill(SENTENCE)
        page.locator("#segment").click()
        page.wait_for_selector("#figures .figures")
        shoot(page, options.folder / "page.png")
        page.locator("#compare button").first.click()
        page.locator("#swap").click()
        page.wait_for_function("document.querySelector('#edited textarea').value.length > 0")
        page.locator("#segment").click()
        page.wait_for_selector("#figures >> text=Edited against original")
        shoot(page, options.folder / "page-compare.png")
        browser.close()


if __name__ == "__main__":
    main()
