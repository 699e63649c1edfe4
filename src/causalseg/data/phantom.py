"""Chest-like phantoms whose caption names some of their opacities, so that only text can tell.

A phantom has opacities in several of the six lung zones (two sides, three heights). Its caption
names some of them, and the mask holds just those. The mask for any other caption is known too
(`truth`), which real data cannot offer. "left" is the viewer's left, as in QaTa-COV19.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.data.manifest import Split
from causalseg.data.phantom_drawing import (
    Anatomy,
    Marker,
    draw_anatomy,
    draw_image,
    draw_opacity,
)
from causalseg.errors import InputError
from causalseg.files import replacing_folder
from causalseg.text.captions import parse
from causalseg.text.grammar_lung import LungFinding, LungWording, lung_finding
from causalseg.text.words import SIDES

PhantomZone = tuple[str, str]
"""(side, height), e.g. ("left", "upper")."""
HEIGHTS = ("upper", "middle", "lower")
PHANTOM_ZONES: tuple[PhantomZone, ...] = tuple(
    (side, height) for side in SIDES for height in HEIGHTS
)
SHARE_ABSENT = 0.1
"""Share of phantoms whose caption names only zones that hold nothing."""
MAX_RUNS = 3
"""Most images of one subject."""
MIN_SIZE = 32
"""Least side in pixels: in smaller images the opacities have too few pixels to be shapes."""


@dataclass(frozen=True)
class Phantom:
    """A drawn image and what is in it."""

    image: NDArray[np.uint8]
    """(S, S) uint8."""
    masks: Mapping[PhantomZone, NDArray[np.bool_]]
    """(S, S) bool for each zone that holds an opacity; no two overlap."""


@dataclass(frozen=True)
class PhantomCase:
    """One row of a phantom data set."""

    name: str
    """The mask's file name, e.g. "mask_sub-S00012_run-1.png"."""
    split: Split
    phantom: Phantom
    caption: str


@dataclass(frozen=True)
class DrawnCase:
    """One row of a data set, drawn and not yet written."""

    name: str
    """The mask's file name."""
    split: Split
    image: NDArray[np.uint8]
    """(S, S)."""
    mask: NDArray[np.bool_]
    """(S, S)."""
    caption: str


def describe_zones(zones: Iterable[PhantomZone], wording: LungWording = "lvit") -> str:
    """Write the caption that names some zones, at least one, in LViT's or SGSeg's wording."""
    named = frozenset(zones)
    if not named or not named <= frozenset(PHANTOM_ZONES):
        raise ValueError(f"not zones of a lung: {sorted(named)}")
    left, right = (tuple(h for h in HEIGHTS if (side, h) in named) for side in SIDES)
    return lung_finding(left, right, wording).compose()


def named_zones(caption: str) -> frozenset[PhantomZone]:
    """The zones that a caption names; a lung named without a zone means all of it.

    InputError when the caption is not one about lungs.
    """
    finding = parse(caption)
    if not isinstance(finding, LungFinding):
        raise InputError(f"The caption {caption!r} is not about lungs, as a phantom's must be.")
    lungs = zip(SIDES, (finding.left, finding.right), strict=True)
    whole = {(side, h) for side, lung in lungs if lung and not lung.zones for h in HEIGHTS}
    return finding.zones | whole


def truth(phantom: Phantom, caption: str) -> NDArray[np.bool_]:
    """The true mask (S, S) of a phantom for any caption about lungs; may be empty."""
    mask = np.zeros(phantom.image.shape, bool)
    for zone in named_zones(caption):
        if zone in phantom.masks:
            mask |= phantom.masks[zone]
    return mask


def draw_phantom(
    rng: np.random.Generator,
    anatomy: Anatomy | None = None,
    size: int = 224,
    marker: Marker = "left",
) -> Phantom:
    """Draw a phantom with opacities in two to four zones.

    Args:
        rng: All randomness comes from here.
        anatomy: The subject's chest; a new one is drawn when None.
        size: Side S in pixels.
        marker: Where the lead marker lies.

    """
    anatomy = anatomy or draw_anatomy(rng)
    count = int(rng.integers(2, 5))
    chosen = [PHANTOM_ZONES[i] for i in sorted(rng.permutation(len(PHANTOM_ZONES))[:count])]
    opacities = {zone: draw_opacity(rng, anatomy, zone, size) for zone in chosen}
    image = draw_image(rng, anatomy, [o.density for o in opacities.values()], size, marker)
    return Phantom(image, {zone: opacity.mask for zone, opacity in opacities.items()})


