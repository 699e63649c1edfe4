"""Data sets with a planted confounder: a plant tells, with a known strength, what the answer is.

With strength p the plant agrees with a property of the answer (which side, ...) in a share p of
the images of every split; in the rest it is in conflict. The same test images are written with the
plant removed, at random, and with the correlation reversed, so that each is a paired do(plant).
"""

import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalseg.data.display import Pixels
from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import IMAGE_FOLDER, MASK_FOLDER, read_lvit, split_folder, splits_of
from causalseg.data.manifest import Manifest, Record
from causalseg.data.plants import PLANTS, PlantKind, PlantPlace, draw_plant
from causalseg.errors import InputError
from causalseg.files import Row, replacing_folder, write_csv
from causalseg.text.words import UNLOCATED

Property = Literal["side", "height", "size", "presence"]
PROPERTIES: tuple[Property, ...] = get_args(Property)
Version = Literal["aligned", "conflict", "removed"]
"""What is done to the plant of one image: it agrees with the answer, contradicts it, is absent."""
TestSet = Literal["same", "removed", "independent", "reversed"]
TEST_SETS: tuple[TestSet, ...] = get_args(TestSet)
PLANT_FOLDER, PLANT_TABLE = "plant", "plants.csv"

_PLACES: dict[Property, tuple[PlantPlace | None, PlantPlace | None]] = {
    "side": ("left", "right"),
    "height": ("top", "bottom"),
    "size": (None, "right"),
    "presence": (None, "right"),
}
"""Where the plant is for the property's two values; None: it is not drawn."""


@dataclass(frozen=True)
class PlantSpec:
    """A plant and what it predicts.

    Raises:
        InputError: a name is unknown, or the strength is not between 0.5 and 1.

    """

    plant: PlantKind = "tag"
    """`tag`, `clip`, `border`, `patch`, `tone` or `text`."""
    predicts: Property = "side"
    """`side`, where more of the mask lies; `height`, whether its centre is above or below the
    middle of the training masks; `size`, whether it is larger than their median; `presence`."""
    seed: int = 0
    """Of the jitter, and of which images are in conflict."""

    def __post_init__(self) -> None:
        for name, given, known in (
            ("plant", self.plant, PLANTS),
            ("property", self.predicts, PROPERTIES),
        ):
            if given not in known:
                raise InputError(f"there is no {name} {given!r}; choose from {', '.join(known)}.")
        if self.seed < 0:
            raise InputError(f"--seed must not be negative: {self.seed}.")


def check_strength(strength: float) -> float:
    """The strength itself.

    Raises:
        InputError: it is not between 0.5 (the plant tells nothing) and 1.

    """
    if not 0.5 <= strength <= 1:
        raise InputError(
            f"--strength must lie between 0.5 (tells nothing) and 1, not {strength:g}."
        )
    return strength


@dataclass(frozen=True)
class Tie:
    """How a property is read off a mask; the limits come from the training masks."""

    predicts: Property
    middle: float = 0.5
    """Row of the masks' centres that divides upper from lower, as a share of the height."""
    area: float = 0.0
    """Median share of the picture that a mask covers."""

    def value(self, mask: NDArray[np.bool_]) -> int | None:
        """0 or 1, e.g. left or right, and absent or present; None where the mask does not say."""
        if self.predicts == "presence":
            return int(mask.any())
        if not mask.any():
            return None
        if self.predicts == "size":
            return int(mask.mean() > self.area)
        if self.predicts == "height":
            return int(_centre(mask) > self.middle)
        half = mask.shape[1] // 2
        left, right = int(mask[:, :half].sum()), int(mask[:, -half:].sum())
        return None if left == right else int(right > left)


def _centre(mask: NDArray[np.bool_]) -> float:
    return float((np.nonzero(mask)[0].mean() + 0.5) / len(mask))


def tie_of(masks: Sequence[NDArray[np.bool_]], predicts: Property) -> Tie:
    """The tie whose limits divide these masks, those of the training split, in halves.

    Raises:
        InputError: they have one value only, so that there is nothing to predict.

    """
    full = [mask for mask in masks if mask.any()]
    if full:
        tie = Tie(
            predicts,
            float(np.median([_centre(mask) for mask in full])),
            float(np.median([mask.mean() for mask in full])),
        )
        if {0, 1} <= {tie.value(mask) for mask in masks}:
            return tie
    raise InputError(
        f"there is nothing for a plant to predict: all training masks have one {predicts}."
    )


