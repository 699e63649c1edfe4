"""The web page: what happens on it. What is where, is in `layout`; the work, in `session`.

Nothing is fetched from elsewhere, and what a user uploads lies in a private folder that is
removed when the page is closed.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.apps import layout, sentence, session, texts
from causalseg.apps.limits import Limits, read_file
from causalseg.errors import InputError
from causalseg.inference.formats import Study
from causalseg.inference.segmenter import Segmenter
from causalseg.text.captions import mirror_caption

_PHANTOMS = 3
# What a machine has already; a font to be fetched would be a request to somewhere else.
_FONTS = ("-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif")


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for uploads and downloads that only this user can read, removed at the end.

    gradio settles on its folder when it is imported, so this must come before.
    """
    folder = tempfile.mkdtemp(prefix="causalseg-page-")
    os.environ["GRADIO_TEMP_DIR"] = folder
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Page:
    """The page of one model. Build it inside `private_folder`.

    Args:
        segmenter: used by one request at a time.
        folder: for downloads.
        limits: of uploads.
        model: what the downloads call the model.

    """

    def __init__(self, segmenter: Segmenter, folder: Path, limits: Limits, model: str) -> None:
        import gradio as gr

        self.gr: Any = gr
        self.segmenter, self.folder, self.limits, self.model = segmenter, folder, limits, model
        self.phantoms = _phantoms()
        with gr.Blocks(
            title="causalseg",
            analytics_enabled=False,
            fill_width=True,
            delete_cache=(600, layout.KEPT_S),
        ) as self.blocks:
            study, work = (gr.State(None, time_to_live=layout.KEPT_S) for _ in range(2))
            asked, shown = layout.build(self.phantoms, segmenter.threshold)
            self._connect_input(asked, shown, study, work)
            self._connect_output(asked, shown, study, work)

    def launch(self, host: str, port: int | None) -> str:
        """Start serving in threads of its own.

        Returns:
            The page's address.

        Raises:
            OSError, OverflowError: the address cannot be bound.

        """
        theme = self.gr.themes.Base(
            primary_hue="teal", neutral_hue="slate", radius_size="sm", font=_FONTS
        )
        self.blocks.queue(max_size=self.limits.queue)
        _, url, _ = self.blocks.launch(
            server_name=host,
            server_port=port,
            max_file_size=self.limits.max_bytes,
            css=(files("causalseg.apps") / "page.css").read_text(encoding="utf-8"),
            theme=theme,
            footer_links=[],
            share=False,
            ssr_mode=False,
            enable_monitoring=False,
            prevent_thread_lock=True,
            quiet=True,
        )
        return str(url).rstrip("/")

    def close(self) -> None:
        """Stop serving."""
        self.blocks.close(verbose=False)

    def _connect_input(
        self, asked: layout.Input, shown: layout.Output, study: Any, work: Any
    ) -> None:
        import gradio

        def take(event: gradio.SelectData) -> list[Any]:  # gradio goes by this annotation.
            return self._take(event.index)

        quiet = {"api_visibility": "private", "show_progress": "hidden"}
        image = [study, work, shown.status, shown.first, shown.first_figures, shown.second_column,
                 shown.comparison, shown.results]  # fmt: skip
        asked.file.change(self._load, asked.file, image, **quiet)
        asked.gallery.select(take, None, image, **quiet)
        for control in asked.controls:
            control.input(
                self._write, asked.controls, [asked.text, asked.left, asked.right], **quiet
            )
        asked.text.blur(self._read, asked.text, asked.controls, **quiet)
        asked.swap.click(self._swap, asked.text, [asked.edited, shown.status], **quiet)
        asked.copy.click(lambda text: text, asked.text, asked.edited, **quiet)
        asked.clear.click(lambda: "", None, asked.edited, **quiet)

    def _connect_output(
        self, asked: layout.Input, shown: layout.Output, study: Any, work: Any
    ) -> None:
        drawn = [work, *shown.drawn]
        asked.go.click(
            self._segment,
            [study, asked.text, asked.edited, asked.sides, shown.threshold],
            drawn,
            api_visibility="private",
            concurrency_id="model",
            concurrency_limit=1,
            show_progress_on=shown.first,
        )
        shown.threshold.change(
            self._redraw,
            [work, shown.threshold],
            drawn,
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="always_last",
        )

    def _load(self, path: str | None) -> list[Any]:
        if path is None:
            return self._shown(None, texts.HINT)
        try:
            study = read_file(Path(path), self.limits)
        except InputError as error:
            return self._shown(None, texts.problem(str(error)))
        return self._shown(study, texts.loaded(study))

    def _take(self, index: int) -> list[Any]:
        study = Study(kind="raster", frames=[self.phantoms[index]])
        return self._shown(study, texts.loaded(study))

    def _shown(self, study: Study | None, status: str) -> list[Any]:
        picture = None if study is None else session.shrink(study.frames[0])
        hidden = self.gr.update(visible=False)
        first = self.gr.update(value=picture, label="Image")
        return [study, None, status, first, "", hidden, "", hidden]

    def _write(self, side: str, left: list[str], right: list[str], count: float) -> list[Any]:
        return [sentence.write(side, left, right, int(count)), *self._visible(side)]

    def _visible(self, side: str) -> list[Any]:
        return [self.gr.update(visible=side in (name, "both")) for name in ("left", "right")]

    def _read(self, text: str) -> list[Any]:
        """Set the controls to what was typed, where they can say it."""
        found = sentence.read(text)
        if found is None:
            return [self.gr.update()] * 4
        left, right = self._visible(found.side)
        return [
            found.side,
            {**left, "value": list(found.left)},
            {**right, "value": list(found.right)},
            found.count,
        ]

    def _swap(self, text: str) -> list[Any]:
        swapped = mirror_caption(text)
        if swapped is None or swapped == text:
            reason = "names no side" if swapped else "has a side that cannot be swapped safely"
            return [self.gr.update(), texts.problem(f"The sentence {reason}: edit it by hand.")]
        return [swapped, self.gr.update()]

    def _segment(
        self, study: Study | None, text: str, edited: str, whose: str, threshold: float
    ) -> list[Any]:
        try:
            sides = texts.whose_sides(whose)
            work = session.segment(self.segmenter, study, text, edited, sides)
        except InputError as error:
            unchanged = [self.gr.update()] * (9 + len(texts.DOWNLOADS))
            return [self.gr.update(), texts.problem(str(error)), *unchanged]
        return self._redraw(work, threshold)

    def _redraw(self, work: session.Work | None, threshold: float) -> list[Any]:
        """A new folder each time: a download that is under way keeps its file."""
        update = self.gr.update
        if work is None:
            return [update()] * (11 + len(texts.DOWNLOADS))
        views = session.draw(self.segmenter, work, threshold)
        status = texts.warnings(
            tuple(dict.fromkeys(note for one in views.answers for note in one.warnings))
        )
        try:
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            found = session.write_downloads(work, views, folder, self.model)
        except InputError as error:
            status, found = texts.problem(str(error)) + status, {}
        both = len(views.answers) == 2
        return [
            work,
            status,
            update(value=views.overlays[0], label="Original sentence" if both else "Mask"),
            texts.figures(views.answers[0]),
            update(visible=both),
            views.overlays[1] if both else None,
            texts.figures(views.answers[1]) if both else "",
            texts.comparison(views),
            update(visible=True),
            update(value=views.causal, visible=views.causal is not None),
            update(value=views.confounder, visible=views.confounder is not None),
            *(
                update(value=str(found[name]) if name in found else None, visible=name in found)
                for name in texts.DOWNLOADS
            ),
        ]


def _phantoms() -> list[session.Picture]:
    from causalseg.data.phantom import draw_phantom

    return [draw_phantom(np.random.default_rng(seed)).image for seed in range(_PHANTOMS)]
