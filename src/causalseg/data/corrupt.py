"""Images changed by a known cause: synthetic confounders, each a domain of its own.

Each corruption is a pure function of an image and a generator, and changes appearance only: the
mask of the original stays true. The generator of a file comes from seed, corruption and name.
"""

import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from causalseg.data.display import Pixels
from causalseg.data.images import read_image
from causalseg.data.lvit import IMAGE_FOLDER, MASK_FOLDER, find_table, read_lvit, splits_of
from causalseg.data.manifest import Split
from causalseg.errors import InputError
from causalseg.files import replacing_folder

Floats = NDArray[np.float64]
Rng = np.random.Generator


def blur(image: Pixels, rng: Rng) -> Pixels:
    """Gaussian blur with a standard deviation of 1.2 to 2.5 % of the shorter side."""
    sigma = rng.uniform(0.012, 0.025) * min(image.shape[:2])
    return np.array(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


def dark(image: Pixels, rng: Rng) -> Pixels:
    """All intensities times 0.25 to 0.45."""
    return _to_pixels(_unit(image) * rng.uniform(0.25, 0.45))


def bright(image: Pixels, rng: Rng) -> Pixels:
    """Overexposure: intensities times 1.6 to 2.2, saturating."""
    return _to_pixels(_unit(image) * rng.uniform(1.6, 2.2))


def uneven(image: Pixels, rng: Rng) -> Pixels:
    """Light from one side: a linear ramp from 0.2 to 1.4 at a random angle."""
    y, x = _grid(image)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    ramp = (along - along.min()) / (along.max() - along.min())
    return _to_pixels(_spread(0.2 + 1.2 * ramp, image) * _unit(image))


def nbi(image: Pixels, rng: Rng) -> Pixels:
    """Hue of narrow band imaging: 415 nm shown as blue and green, 540 nm as red.

    Haemoglobin absorbs both, so red light's smooth brightness is lost: red takes the green
    channel, green and blue take the blue one.
    """
    r, g, b = np.moveaxis(_unit(_colour(image)), -1, 0)
    narrow, wide = 0.85 * b + 0.15 * g, 0.9 * g + 0.1 * r
    gain = rng.uniform(0.9, 1.2)
    return _to_pixels(np.stack([0.75 * wide, gain * narrow, 1.1 * gain * narrow], axis=-1))


def specular(image: Pixels, rng: Rng) -> Pixels:
    """12 to 30 white, soft-edged elliptic reflections."""
    y, x = _grid(image)
    light = np.zeros(image.shape[:2])
    for _ in range(int(rng.integers(12, 31))):
        cy, cx = rng.uniform(-0.9, 0.9, size=2)
        ry, rx = rng.uniform(0.015, 0.06, size=2)
        distance = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2
        light = np.maximum(light, np.clip(1.5 - distance, 0, 1))
    cover = _spread(light * _lit(image), image)
    return _to_pixels(_unit(image) * (1 - cover) + cover)


def blood(image: Pixels, rng: Rng) -> Pixels:
    """Dark red, half transparent pools over 15 to 35 % of the image."""
    field = _smooth_noise(image.shape[:2], rng)
    share = rng.uniform(0.15, 0.35)
    edge = np.quantile(field, 1 - share)
    cover = (0.7 * np.clip((field - edge) / 0.04 + 0.5, 0, 1) * _lit(image))[..., None]
    red = np.array([0.45, 0.03, 0.03])
    return _to_pixels(_unit(_colour(image)) * (1 - cover) + red * cover)


def noise(image: Pixels, rng: Rng) -> Pixels:
    """Gaussian sensor noise, standard deviation 0.08 to 0.15 of full scale."""
    strength = rng.uniform(0.08, 0.15)
    return _to_pixels(_unit(image) + rng.normal(0, strength, size=image.shape))


CORRUPTIONS: Mapping[str, Callable[[Pixels, Rng], Pixels]] = {
    f.__name__: f for f in (blur, dark, bright, uneven, nbi, specular, blood, noise)
}
"""By name."""

CAUSES = {
    "blur": "blur",
    "dark": "dark light",
    "bright": "bright light",
    "uneven": "uneven light",
    "nbi": "narrow band imaging",
    "specular": "reflection",
    "blood": "blood",
    "noise": "artifacts",
}
"""Corruption -> the domain of the shipped endoscopy prompts that names its cause."""


def corrupt(image: Pixels, kind: str, name: str, seed: int = 0) -> Pixels:
    """Corrupt an image.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        kind: one of `CORRUPTIONS`.
        name: the file's; with the seed it decides every random number.
        seed: the same for the whole copy.

    Returns:
        An image of the same height and width; `nbi` and `blood` of a grey image are in colour.

    """
    words = (seed, zlib.crc32(kind.encode()), zlib.crc32(name.encode()))
    return CORRUPTIONS[kind](image, np.random.default_rng(words))


def corrupt_dataset(
    root: Path,
    out: Path,
    kinds: Sequence[str],
    seed: int = 0,
    *,
    advance: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Write a corrupted copy of a data set for each kind: `OUT/<kind>`, in the LViT layout.

    Masks and texts are copied as they are; images become PNG. A copy is made beside its place
    and renamed when it is whole.

    Raises:
        InputError: a kind is unknown, a copy exists already, or the data set has errors.

    """
    unknown = [kind for kind in kinds if kind not in CORRUPTIONS]
    if unknown:
        raise InputError(
            f"there is no corruption {unknown[0]!r}; choose from {', '.join(CORRUPTIONS)}."
        )
    existing = [kind for kind in kinds if (out / kind).exists()]
    if existing:
        raise InputError(f"{out / existing[0]} exists already; name another folder.")
    manifests = [read_lvit(root, split) for split in splits_of(root)]
    made = []
    for kind in kinds:
        with replacing_folder(out / kind) as part:
            for manifest in manifests:
                folder = part / _folder(manifest.split)
                for name in (IMAGE_FOLDER, MASK_FOLDER):
                    (folder / name).mkdir(parents=True)
                shutil.copy2(find_table(root / folder.name, manifest.split), folder)
                for record in manifest.records:
                    image = corrupt(read_image(record.image), kind, record.image.name, seed)
                    Image.fromarray(image).save(folder / IMAGE_FOLDER / f"{record.image.stem}.png")
                    shutil.copy2(record.mask, folder / MASK_FOLDER)
                    advance()
        made.append(out / kind)
    return made


def _folder(split: Split) -> str:
    return f"{split.capitalize()}_Folder"


def _unit(image: Pixels) -> Floats:
    return image.astype(np.float64) / 255


def _lit(image: Pixels) -> Floats:
    """(H, W) in 0..1: 0 in the black frame around an endoscope's view, where nothing is seen."""
    brightest = _unit(image) if image.ndim == 2 else _unit(image).max(axis=2)
    return np.clip(brightest * 12, 0, 1)


def _to_pixels(values: Floats) -> Pixels:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _colour(image: Pixels) -> Pixels:
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _spread(values: Floats, image: Pixels) -> Floats:
    """(H, W) to the image's number of axes."""
    return values if image.ndim == 2 else values[..., None]


def _grid(image: Pixels) -> tuple[Floats, Floats]:
    """Row and column coordinates in -1..1, (H, 1) and (1, W)."""
    height, width = image.shape[:2]
    return np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]


def _smooth_noise(shape: tuple[int, ...], rng: Rng) -> Floats:
    """Random field (H, W) in 0..1 whose blobs are about a fifth of the image."""
    coarse = Image.fromarray(rng.uniform(size=(6, 6)).astype(np.float32))
    fine = coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(fine, dtype=np.float64)
