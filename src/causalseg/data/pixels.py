"""The pixels of a whole split, decoded and resized once, in RAM or in a memory map."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from causalseg.data.images import RULES, read_image, read_mask
from causalseg.data.manifest import Manifest
from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.files import make_folder, replacing, sha256_of, write_json
from causalseg.inputs import read_json
from causalseg.progress import track


def load_pixels(
    manifest: Manifest, preprocessing: Preprocessing, cache: str | Path | None
) -> NDArray[np.uint8]:
    """Decode and resize a split to planes (N, C, S, S) uint8, or map them from a cache folder.

    The cache's file name carries the data's fingerprint, the size and the version of the reading
    rules; its SHA-256 is kept in a file beside it, and a map that does not match is made again.
    """
    if cache is None:
        return _decode_all(manifest, preprocessing)
    folder = make_folder(Path(cache))
    order = hashlib.sha256("\0".join(r.name for r in manifest.records).encode()).hexdigest()[:8]
    path = folder / f"{manifest.fingerprint()[:24]}-{order}-{preprocessing.size}-r{RULES}.npy"
    stamp = path.with_suffix(".json")
    if not _intact(path, stamp):
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, _decode_all(manifest, preprocessing))
        write_json(stamp, {"sha256": sha256_of(path)})
    mapped: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _intact(path: Path, stamp: Path) -> bool:
    try:
        return bool(read_json(stamp).get("sha256") == sha256_of(path))
    except InputError:
        return False


def _decode_all(manifest: Manifest, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    count, size = len(manifest), preprocessing.size
    planes = np.empty((count, 2, size, size), np.uint8)
    for i, record in enumerate(track(manifest.records, f"decoding {manifest.split}", count)):
        image, mask = read_image(record.image), read_mask(record.mask)
        if image.shape[:2] != mask.shape:
            raise InputError(f"{record.mask} and {record.image} differ in size.")
        resized = preprocessing.resize(image)
        colour = resized.ndim == 3 and not (resized == resized[..., :1]).all()
        if colour and planes.shape[1] == 2:
            grey, planes = planes, np.empty((count, 4, size, size), np.uint8)
            planes[:i, :3], planes[:i, 3] = grey[:i, :1], grey[:i, 1]
        planes[i, :-1] = (
            resized if resized.ndim == 2 else resized.transpose(2, 0, 1)[: len(planes[i]) - 1]
        )
        planes[i, -1] = preprocessing.resize_mask(mask)
    return planes
