"""What is where on the page."""

from dataclasses import dataclass
from typing import Any

from causalseg.apps import sentence, texts
from causalseg.apps.session import Picture
from causalseg.inference.requests import MAX_TEXT
from causalseg.text.grammar_lung import ZONES

KEPT_S = 3600
"""How long an idle session's results and files are kept."""
START = sentence.Controls("left", left=("lower",), count=1)


@dataclass(frozen=True)
class Input:
    """Where a user says what is wanted: gradio's components."""

    file: Any
    gallery: Any
    side: Any
    left: Any
    right: Any
    count: Any
    text: Any
    sides: Any
    go: Any
    edited: Any
    swap: Any
    copy: Any
    clear: Any

    @property
    def controls(self) -> list[Any]:
        """The controls that write the sentence."""
        return [self.side, self.left, self.right, self.count]


@dataclass(frozen=True)
class Output:
    """Where results are shown."""

    status: Any
    first: Any
    first_figures: Any
    second_column: Any
    second: Any
    second_figures: Any
    comparison: Any
    results: Any
    threshold: Any
    causal: Any
    confounder: Any
    downloads: dict[str, Any]

    @property
    def drawn(self) -> list[Any]:
        """All that a result fills, in order."""
        return [self.status, self.first, self.first_figures, self.second_column, self.second,
                self.second_figures, self.comparison, self.results, self.causal, self.confounder,
                *self.downloads.values()]  # fmt: skip


def build(phantoms: list[Picture], threshold: float) -> tuple[Input, Output]:
    """Place everything inside the `gradio.Blocks` that is open.

    Args:
        phantoms: pictures to choose from, uint8 (H, W).
        threshold: where the slider stands first.

    """
    import gradio as gr

    gr.Markdown(texts.TITLE, elem_id="title")
    gr.HTML(texts.NOTICE, padding=False)
    with gr.Row():
        with gr.Column(scale=4, min_width=340, elem_classes="narrow"):
            asked = _build_input(gr, phantoms)
        with gr.Column(scale=7, min_width=480, elem_classes="narrow"):
            shown = _build_output(gr, threshold)
    return asked, shown


def _build_input(gr: Any, phantoms: list[Picture]) -> Input:
    gr.Markdown(texts.STEP_IMAGE, elem_classes="step")
    file = gr.File(label="Upload an image", show_label=False, elem_id="file", height=124)
    gallery = gr.Gallery(
        list(phantoms), label="Phantoms", show_label=False, columns=len(phantoms), rows=1,
        height=158, format="png", allow_preview=False, object_fit="contain", buttons=[],
        elem_id="phantoms", interactive=False,
    )  # fmt: skip
    gr.Markdown(texts.STEP_SENTENCE, elem_classes="step")
    side = gr.Radio(list(sentence.SIDES), value=START.side, label="Lung", elem_id="side")
    with gr.Row():
        left, right = (
            gr.CheckboxGroup(
                list(ZONES), value=list(value), label=f"{name.capitalize()} lung: zones",
                elem_id=f"{name}-zones", visible=name == "left", min_width=150,
            )
            for name, value in (("left", START.left), ("right", START.right))
        )  # fmt: skip
    count = gr.Slider(
        1, sentence.MAX_COUNT, value=START.count, step=1, label="Infected areas", elem_id="count",
        buttons=[],
    )  # fmt: skip
    first = sentence.write(START.side, START.left, START.right, START.count)
    text = gr.Textbox(first, label="Sentence", lines=2, max_length=MAX_TEXT, elem_id="sentence")
    sides = gr.Radio(
        list(texts.SIDES), value=texts.SIDES[0], label="Left and right in the sentence are",
        elem_id="whose-sides",
    )  # fmt: skip
    go = gr.Button("Segment", variant="primary", elem_id="segment")
    gr.Markdown(texts.STEP_EDIT, elem_classes="step")
    edited = gr.Textbox(
        "", label="Edited sentence", lines=2, max_length=MAX_TEXT, elem_id="edited",
        placeholder="Empty: no comparison",
    )  # fmt: skip
    with gr.Row():
        swap, copy, clear = (
            gr.Button(label, size="sm", min_width=60, elem_id=name)
            for name, label in (("swap", "Swap sides"), ("copy", "Copy"), ("clear", "Clear"))
        )
    return Input(
        file, gallery, side, left, right, count, text, sides, go, edited, swap, copy, clear
    )


def _build_output(gr: Any, threshold: float) -> Output:
    status = gr.HTML(texts.HINT, elem_id="status", padding=False)
    with gr.Row():
        with gr.Column(min_width=220):
            first = _view(gr, "Image", "overlay", 400)
            first_figures = gr.HTML(padding=False)
        with gr.Column(min_width=220, visible=False, elem_id="second") as second_column:
            second = _view(gr, "Edited sentence", "overlay-edited", 400)
            second_figures = gr.HTML(padding=False)
    comparison = gr.HTML(elem_id="comparison", padding=False)
    with gr.Column(visible=False, elem_id="results", elem_classes="narrow") as results:
        slider = gr.Slider(
            0.0, 1.0, value=threshold, step=0.01, elem_id="threshold", buttons=["reset"],
            label="Probability from which a pixel belongs to the mask",
        )  # fmt: skip
        with gr.Row():
            causal = _view(gr, "Causal map: features passed on", "causal", 260)
            confounder = _view(gr, "Confounder map: features held back", "confounder", 260)
        with gr.Row():
            downloads = {
                name: gr.DownloadButton(label, size="sm", min_width=110, elem_id=f"get-{name}")
                for name, label in texts.DOWNLOADS.items()
            }
    return Output(status, first, first_figures, second_column, second, second_figures, comparison,
                  results, slider, causal, confounder, downloads)  # fmt: skip


def _view(gr: Any, label: str, name: str, height: int) -> Any:
    return gr.Image(
        label=label, height=height, format="png", interactive=False, buttons=["fullscreen"],
        elem_id=name, elem_classes="view", alt_text=label,
    )  # fmt: skip