def draw_caption(rng: np.random.Generator, phantom: Phantom) -> str:
    """Name some of a phantom's opacities, or (a tenth of the time) only zones without any."""
    held = [zone for zone in PHANTOM_ZONES if zone in phantom.masks]
    free = [zone for zone in PHANTOM_ZONES if zone not in phantom.masks]
    absent = rng.random() < SHARE_ABSENT
    pool = free if absent else held
    most = len(pool) if absent else len(pool) - 1  # At least one opacity stays unnamed.
    count = int(rng.integers(1, most + 1))
    chosen = [pool[i] for i in rng.permutation(len(pool))[:count]]
    return describe_zones(chosen, "lvit" if rng.random() < 0.5 else "sgseg")


def split_counts(count: int) -> tuple[tuple[Split, int], ...]:
    """How many of `count` phantoms go into each split: about 70 %, 10 % and 20 %, at least one.

    Raises:
        InputError: there are fewer than three.

    """
    if count < 3:
        raise InputError(f"--count must be at least 3, one a split, not {count}.")
    val, test = max(1, round(count * 0.1)), max(1, round(count * 0.2))
    return ("train", count - val - test), ("val", val), ("test", test)


def phantom_cases(
    count: int, seed: int, size: int = 224, marker: Marker = "left"
) -> Iterator[PhantomCase]:
    """The rows of a phantom data set, drawn one by one; the same for the same arguments.

    Subjects have one to three images each and stay within a split: about 70 % training, 10 %
    validation, 20 % test, and at least one image in each.
    """
    check_drawing(size, seed)
    subject = 0
    for split, left in split_counts(count):
        while left > 0:
            subject += 1
            rng = np.random.default_rng((seed, subject))
            anatomy = draw_anatomy(rng)
            runs = min(left, int(rng.integers(1, MAX_RUNS + 1)))
            for run in range(1, runs + 1):
                phantom = draw_phantom(rng, anatomy, size, marker)
                name = f"mask_sub-S{subject:05d}_run-{run}.png"
                yield PhantomCase(name, split, phantom, draw_caption(rng, phantom))
            left -= runs


def make_phantoms(
    out: str | Path,
    count: int,
    seed: int,
    size: int = 224,
    progress: Callable[[int], object] | None = None,
    marker: Marker = "left",
) -> None:
    """Write a phantom data set in the LViT layout, whole or not at all.

    Args:
        out: A folder that is absent or empty.
        count: Images in all.
        seed: The same seed gives the same bytes.
        size: Side of the images in pixels.
        progress: Called with the count of images written so far.
        marker: Where the lead marker "L" lies.

    Raises:
        InputError: `out` holds something, or the count is too small.

    """
    cases = (
        DrawnCase(c.name, c.split, c.phantom.image, truth(c.phantom, c.caption), c.caption)
        for c in phantom_cases(count, seed, size, marker)
    )
    write_cases(Path(out), cases, progress)


def check_drawing(size: int, seed: int) -> None:
    """Refuse a size or seed that no phantom can be drawn with."""
    if size < MIN_SIZE:
        raise InputError(f"--size must be at least {MIN_SIZE} pixels, not {size}.")
    if seed < 0:
        raise InputError(f"--seed must not be negative: {seed}.")


def write_cases(
    out: Path, cases: Iterable[DrawnCase], progress: Callable[[int], object] | None = None
) -> None:
    """Write drawn cases into an absent or empty folder, in the LViT layout, whole or not at all."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not empty: choose another folder or delete it.")
    with replacing_folder(out) as part:
        _write_cases(part, cases, progress)


def _write_cases(
    root: Path, cases: Iterable[DrawnCase], progress: Callable[[int], object] | None
) -> None:
    rows: dict[Split, list[tuple[str, str]]] = {"train": [], "val": [], "test": []}
    for split in rows:
        for kind in ("img", "labelcol"):
            (root / f"{split.capitalize()}_Folder" / kind).mkdir(parents=True)
    for done, case in enumerate(cases, start=1):
        folder = root / f"{case.split.capitalize()}_Folder"
        Image.fromarray(case.image).save(folder / "img" / case.name.removeprefix("mask_"))
        mask = case.mask.astype(np.uint8) * np.uint8(255)
        Image.fromarray(mask).save(folder / "labelcol" / case.name)
        rows[case.split].append((case.name, case.caption))
        if progress is not None:
            progress(done)
    for split, table in rows.items():
        path = root / f"{split.capitalize()}_Folder" / f"{split.capitalize()}_text.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("Image", "Description"), *table])
