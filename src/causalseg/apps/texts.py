"""The words of the page, with everything that a user wrote escaped."""

from html import escape

from causalseg.apps import sentence, session
from causalseg.apps.answers import Answer
from causalseg.apps.session import Work
from causalseg.inference.formats import Study
from causalseg.text.reading import Sides

HEADER = (
    "<header><h1>causalseg</h1><p id='notice'><b>Research software, not a medical device.</b> "
    "Not for diagnosis or treatment. Everything stays on this machine.</p></header>"
)
DOWNLOADS = {
    "png": "Mask (PNG)",
    "edited": "Edited mask (PNG)",
    "dicom": "DICOM SEG",
    "json": "JSON",
    "pair": "Training pairs (ZIP)",
    "report": "Report (HTML)",
}
WHOSE_SIDES = ("as the wording says", "the patient's", "the viewer's")
"""Whose left and right a sentence means: in the wording of the controls the viewer's, else the
patient's, unless one of the other two is chosen."""
NO_FIGURES = "<p class='hint'>The size of the mask and what to know about it will stand here.</p>"


def whose_sides(choice: str) -> Sides | None:
    """What a choice of `WHOSE_SIDES` stands for."""
    found: dict[str, Sides | None] = dict(
        zip(WHOSE_SIDES, (None, "patient", "viewer"), strict=True)
    )
    return found[choice]


def problem(message: str) -> str:
    """An error, as one sentence."""
    return f"<div class='problem' role='alert'>{escape(message)}</div>"


def about(study: Study) -> str:
    """What is known about an image, and which side of it is the patient's right."""
    height, width = study.shape
    size = f"{width} × {height} pixels"
    if study.spacing:
        size += f", {study.spacing[0]:g} × {study.spacing[1]:g} mm each"
    kind = " · ".join(part for part in (study.modality, study.body_part) if part)
    sides = "R and L are the patient's sides, from the file's header."
    if not session.edges(study)[0]:
        sides = "The file does not say which side is the patient's right."
    facts = escape(", ".join(filter(None, (kind, size))))
    return f"<p class='hint'>{facts}</p><p class='hint'>{sides}</p>"


def reading(text: str) -> str:
    """A hint about the sentence while it is written."""
    if not text.strip():
        return ""
    known = sentence.as_controls(text) is not None
    said = (
        "In the wording of the controls: left and right are the viewer's."
        if known
        else "Not in the wording of the controls: what it was read as will stand beside the mask."
    )
    return f"<p class='hint'>{said}</p>"


def warnings(sentences: tuple[str, ...]) -> str:
    """What to know before trusting a mask; nothing if there is nothing."""
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(one)}</li>" for one in sentences)
    return f"<div class='warnings'>Before you trust this mask:<ul>{items}</ul></div>"


def figures(answer: Answer) -> str:
    """Size of one mask, and its sentence."""
    pixels = int(answer.mask.sum())
    share = 100 * pixels / answer.mask.size
    if not pixels:
        size = _empty(answer)
    elif answer.area_mm2 is None:
        size = f"<b>{pixels:,}</b> pixels, {share:.1f} % of the image (no spacing in the file)"
    else:
        size = f"<b>{answer.area_mm2:,.0f} mm²</b> ({pixels:,} pixels, {share:.1f} % of the image)"
    by_hand = " <b>Corrected by hand.</b>" if answer.corrected else ""
    return (
        f"<div class='figures'><span class='sentence'>“{escape(answer.text)}”</span><br>"
        f"{_read_as(answer)}{size}{_expected(answer)}{by_hand}</div>"
    )


def _expected(answer: Answer) -> str:
    if answer.expected is None:
        return ""
    return f"<br>expected Dice with a reader's mask: {escape(str(answer.expected))}"


def _read_as(answer: Answer) -> str:
    if not answer.read_as:
        return ""
    meant = f" That is: {escape(answer.meant)}." if answer.meant else ""
    return f"<span class='read-as'>read as: “{escape(answer.read_as)}”{meant}</span><br>"


def _empty(answer: Answer) -> str:
    if answer.corrected:
        return "<b>Nothing is marked.</b>"
    if answer.empty_by_text:
        return (
            "<b>Nothing is marked</b> because of what the sentence says, whatever the image shows: "
            "see the note."
        )
    return (
        f"<b>Nothing is marked.</b> No pixel reaches the probability {answer.threshold:.2f}; the "
        f"highest is {answer.highest:.2f}. This is no finding that there is nothing: see the notes."
    )


def comparison(work: Work, answers: tuple[Answer, ...]) -> str:
    """What the edit changed."""
    if len(answers) < 2:
        return ""
    dice = session.dice_between(work)
    if dice is None:
        return "<div class='figures'>Both masks are empty: there is nothing to compare.</div>"
    first, second = answers
    change = int(second.mask.sum()) - int(first.mask.sum())
    size = f"{change:+,} pixels"
    if first.area_mm2 is not None and second.area_mm2 is not None:
        size = f"{second.area_mm2 - first.area_mm2:+,.0f} mm²"
    return (
        f"<div class='figures'>Edited against original: Dice of the two masks "
        f"<b>{dice:.3f}</b> (1: the edit changed nothing), size <b>{size}</b>.</div>"
    )


def history(work: Work) -> str:
    """One line of the history."""
    text = work.results[0].text
    short = text if len(text) <= 60 else text[:57] + "..."
    pixels = int(work.mask(0).sum())
    extra = ", corrected" if work.strokes is not None else ""
    extra += ", compared" if len(work.results) > 1 else ""
    return f"image {work.number + 1}: {short} ({pixels:,} pixels{extra})"
