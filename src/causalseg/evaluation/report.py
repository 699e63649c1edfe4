"""One self-contained HTML page: pictures inside, no network, readable on a phone."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.files import write_bytes
from causalseg.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CaptionedPicture = tuple[NDArray[np.uint8], str]

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff;
  max-width: 62rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
.lead { font-size: 1.1rem; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid #d8d8d8; text-align: left;
  vertical-align: top; }
th { border-bottom: 2px solid #888; } .note { color: #4d4d4d; font-size: .9rem; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; }
.row { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(46%, 15rem), 1fr)); }
.row figure { margin: 0; } .row img { width: 100%; image-rendering: auto; }
figcaption { font-size: .88rem; color: #333; }
footer { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: .6rem; color: #4d4d4d;
  font-size: .85rem; }
"""


class Report:
    """Collects sections in order and writes them as one page. All text is escaped."""

    def __init__(self, title: str, lead: str) -> None:
        self._title = title
        self._parts = [f"<h1>{_text(title)}</h1>", f'<p class="lead">{_text(lead)}</p>']

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{_text(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Add running text."""
        self._parts.append(f"<p>{_text(text)}</p>")

    def table(
        self, header: Sequence[str], rows: Iterable[Sequence[object]], note: str = ""
    ) -> None:
        """Add a table whose rows are as long as its header; wide ones scroll sideways."""
        head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in header)
        body = "".join(
            "<tr>"
            + "".join(f"<td>{_text(cell)}</td>" for _, cell in zip(header, row, strict=True))
            + "</tr>"
            for row in rows
        )
        self._parts.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
        if note:
            self._parts.append(f'<p class="note">{_text(note)}</p>')

    def figure(self, figure: "Figure", caption: str) -> None:
        """Add a matplotlib figure with its caption below."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
        self._parts.append(_image(buffer.getvalue(), caption))

    def pictures(self, pictures: Iterable[CaptionedPicture]) -> None:
        """Add a grid of uint8 pictures (H, W[, 3]), each with its caption."""
        cells = "".join(_image(_png(array), caption) for array, caption in pictures)
        self._parts.append(f'<div class="row">{cells}</div>')

    def picture(self, array: NDArray[np.uint8], caption: str) -> None:
        """Add one uint8 picture (H, W[, 3]) as wide as the page allows."""
        self._parts.append(_image(_png(array), caption))

    def picture_file(self, path: Path, caption: str) -> None:
        """Add a PNG file below everything so far."""
        self._parts.append(_image(path.read_bytes(), caption))

    def html(self) -> str:
        """The whole page."""
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<link rel="icon" href="data:,"><title>{_text(self._title)}</title>'
            f"<style>{_STYLE}</style></head><body>\n"
            + "\n".join(self._parts)
            + f"\n<footer>Written by causalseg {__version__}. Research software, "
            "not a medical device.</footer></body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        write_bytes(path, self.html().encode())


def _text(value: object) -> str:
    return html.escape(f"{value:.4f}" if isinstance(value, float) else str(value))


def _image(png: bytes, caption: str) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="{_text(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _png(array: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
