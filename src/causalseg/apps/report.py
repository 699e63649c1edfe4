"""One answer as a page of its own that opens anywhere, without a network and without a server."""

from html import escape

from causalseg.apps import texts, viewer
from causalseg.apps.answers import NOTE, Answer, Identity
from causalseg.apps.session import Work
from causalseg.inference.pictures import MASK_COLOUR, overlay
from causalseg.version import __version__

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem;
  color: #1b2430; background: #fff; }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; }
figcaption { max-width: 26rem; }
img { max-width: 26rem; width: 100%; background: #000; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; }
.note, .warnings { border-left: 4px solid #b45309; padding-left: .8rem; }
"""
_SECOND = (86, 180, 233)


def page(work: Work, answers: tuple[Answer, ...], model: Identity) -> str:
    """The report as HTML, with the pictures inside; nothing names the source."""
    image = viewer.shrink(work.study.frames[0])
    shape = (image.shape[0], image.shape[1])
    figures = [_figure(viewer.data_url(image), "the image")]
    for index, (one, colour) in enumerate(zip(answers, (MASK_COLOUR, _SECOND), strict=False)):
        mask = viewer.nearest(work.mask(index), shape)
        figures.append(_figure(viewer.data_url(overlay(image, mask, colour)), one.text))
    notes = tuple(dict.fromkeys(note for one in answers for note in one.warnings))
    facts = {
        "Model": f"{model.name}, SHA-256 {model.sha256}",
        "Software": f"causalseg {__version__}",
        "Averaged with the mirrored image": "yes" if model.flip else "no",
        "Probability from which a pixel is inside": f"{work.threshold:.2f}",
    }
    rows = "".join(f"<tr><th>{k}</th><td>{escape(v)}</td></tr>" for k, v in facts.items())
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>causalseg report</title><style>{_STYLE}</style></head><body>"
        f"<h1>Segmentation report</h1><p class='note'>{NOTE}</p>{''.join(figures)}"
        f"{''.join(texts.figures(one) for one in answers)}{texts.comparison(work, answers)}"
        f"{texts.warnings(notes)}<table>{rows}</table></body></html>"
    )


def _figure(source: str, caption: str) -> str:
    return (
        f"<figure><img src='{source}' alt='{escape(caption)}'>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
