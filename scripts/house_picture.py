"""Draw docs/images/house.svg: the rooms of the package, and how three things travel through them.

python scripts/house_picture.py
"""

from html import escape

from make_results import ROOT

from causalseg.files import write_bytes

PICTURE = ROOT / "docs" / "images" / "house.svg"
ROOMS = (
    (("cli", "a file for each command; imports its work when it runs"),),
    (("apps", "page, server, PACS"), ("experiments", "grids, folds, tables")),
    (("training", "fit, callbacks, pre-training, distillation"),),
    (("evaluation", "metrics, intervals, scoring, faithfulness, reports"),),
    (("inference", "Segmenter, formats, trust, export, jobs"),),
    (("data", "layout, checks, phantoms, preprocessing, batches"),),
    (("models", "the contract, the registry, checkpoints, a folder each"),),
    (("text", "reading, readers"), ("encoders", "towers, weights"), ("layers", "parts")),
    (("files", ""), ("inputs", ""), ("hub", ""), ("terminal", ""), ("progress", ""),
     ("markdown", ""), ("scratch", "")),
    (("errors", "InputError: one sentence"), ("version", "")),
)  # fmt: skip
"""From the top; a room imports from the rows below it, and from its own."""
JOURNEYS = (
    (
        "image",
        (
            ("inference", "formats read the file"),
            ("data", "Preprocessing makes (3, S, S)"),
            ("models", "encode_image and segment"),
            ("inference", "Segmenter cuts the mask"),
        ),
    ),
    (
        "sentence",
        (
            ("text", "reading finds its meaning"),
            ("text", "a reader makes tokens"),
            ("models", "encode_text and segment"),
            ("inference", "its warnings go with the mask"),
        ),
    ),
    (
        "config",
        (
            ("cli", "YAML and options make it"),
            ("experiments", "a grid makes many of one"),
            ("training", "fit writes it to run.json"),
            ("models", "the checkpoint carries it"),
            ("inference", "Segmenter.load reads it"),
        ),
    ),
)
_TOP, _ROW, _LEFT, _HOUSE, _LANE = 44, 64, 16, 560, 208
_STYLE = """
  .page { fill: #ffffff } .room { fill: #eef2f6; stroke: #5b6b7b }
  text { font: 13px system-ui, sans-serif; fill: #1c242c }
  .name { font-weight: 600; font-size: 11px } .small { font-size: 11px; fill: #45525e }
  .image { stroke: #b4530a } .sentence { stroke: #11698e } .config { stroke: #5b3d99 }
  .number { font-size: 10px; font-weight: 600; text-anchor: middle }
  .way { fill: none; stroke-width: 2 } .stop { fill: #ffffff; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12171c } .room { fill: #222b34; stroke: #8496a8 }
    text { fill: #e8edf2 } .small { fill: #b3c0cc } .stop { fill: #12171c }
    .image { stroke: #f0a35e } .sentence { stroke: #6cc3e8 } .config { stroke: #b9a2f0 }
  }
"""


def picture() -> str:
    """The SVG."""
    width, height = _LEFT + _HOUSE + 3 * _LANE + 24, _TOP + _ROW * len(ROOMS) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="title">',
        '<title id="title">The rooms of causalseg from cli at the top to errors at the bottom, and '
        "how an image, a sentence and a config travel through them</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
        _text(_LEFT, 26, "A room imports only from below", "small"),
    ]
    for row, rooms in enumerate(ROOMS):
        side = (_HOUSE - 8 * (len(rooms) - 1)) / len(rooms)
        for column, (name, words) in enumerate(rooms):
            parts += _room(_LEFT + column * (side + 8), _TOP + row * _ROW, side, name, words)
    for lane, (name, stops) in enumerate(JOURNEYS):
        parts += _journey(_LEFT + _HOUSE + 24 + lane * _LANE, name, stops)
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>'


def _room(x: float, y: float, width: float, name: str, words: str) -> list[str]:
    box = f'<rect class="room" x="{x:g}" y="{y:g}" width="{width:g}" height="{_ROW - 12}" rx="5"/>'
    lower = [_text(x + 8, y + 39, words, "small")] if words else []
    return [box, _text(x + 8, y + (21 if words else 31), name, "name"), *lower]


def _journey(x: float, name: str, stops: tuple[tuple[str, str], ...]) -> list[str]:
    """One lane: a stop at the height of each room, in the order of the way."""
    row_of = {room: row for row, rooms in enumerate(ROOMS) for room, _ in rooms}
    order = [row_of[room] for room, _ in stops]
    places = []
    for i, row in enumerate(order):
        # Stops in one room stand below each other.
        same, before = order.count(row), order[:i].count(row)
        places.append(_TOP + row * _ROW + (_ROW - 12) * (before + 0.5) / same)
    way = " ".join(
        f"{'M' if i == 0 else 'L'} {x + 10 + 8 * i:g} {y:g}" for i, y in enumerate(places)
    )
    parts = [
        _text(x, 26, f"{'An' if name == 'image' else 'A'} {name}", "name"),
        f'<path class="way {name}" d="{way}"/>',
    ]
    for i, (y, (_, words)) in enumerate(zip(places, stops, strict=True)):
        at = x + 10 + 8 * i
        parts.append(f'<circle class="stop {name}" cx="{at:g}" cy="{y:g}" r="8"/>')
        parts.append(_text(at, y + 3.5, str(i + 1), "number"))
        parts.append(_text(x + 58, y + 4, words, "small"))
    return parts


if __name__ == "__main__":
    write_bytes(PICTURE, picture().encode())