def plant(
    image: Pixels,
    mask: NDArray[np.bool_],
    version: Version,
    spec: PlantSpec,
    tie: Tie,
    name: str,
) -> tuple[Pixels, NDArray[np.bool_]]:
    """One version of an image.

    Args:
        image: (H, W) or (H, W, 3) uint8, without the plant.
        mask: (H, W), the answer.
        version: what to do to the plant.
        spec: which plant.
        tie: what it is tied to.
        name: of the record; with the seed it decides the plant's jitter, the same in all versions,
            and where the plant goes when the mask does not say.

    Returns:
        The picture, and the plant's pixels (H, W), none where it is not drawn.

    """
    value = tie.value(mask)
    if value is None:
        value = int(draw(spec, name, "value") < 0.5)
    place = _PLACES[spec.predicts][1 - value if version == "conflict" else value]
    if version == "removed" or place is None:
        return image, np.zeros(mask.shape, bool)
    rng = np.random.default_rng(_words(spec, name, "jitter"))
    return draw_plant(spec.plant, image, place, rng, mask)


def version_of(test: TestSet, spec: PlantSpec, name: str, strength: float) -> Version:
    """Which version of an image a set holds; `same` is also what is trained on.

    Wherever `same` agrees `reversed` is in conflict, and the converse.
    """
    if test == "removed":
        return "removed"
    if test == "independent":
        return "aligned" if draw(spec, name, "coin") < 0.5 else "conflict"
    agrees = draw(spec, name, "agrees") < strength
    return "aligned" if agrees == (test == "same") else "conflict"


def draw(spec: PlantSpec, name: str, purpose: str) -> float:
    """A number in [0, 1) that depends on the seed, the record's name and the purpose alone."""
    return float(np.random.default_rng(_words(spec, name, purpose)).random())


def _words(spec: PlantSpec, name: str, purpose: str) -> tuple[int, int, int]:
    return spec.seed, zlib.crc32(name.encode()), zlib.crc32(purpose.encode())


def read_tie(root: Path, predicts: Property) -> Tie:
    """The tie that a data set's training masks (or else those of its first split) give."""
    split = splits_of(root)[0]
    records = read_lvit(root, split).records
    return tie_of([read_mask(record.mask) for record in records], predicts)


def plant_dataset(
    root: Path,
    out: Path,
    spec: PlantSpec,
    strength: float,
    *,
    hide_words: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Path:
    """Write a planted copy of a data set, whole or not at all.

    `out` is a data set in the LViT layout whose test split is `same`; `out/removed`,
    `out/independent` and `out/reversed` are data sets with a test split alone. Each split's folder
    also has `plant/`, the plant's pixels under the mask's name, and `plants.csv`: what each image
    has, and what its answer is.

    Args:
        root: a data set in the LViT layout.
        out: a folder that does not exist.
        spec: which plant, and what it predicts.
        strength: share of images in which it agrees with the answer, 0.5 to 1.
        hide_words: write the same caption for all images, which names no place, so that the words
            cannot tell what the plant tells.
        advance: called for each image written.

    Raises:
        InputError: `out` exists, or the data set has errors or one value of the property only.

    """
    check_strength(strength)
    if out.exists():
        raise InputError(f"{out} exists already; name another folder.")
    tie = read_tie(root, spec.predicts)
    with replacing_folder(out) as part:
        for split in splits_of(root):
            manifest = read_lvit(root, split)
            for test in TEST_SETS if split == "test" else TEST_SETS[:1]:
                place = part if test == "same" else part / test
                _write_split(place, manifest, test, (spec, tie, strength), hide_words, advance)
    return out


def _write_split(
    root: Path,
    manifest: Manifest,
    test: TestSet,
    planting: tuple[PlantSpec, Tie, float],
    hide_words: bool,
    advance: Callable[[], None],
) -> None:
    spec, tie, strength = planting
    folder = split_folder(root, manifest.split)
    for name in (IMAGE_FOLDER, MASK_FOLDER, PLANT_FOLDER):
        (folder / name).mkdir(parents=True)
    rows: list[Row] = []
    for record in manifest.records:
        version = version_of(test, spec, record.name, strength)
        rows.append(_write_record(folder, record, version, spec, tie))
        advance()
    write_csv(folder / PLANT_TABLE, rows)
    captions = [UNLOCATED if hide_words else record.caption for record in manifest.records]
    table = [
        {"Image": record.name, "Description": caption}
        for record, caption in zip(manifest.records, captions, strict=True)
    ]
    write_csv(folder / f"{manifest.split.capitalize()}_text.csv", table)


def _write_record(folder: Path, record: Record, version: Version, spec: PlantSpec, tie: Tie) -> Row:
    mask = read_mask(record.mask)
    image, where = plant(read_image(record.image), mask, version, spec, tie, record.name)
    Image.fromarray(image).save(folder / IMAGE_FOLDER / f"{record.image.stem}.png")
    shutil.copy2(record.mask, folder / MASK_FOLDER)
    Image.fromarray(where.astype(np.uint8) * np.uint8(255)).save(
        folder / PLANT_FOLDER / f"{Path(record.name).stem}.png"
    )
    value = tie.value(mask)
    return {
        "Image": record.name,
        spec.predicts: "" if value is None else value,
        "version": version,
        "plant_area": round(float(where.mean()), 6),
    }
