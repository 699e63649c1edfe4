"""How well changed copies of images are found: python scripts/copies_recall.py ROOT OUT.json.

For images of the training split, each change below is made, the best of the fingerprint's forms is
confirmed, and the pair counts as found at the thresholds of `causalseg.data.similarity`.
"""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from causalseg.data import similarity
from causalseg.data.lvit import scan_split

COUNT = 30


def _cropped(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    width, height = (int(side * share) for side in image.size)
    left, top = (
        int(rng.integers(0, a - b + 1)) for a, b in zip(image.size, (width, height), strict=True)
    )
    return image.crop((left, top, left + width, top + height)).resize(image.size)


def _shifted(image: Image.Image, share: float) -> Image.Image:
    across = (1, 0, image.width * share, 0, 1, image.height * share)
    return image.transform(image.size, Image.Transform.AFFINE, across)


def _recoded(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.resize((image.width // 2, image.height // 2)).save(buffer, "JPEG", quality=60)
    return Image.open(buffer).convert("L")


CHANGES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "halved, JPEG quality 60": lambda image, _: _recoded(image),
    "gamma 1.8": lambda image, _: image.point(lambda v: int(255 * (v / 255) ** 1.8)),
    "histogram equalised": lambda image, _: ImageOps.equalize(image),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "inverted": lambda image, _: ImageOps.invert(image),
    "turned by 90 degrees": lambda image, _: image.rotate(90),
    "tilted by 5 degrees": lambda image, _: image.rotate(5, Image.Resampling.BILINEAR),
    "tilted by 10 degrees": lambda image, _: image.rotate(10, Image.Resampling.BILINEAR),
    "cropped to 90 %": lambda image, rng: _cropped(image, 0.9, rng),
    "cropped to 80 %": lambda image, rng: _cropped(image, 0.8, rng),
    "cropped to 70 %": lambda image, rng: _cropped(image, 0.7, rng),
    "shifted by 5 %": lambda image, _: _shifted(image, 0.05),
    "shifted by 10 %": lambda image, _: _shifted(image, 0.1),
    "mirrored, inverted, cropped to 90 %": lambda image, rng: ImageOps.invert(
        ImageOps.mirror(_cropped(image, 0.9, rng))
    ),
}


def main() -> None:
    """Measure and write."""
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    records = scan_split(root, "train").records
    rng = np.random.default_rng(0)
    chosen = [records[i] for i in rng.permutation(len(records))[:COUNT]]
    images = [Image.open(record.image).convert("L") for record in chosen]
    recall = {}
    for name, change in CHANGES.items():
        hits = 0
        for image in images:
            pair = [image, change(image, rng)]
            thumbnails = np.stack([similarity.thumbnail(np.asarray(i)) for i in pair])
            hits += any(True for _ in similarity.find_copies(thumbnails))
        recall[name] = hits / len(images)
        print(f"{name}: {hits} of {len(images)}", flush=True)
    content = {"images": len(images), "root": root.name, "recall": recall}
    out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
