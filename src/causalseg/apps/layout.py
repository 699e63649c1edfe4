"""The layout of the page."""

from dataclasses import dataclass
from typing import Any

from causalseg.apps import sentence, texts, viewer
from causalseg.inference.requests import MAX_TEXT
from causalseg.text.grammar_lung import ZONES

SESSION_KEPT_S = 3600
"""How long an idle session's results and files are kept."""
START = sentence.Controls("left", left=("lower",), count=1)


@dataclass(frozen=True)
class Input:
    """The inputs, as gradio components."""

    file: Any
    strip: Any
    text: Any
    sides: Any
    reading: Any
    go: Any
    side: Any
    left: Any
    right: Any
    count: Any
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

    viewer: Any
    threshold: Any
    status: Any
    figures: Any
    results: Any
    buttons: dict[str, Any]
    save: Any
    history: Any


def build(threshold: float) -> tuple[Input, Output]:
    """Place everything inside the `gradio.Blocks` that is open.

    Args:
        threshold: where the slider stands first.

    """
    import gradio as gr

    gr.HTML(texts.HEADER, padding=False, elem_id="top")
    with gr.Row(elem_id="desk", equal_height=False):
        with gr.Column(scale=30, min_width=280, elem_id="ask"):
            asked = _build_input(gr)
        with gr.Column(scale=58, min_width=320, elem_id="look"):
            image = viewer.component(gr)
            slider = gr.Slider(
                0.0, 1.0, value=threshold, step=0.01, elem_id="threshold", buttons=["reset"],
                label=f"Probability from which a pixel is inside (model: {threshold:.2f})",
            )  # fmt: skip
        with gr.Column(scale=27, min_width=250, elem_id="answer"):
            shown = _build_output(gr, image, slider)
    return asked, shown


def _build_input(gr: Any) -> Input:
    file = gr.File(
        label="Images: PNG, JPEG, TIFF, BMP, DICOM", file_count="multiple", height=104,
        elem_id="file",
    )  # fmt: skip
    strip = gr.Gallery(
        [], label="Images of this session", show_label=False, columns=5, rows=1, height=76,
        format="png", allow_preview=False, object_fit="contain", buttons=[], elem_id="strip",
        interactive=False, visible=False,
    )  # fmt: skip
    first = sentence.write(START.side, START.left, START.right, START.count)
    text = gr.Textbox(
        first, label="Sentence", lines=2, max_lines=4, max_length=MAX_TEXT, elem_id="sentence"
    )
    go = gr.Button("Segment", variant="primary", elem_id="segment")
    reading = gr.HTML(texts.reading(first), elem_id="reading", padding=False)
    with gr.Accordion("Build the sentence", elem_id="builder"):
        side = gr.Radio(list(sentence.LUNGS), value=START.side, label="Lung", elem_id="side")
        with gr.Row():
            left, right = (
                gr.CheckboxGroup(
                    list(ZONES), value=list(value), label=f"{name.capitalize()} lung: zones",
                    elem_id=f"{name}-zones", visible=name == "left", min_width=120,
                )
                for name, value in (("left", START.left), ("right", START.right))
            )  # fmt: skip
        count = gr.Slider(
            1, sentence.MAX_COUNT, value=START.count, step=1, label="Infected areas",
            elem_id="count", buttons=[],
        )  # fmt: skip
    sides = gr.Radio(
        list(texts.WHOSE_SIDES), value=texts.WHOSE_SIDES[0],
        label="Left and right in the sentence are",
        elem_id="whose-sides",
    )  # fmt: skip
    with gr.Accordion("Compare with an edited sentence", open=False, elem_id="compare"):
        edited = gr.Textbox(
            "", label="Edited sentence", lines=2, max_lines=4, max_length=MAX_TEXT,
            elem_id="edited", placeholder="Empty: no comparison",
        )  # fmt: skip
        with gr.Row():
            swap, copy, clear = (
                gr.Button(label, size="sm", min_width=60, elem_id=name)
                for name, label in (("swap", "Swap sides"), ("copy", "Copy"), ("clear", "Clear"))
            )
    return Input(
        file, strip, text, sides, reading, go, side, left, right, count, edited, swap, copy, clear
    )


def _build_output(gr: Any, image: Any, slider: Any) -> Output:
    figures = gr.HTML(texts.NO_FIGURES, elem_id="figures", padding=False)
    status = gr.HTML(elem_id="status", padding=False)
    with gr.Column(visible=False, elem_id="results") as results:
        with gr.Row(elem_id="downloads"):
            buttons = {
                name: gr.Button(label, size="sm", min_width=100, elem_id=f"get-{name}")
                for name, label in texts.DOWNLOADS.items()
            }
        history = gr.Radio([], label="History of this session", elem_id="history")
    save = gr.DownloadButton("Save", visible="hidden", elem_id="save")
    return Output(image, slider, status, figures, results, buttons, save, history)
