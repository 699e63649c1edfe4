"""The words of the page, with everything that a user wrote escaped."""

from html import escape

from causalseg.apps.answers import Answer
from causalseg.apps.session import Views
from causalseg.inference.formats import Study
from causalseg.text.reading import Sides

TITLE = "# causalseg\nSegment a medical image by a sentence, and see what the model looked at."
NOTICE = (
    "<div id='notice'><b>Research software, not a medical device.</b> Do not use it for diagnosis "
    "or treatment. Everything stays on this machine.</div>"
)
STEP_IMAGE = "### 1 · Image\nPNG, JPEG, TIFF, BMP or DICOM; or a phantom (drawn, no patient)."
STEP_SENTENCE = (
    "### 2 · Sentence\nChoose, and the sentence is written, with the viewer's left and right. Or "
    "type any, as in a report: there they are the patient's, unless the sentence or the choice "
    "below it says otherwise."
)
SIDES = ("as the wording says", "the patient's", "the viewer's")
"""Whose left and right a sentence means: in the wording of the controls the viewer's, else the
patient's, unless one of the other two is chosen."""
STEP_EDIT = (
    "### 3 · Compare (optional)\nEdit the sentence and press Segment again: what do words change?"
)
DOWNLOADS = {
    "png": "Mask (PNG)",
    "edited": "Edited mask (PNG)",
    "dicom": "DICOM SEG",
    "json": "JSON",
}
HINT = "<p class='hint'>Choose an image, write a sentence, press <b>Segment</b>.</p>"


def whose_sides(choice: str) -> Sides | None:
    """What a choice of `SIDES` stands for."""
    found: dict[str, Sides | None] = dict(zip(SIDES, (None, "patient", "viewer"), strict=True))
    return found[choice]


def problem(message: str) -> str:
    """An error, as one sentence."""
    return f"<div class='problem' role='alert'>{escape(message)}</div>"


def loaded(study: Study) -> str:
    """What is known of the image before it is segmented."""
    height, width = study.shape
    size = f"{width} × {height} pixels"
    if study.spacing:
        size += f", {study.spacing[0]:g} × {study.spacing[1]:g} mm each"
    kind = " · ".join(part for part in (study.modality, study.body_part) if part)
    about = f"<p class='hint'>{escape(', '.join(filter(None, (kind, size))))}</p>"
    return about + warnings(study.warnings)


def warnings(sentences: tuple[str, ...]) -> str:
    """What must be known before a mask is trusted; nothing where there is nothing."""
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(one)}</li>" for one in sentences)
    return f"<div class='warnings'>Before you trust this mask:<ul>{items}</ul></div>"


def figures(answer: Answer) -> str:
    """Size of one mask, and its sentence."""
    pixels = int(answer.mask.sum())
    share = 100 * pixels / answer.mask.size
    if answer.area_mm2 is None:
        size = f"<b>{pixels:,}</b> pixels ({share:.1f} % of the image); no spacing in the file"
    else:
        size = f"<b>{answer.area_mm2:,.0f} mm²</b> ({pixels:,} pixels, {share:.1f} % of the image)"
    return (
        f"<div class='figures'><span class='sentence'>“{escape(answer.text)}”</span><br>"
        f"{_read_as(answer)}"
        f"{size}</div>"
    )


def _read_as(answer: Answer) -> str:
    if not answer.read_as:
        return ""
    meant = f" That is: {escape(answer.meant)}." if answer.meant else ""
    return f"<span class='read-as'>read as: “{escape(answer.read_as)}”{meant}</span><br>"


def comparison(views: Views) -> str:
    """What the edit changed."""
    if views.agreement is None:
        return ""
    first, second = views.answers
    change = int(second.mask.sum()) - int(first.mask.sum())
    size = f"{change:+,} pixels"
    if first.area_mm2 is not None and second.area_mm2 is not None:
        size = f"{second.area_mm2 - first.area_mm2:+,.0f} mm²"
    return (
        f"<div class='figures'>Edited against original: Dice of the two masks "
        f"<b>{views.agreement:.3f}</b> (1: the edit changed nothing), size <b>{size}</b>.</div>"
    )
