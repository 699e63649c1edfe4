"""How often a checkpoint's image check warns, by kind of picture.

    python scripts/unlike_pictures.py DATA --out docs/results/trust/unlike.json

DATA is the folder that holds QaTa-COV19, MoNuSeg, polyp_multicentre and MosMedDataPlus_demo22. The
chest X-rays are validation images, half of which (those that set the threshold) cannot be told
from the rest; the other kinds were not looked at when the check was set.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.files import sha256_of, write_json
from causalseg.inference.default import DEFAULT, checkpoint_path
from causalseg.inference.segmenter import Segmenter

Picture = NDArray[np.uint8]


def kinds(data: Path, count: int) -> Iterator[tuple[str, list[Picture]]]:
    """Pictures by kind."""
    records = read_lvit(data / "QaTa-COV19", "val", leaks="keep").limit(count, 1).records
    chest = [read_image(r.image) for r in records]
    yield "chest X-rays, as they are", chest
    yield "mirrored", [x[:, ::-1] for x in chest]
    yield "inverted", [255 - x for x in chest]
    yield "turned by 90 degrees", [np.rot90(x) for x in chest]
    yield "upside down", [x[::-1] for x in chest]
    yield "the middle half of each side", [crop(x, 0.5) for x in chest]
    yield "the middle three quarters of each side", [crop(x, 0.75) for x in chest]
    yield "at 40 % of the brightness", [(0.4 * x).astype(np.uint8) for x in chest]
    yield "masks in place of pictures", [read_mask(r.mask).astype(np.uint8) * 255 for r in records]
    rng = np.random.default_rng(0)
    yield "noise", [rng.integers(0, 256, (224, 224)).astype(np.uint8) for _ in range(20)]
    yield "one grey value", [np.full((224, 224), v, np.uint8) for v in (0, 40, 128, 200, 255)]
    for name, pattern in (
        ("colonoscopy", "polyp_multicentre/KvasirSEG*/Val_Folder/img/*"),
        ("histology", "MoNuSeg/*/img/*"),
        ("CT slices", "MosMedDataPlus_demo22/*/img/*"),
    ):
        yield name, [read_image(path) for path in sorted(data.glob(pattern))[:count]]
    polyps = sorted(data.glob("polyp_multicentre/KvasirSEG*/Val_Folder/img/*"))[:count]
    yield "colonoscopy in grey", [np.asarray(Image.open(p).convert("L")) for p in polyps]


def crop(picture: Picture, share: float) -> Picture:
    """The middle of a picture."""
    h, w = (round(side * (1 - share) / 2) for side in picture.shape[:2])
    return picture[h : picture.shape[0] - h, w : picture.shape[1] - w]


def main() -> None:
    """Count the warnings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--count", type=int, default=100, help="pictures of a kind (100)")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    path = checkpoint_path(args.model)
    segmenter = Segmenter.load(path)
    check = segmenter.trust.image
    if check is None:
        raise SystemExit(f"{path} has no image check: run 'causalseg calibrate' first.")
    rows = []
    for name, pictures in kinds(args.data, args.count):
        distances = []
        for picture in pictures:
            deep = segmenter.encode([np.ascontiguousarray(picture)]).deep
            assert deep is not None
            distances.append(check.distance(deep[0].mean((1, 2)).numpy()))
        warned = sum(distance > 1 for distance in distances)
        rows.append({"kind": name, "pictures": len(distances), "warned": warned,
                     "median_distance": round(float(np.median(distances)), 2)})  # fmt: skip
        print(f"{name}: {warned} of {len(distances)}")
    write_json(args.out, {"model_sha256": sha256_of(path), "kinds": rows})


if __name__ == "__main__":
    main()
