"""The page's image, on which a mask is seen and corrected: what Python sends to it and receives.

The viewer itself is `assets/viewer.js`, in gradio's component for HTML of one's own: pictures are
zoomed, windowed and painted on without asking the server.
"""

import base64
import binascii
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.data.images import decode_image
from causalseg.errors import InputError
from causalseg.inference.formats.study import Pixels
from causalseg.inference.outputs import png_bytes
from causalseg.inference.pictures import as_rgb, attention_map

VIEW = 1024
"""The longer side of what is shown and painted on; downloads keep the source's own size."""
# Stops of the colour map cividis, which looks the same with every kind of colour vision.
_COLOURS = ((0, 34, 78), (66, 78, 108), (124, 123, 120), (185, 172, 112), (254, 232, 56))
MAP_NOTE = (
    "share of the features that is passed on to the causal branch, mean of the stages. It depends "
    "on the image alone, not on the sentence; 1 minus it is the confounding mask."
)


def component(gr: Any) -> Any:
    """The viewer as a gradio component with the event `corrected`."""
    assets = files("causalseg.apps") / "assets"
    return gr.HTML(
        value={},
        html_template=(assets / "viewer.html").read_text(encoding="utf-8"),
        js_on_load=(assets / "viewer.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        padding=False,
        elem_id="viewer",
    )


def show(
    image: Pixels,
    number: int,
    *,
    masks: Mapping[str, Pixels] | None = None,
    attention: Mapping[str, NDArray[np.float32]] | None = None,
    edges: tuple[str, str] = ("", ""),
) -> dict[str, Any]:
    """The viewer's value.

    Args:
        image: uint8 (h, w) or (h, w, 3), no longer than `VIEW`.
        number: of the image in its session; zoom and grey window stay while it does.
        masks: {0, 1} (h, w) by what the legend calls them; the first can be corrected.
        attention: causal masks by stage, in [0, 1].
        edges: the letters at the left and right edge.

    """
    masks = masks or {}
    return {
        "id": number,
        "image": data_url(image),
        "description": f"Image {number + 1}" + (", with its mask" if masks else ""),
        "masks": [{"label": k, "source": data_url(m * np.uint8(255))} for k, m in masks.items()],
        "map": _map(image, attention) if attention else None,
        "left": edges[0],
        "right": edges[1],
    }


def _map(image: Pixels, attention: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
    """The image with its causal map, in colours stretched over the map's own range."""
    values = attention_map(attention, (image.shape[0], image.shape[1]))
    low, high = float(values.min()), float(values.max())
    place = (values - low) / (high - low) if high > low else np.zeros_like(values)
    stops = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack(
        [np.interp(place, stops, channel) for channel in np.array(_COLOURS).T], axis=-1
    )
    blended = np.rint(0.4 * as_rgb(image) + 0.6 * colours).astype(np.uint8)
    return {
        "source": data_url(blended),
        "low": low,
        "high": high,
        "colours": [f"rgb{colour}" for colour in _COLOURS],
        "note": MAP_NOTE,
    }


def painted(data: object, shape: tuple[int, int]) -> Pixels:
    """The mask {0, 1} that the viewer sent after a stroke.

    Raises:
        InputError: it is not a picture of the shape that is shown.

    """
    prefix = "data:image/png;base64,"
    if not isinstance(data, str) or not data.startswith(prefix) or len(data) > 8 * VIEW * VIEW:
        raise InputError("the corrected mask did not arrive as a picture: paint again.")
    try:
        content = base64.b64decode(data[len(prefix) :], validate=True)
    except binascii.Error:
        raise InputError("the corrected mask arrived damaged: paint again.") from None
    pixels = decode_image(content, "the corrected mask")
    mask = pixels if pixels.ndim == 2 else pixels[..., 0]
    if mask.shape != shape:
        raise InputError("the corrected mask belongs to another image: paint again.")
    return (mask > 127).astype(np.uint8)


def data_url(pixels: Pixels) -> str:
    """uint8 (h, w) or (h, w, 3) as a PNG within a URL."""
    content = base64.b64encode(png_bytes(pixels))
    return "data:image/png;base64," + content.decode("ascii")


def shrink(image: Pixels, side: int = VIEW) -> Pixels:
    """The image (H, W) or (H, W, 3) with its longer side at most `side`."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def nearest(mask: Pixels, shape: tuple[int, int]) -> Pixels:
    """A mask brought to `shape` (H, W), each pixel that of its nearest neighbour."""
    if mask.shape == shape:
        return mask
    resized = Image.fromarray(mask).resize(shape[::-1], Image.Resampling.NEAREST)
    return np.asarray(resized)
