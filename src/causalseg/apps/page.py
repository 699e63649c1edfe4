"""The behaviour of the web page. `layout` says what is where, and `session` does the work.

Nothing is fetched from elsewhere, and uploads are kept in a private folder that is removed when the
page is closed.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from causalseg import scratch
from causalseg.apps import downloads, layout, sentence, session, texts, viewer
from causalseg.apps.answers import Identity
from causalseg.apps.hosts import SameHost
from causalseg.apps.limits import Limits, read_file
from causalseg.apps.quick_gradio import import_gradio
from causalseg.apps.session import Session
from causalseg.apps.theme import theme
from causalseg.errors import InputError
from causalseg.inference.segmenter import Segmenter
from causalseg.text.captions import mirror_caption

_QUIET = {"api_visibility": "private", "show_progress": "hidden"}
_SAVE = "() => setTimeout(() => document.querySelector('#save, #save button').click(), 50)"
# On a phone the image lies above the button that was pressed.
_TO_IMAGE = "() => { if (innerWidth < 700) document.querySelector('#viewer').scrollIntoView(); }"


@contextmanager
def page_folder() -> Iterator[Path]:
    """A folder for uploads and downloads that only this user can read, removed at the end.

    gradio chooses its folder when it is imported, so this must come first.
    """
    with scratch.private_folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        yield folder


class Page:
    """The page of one model. Build it inside `page_folder`.

    Args:
        segmenter: used by one request at a time. folder: for downloads. limits: of uploads. model:
            named in the downloads.

    """

    def __init__(self, segmenter: Segmenter, folder: Path, limits: Limits, model: Identity) -> None:
        gr = import_gradio()

        self.gr: Any = gr
        self.segmenter, self.folder, self.limits, self.model = segmenter, folder, limits, model
        with gr.Blocks(
            title="causalseg",
            analytics_enabled=False,
            fill_width=True,
            delete_cache=(600, layout.SESSION_KEPT_S),
        ) as self.blocks:
            self.state = gr.State(Session(), time_to_live=layout.SESSION_KEPT_S)
            self.asked, self.shown = layout.build(segmenter.threshold)
            self._connect_images()
            self._connect_sentence()
            self._connect_answer()

    def launch(self, host: str, port: int | None, names: Sequence[str], root_path: str) -> str:
        """Start serving in threads of its own.

        Args:
            host: address to bind.
            port: or the first free one from 7860.
            names: by which browsers may call this machine; see `hosts.allowed`.
            root_path: path under which a proxy serves the page, such as `/causalseg`.

        Returns:
            The page's address.

        Raises:
            OSError, OverflowError: the address cannot be bound.

        """
        from starlette.middleware import Middleware

        self.blocks.queue(max_size=self.limits.most)
        _, url, _ = self.blocks.launch(
            server_name=host,
            server_port=port,
            root_path=root_path,
            max_file_size=self.limits.max_bytes,
            css=(files("causalseg.apps") / "assets" / "page.css").read_text(encoding="utf-8"),
            theme=theme(),
            app_kwargs={"middleware": [Middleware(SameHost, names=names)]},
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

    def _connect_images(self) -> None:
        import gradio

        def take(event: gradio.SelectData, state: Session) -> Any:  # By this annotation.
            return self._drawn(state.choose(event.index))

        asked = self.asked
        outputs = [*self._outputs(), asked.file]
        asked.file.upload(self._load, [asked.file, self.state], outputs, **_QUIET)
        asked.strip.select(take, self.state, self._outputs(), **_QUIET)

    def _connect_sentence(self) -> None:
        asked = self.asked
        written = [asked.text, asked.left, asked.right, asked.count, asked.reading]
        for control in asked.controls:
            control.input(self._write, asked.controls, written, **_QUIET)
        heard = [*asked.controls, asked.reading]
        for change in (asked.text.input, asked.text.blur):
            change(self._read, asked.text, heard, trigger_mode="always_last", **_QUIET)
        asked.swap.click(self._swap, asked.text, [asked.edited, self.shown.status], **_QUIET)
        asked.copy.click(lambda text: text, asked.text, asked.edited, **_QUIET)
        asked.clear.click(lambda: "", None, asked.edited, **_QUIET)

    def _connect_answer(self) -> None:
        import gradio

        def corrected(event: gradio.EventData, state: Session) -> Any:  # By this annotation.
            return self._corrected(state, event)

        asked, shown, update = self.asked, self.shown, self.gr.update
        for press in (asked.go.click, asked.text.submit, asked.edited.submit):
            press(
                lambda: update(value="Segmenting …", interactive=False), None, asked.go, **_QUIET
            ).then(
                self._segment,
                [self.state, asked.text, asked.edited, asked.sides],
                self._outputs(),
                concurrency_id="model",
                concurrency_limit=1,
                **_QUIET,
            ).then(
                lambda: update(value="Segment", interactive=True), None, asked.go, **_QUIET
            ).then(None, None, None, js=_TO_IMAGE)
        shown.threshold.input(
            self._move,
            [self.state, shown.threshold],
            self._outputs(),
            trigger_mode="always_last",
            **_QUIET,
        )
        quietly = [one for one in self._outputs() if one is not shown.viewer]
        shown.viewer.corrected(corrected, self.state, quietly, **_QUIET)
        shown.history.input(
            lambda state, index: self._drawn(state.recall(index)),
            [self.state, shown.history],
            self._outputs(),
            **_QUIET,
        )
        for name, button in shown.buttons.items():
            button.click(
                lambda state, name=name: self._make(name, state),
                self.state,
                [shown.save, shown.status],
                **_QUIET,
            ).success(None, None, None, js=_SAVE)

    def _outputs(self) -> list[Any]:
        shown = self.shown
        return [self.state, self.asked.strip, shown.viewer, shown.threshold, shown.status,
                shown.figures, shown.results, *shown.buttons.values(), shown.history]  # fmt: skip

    def _load(self, paths: list[str] | None, state: Session) -> dict[Any, Any]:
        """Take what was uploaded; what cannot be used is reported, the rest is taken."""
        said = ""
        for path in paths or []:
            try:
                state = state.with_image(read_file(Path(path), self.limits))
            except InputError as error:
                which = "" if len(paths or []) == 1 else f"{Path(path).name}: "
                said += texts.problem(which + str(error))
        return self._drawn(state, said) | {self.asked.file: None}

    def _drawn(self, state: Session, said: str = "", viewer_too: bool = True) -> dict[Any, Any]:
        """Everything that shows a session as it is now."""
        shown, update, work = self.shown, self.gr.update, state.work
        answers = work.answers(self.segmenter) if work else ()
        notes = tuple(dict.fromkeys(note for one in answers for note in one.warnings))
        status, figures = texts.warnings(notes), texts.NO_FIGURES
        if work:
            figures = "".join(map(texts.figures, answers)) + texts.comparison(work, answers)
            figures += texts.about(work.study)
        elif state.study:
            status, figures = texts.warnings(state.study.warnings), texts.about(state.study)
        offered = downloads.offered(work) if work else set()
        lines = [(texts.history(one), i) for i, one in enumerate(state.works)]
        at = next((i for i, one in enumerate(state.works) if one is work), None)
        found = {
            self.state: state,
            self.asked.strip: self._strip(state),
            shown.status: said + status,
            shown.figures: figures,
            shown.threshold: work.threshold if work else self.segmenter.threshold,
            shown.results: update(visible=bool(state.works)),
            shown.history: update(choices=lines, value=at),
            **{b: update(visible=name in offered) for name, b in shown.buttons.items()},
        }
        return found | ({shown.viewer: session.view(state)} if viewer_too else {})

    def _strip(self, state: Session) -> Any:
        pictures = [viewer.shrink(one.frames[0], 96) for one in state.studies]
        return self.gr.update(
            value=[(one, str(i)) for i, one in enumerate(pictures, start=1)],
            visible=len(pictures) > 1,
            selected_index=state.chosen if pictures else None,
        )

    def _write(self, side: str, left: list[str], right: list[str], count: float) -> list[Any]:
        least = sentence.least(side)
        count = max(int(count), least)
        text = sentence.write(side, left, right, count)
        counted = self.gr.update(value=count, minimum=least, visible=side != "none")
        return [text, *self._visible(side), counted, texts.reading(text)]

    def _visible(self, side: str) -> list[Any]:
        return [self.gr.update(visible=side in (name, "both")) for name in ("left", "right")]

    def _read(self, text: str) -> list[Any]:
        """Set the controls to what was typed, if they can express it."""
        found = sentence.as_controls(text)
        if found is None:
            return [*[self.gr.update()] * 4, texts.reading(text)]
        left, right = self._visible(found.side)
        return [
            found.side,
            {**left, "value": list(found.left)},
            {**right, "value": list(found.right)},
            self.gr.update(
                value=found.count,
                minimum=min(found.count, sentence.least(found.side)),
                visible=found.side != "none",
            ),
            texts.reading(text),
        ]

    def _swap(self, text: str) -> list[Any]:
        swapped = mirror_caption(text)
        if swapped is None or swapped == text:
            reason = "names no side" if swapped else "has a side that cannot be swapped safely"
            return [self.gr.update(), texts.problem(f"The sentence {reason}: edit it by hand.")]
        return [swapped, self.gr.update()]

    def _segment(self, state: Session, text: str, edited: str, whose: str) -> dict[Any, Any]:
        try:
            sides = texts.whose_sides(whose)
            state = session.segment(self.segmenter, state, text, edited, sides)
        except InputError as error:
            return {self.shown.status: texts.problem(str(error))}
        return self._drawn(state)

    def _move(self, state: Session, threshold: float) -> dict[Any, Any]:
        if state.work is None:
            return {self.state: state}
        return self._drawn(state.changed(replace(state.work, threshold=threshold)))

    def _corrected(self, state: Session, event: Any) -> dict[Any, Any]:
        """Take a stroke. The viewer shows it already, and keeps its way back."""
        if state.work is None or event.id != state.chosen:
            return {self.state: state}  # Another image was chosen meanwhile.
        shape = viewer.shrink(state.work.study.frames[0]).shape
        try:
            painted = viewer.painted(event.mask, (shape[0], shape[1]))
        except InputError as error:
            return {self.shown.status: texts.problem(str(error))}
        return self._drawn(state.changed(state.work.corrected(painted)), viewer_too=False)

    def _make(self, name: str, state: Session) -> dict[Any, Any]:
        """A new folder each time, so that a download in progress keeps its file."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            path = downloads.make(name, state, self.segmenter, self.model, folder)
        except InputError as error:
            return {self.shown.save: None, self.shown.status: texts.problem(str(error))}
        return {self.shown.save: str(path)}
