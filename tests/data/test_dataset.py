import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from causalseg.data.augment import AugmentConfig, Change, affine, draw_change, tone_curve
from causalseg.data.dataset import SegmentationDataset
from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.data.preprocessing import Preprocessing
from causalseg.text.captions import mirror_caption
from causalseg.text.readers.clip import ClipTokens
from causalseg.text.tokenizer import tokenize

PREP = Preprocessing(size=48)


def still(**changes: object) -> Change:
    values = {"flip": False, "scale": 1.0, "angle": 0.0, "shift": (0.0, 0.0)}
    return Change(**{**values, "gamma": 1.0, "contrast": 1.0, "brightness": 0.0, **changes})


def test_items_are_the_files_resized_and_normalised(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "val")
    dataset = SegmentationDataset(manifest, PREP)
    assert len(dataset) == 3
    for i, record in enumerate(manifest.records):
        item = dataset[i]
        torch.testing.assert_close(item["image"], PREP.image(read_image(record.image)))
        torch.testing.assert_close(item["mask"], PREP.mask(read_mask(record.mask)))
        assert torch.equal(item["tokens"], tokenize(record.caption, 20)[0])
        assert item["index"] == i


def test_grey_sets_keep_one_plane_and_a_colour_image_keeps_all(phantom_copy: Path) -> None:
    manifest = read_lvit(phantom_copy, "val")
    assert SegmentationDataset(manifest, PREP).pixels.shape == (3, 2, 48, 48)
    path = manifest.records[1].image
    colour = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(colour).save(path)
    dataset = SegmentationDataset(manifest, PREP)
    assert dataset.pixels.shape == (3, 4, 48, 48)
    for i, record in enumerate(manifest.records):
        torch.testing.assert_close(dataset[i]["image"], PREP.image(read_image(record.image)))
        torch.testing.assert_close(dataset[i]["mask"], PREP.mask(read_mask(record.mask)))


def test_a_memory_map_serves_the_same_and_is_made_anew_when_damaged(
    small_phantoms: Path, tmp_path: Path
) -> None:
    manifest = read_lvit(small_phantoms, "train")
    plain = SegmentationDataset(manifest, PREP)
    mapped = SegmentationDataset(manifest, PREP, cache=tmp_path)
    assert isinstance(mapped.pixels, np.memmap)
    np.testing.assert_array_equal(plain.pixels, mapped.pixels)
    (path,) = tmp_path.glob("*.npy")
    stamp = path.stat().st_mtime_ns
    SegmentationDataset(manifest, PREP, cache=tmp_path)
    assert path.stat().st_mtime_ns == stamp, "an intact map is used again"
    damaged = bytearray(path.read_bytes())
    damaged[-100] ^= 1
    path.write_bytes(damaged)
    again = SegmentationDataset(manifest, PREP, cache=tmp_path)
    np.testing.assert_array_equal(plain.pixels, again.pixels)
    SegmentationDataset(manifest, Preprocessing(size=32), cache=tmp_path)
    SegmentationDataset(manifest.limit(4), PREP, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 3
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")], "no partial files"


def test_augmentation_is_decided_by_seed_epoch_and_index(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "train")
    first = SegmentationDataset(manifest, PREP, augment=True, seed=1)
    second = SegmentationDataset(manifest, PREP, augment=True, seed=1)
    for _ in range(3):
        first[(0, 5)]  # What was served before must not matter.
    assert torch.equal(first[(7, 5)]["image"], second[(7, 5)]["image"])
    second.set_epoch(7)
    assert torch.equal(first[(7, 5)]["image"], second[5]["image"])
    assert not torch.equal(first[(7, 5)]["image"], first[(8, 5)]["image"])
    other = SegmentationDataset(manifest, PREP, augment=True, seed=2)
    assert not torch.equal(first[(7, 5)]["image"], other[(7, 5)]["image"])


def test_a_flip_mirrors_the_pixels_and_swaps_the_sides(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "train")
    dataset = SegmentationDataset(manifest, PREP, augment=True)
    dataset.augment = AugmentConfig(
        scale=(1, 1), degrees=0, shift=0, gamma=1, contrast=0, brightness=0
    )
    flips = 0
    for i, record in enumerate(manifest.records):
        item, mirrored = dataset[(0, i)], mirror_caption(record.caption)
        image, mask = PREP.image(read_image(record.image)), PREP.mask(read_mask(record.mask))
        flipped = torch.equal(item["tokens"], tokenize(mirrored)[0])
        assert flipped or torch.equal(item["tokens"], tokenize(record.caption)[0])
        if mirrored == record.caption:
            continue
        flips += flipped
        expected = (image.flip(-1), mask.flip(-1)) if flipped else (image, mask)
        torch.testing.assert_close(item["image"], expected[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(item["mask"], expected[1])
    assert 3 < flips < 18


def test_a_caption_whose_side_cannot_be_swapped_is_never_flipped(phantom_copy: Path) -> None:
    table = phantom_copy / "Val_Folder" / "Val_text.csv"
    names = [line.split(",")[0] for line in table.read_text().splitlines()[1:]]
    caption = "fluid beside the left ventricle"
    assert mirror_caption(caption) is None
    table.write_text("\n".join(["Image,Description", *(f"{name},{caption}" for name in names)]))
    dataset = SegmentationDataset(read_lvit(phantom_copy, "val"), PREP, augment=True)
    dataset.augment = AugmentConfig(
        flip=1, scale=(1, 1), degrees=0, shift=0, gamma=1, contrast=0, brightness=0
    )
    plain = SegmentationDataset(dataset.manifest, PREP)
    for epoch in range(4):
        torch.testing.assert_close(
            dataset[(epoch, 0)]["image"], plain[0]["image"], atol=1e-4, rtol=0
        )


def test_affine_moves_image_and_mask_as_stated() -> None:
    pixels, mask = torch.zeros(1, 64, 64), np.zeros((1, 64, 64), np.uint8)
    pixels[:, 10:14, 40:44], mask[:, 10:14, 40:44] = 1, 1
    for change, (cy, cx) in {
        still(): (12, 42),
        still(shift=(0.125, 0.25)): (28, 50),
        still(scale=0.5): (22, 37),
        # A quarter turn anticlockwise takes the upper right to the upper left.
        still(angle=np.pi / 2): (22, 12),
    }.items():
        moved, area = affine(pixels, mask, change)
        for plane in (moved[0], area[0]):
            weights = plane / plane.sum()
            axis = torch.arange(64) + 0.5
            assert (weights.sum(1) * axis).sum().item() == pytest.approx(cy, abs=0.3)
            assert (weights.sum(0) * axis).sum().item() == pytest.approx(cx, abs=0.3)
        assert set(area.unique().tolist()) <= {0.0, 1.0}
        assert area.sum().item() == pytest.approx(16 * change.scale**2, abs=4)


def test_draws_stay_within_their_ranges_and_tones_within_0_and_1() -> None:
    config = AugmentConfig()
    planes = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    torch.testing.assert_close(tone_curve(planes, still()), torch.from_numpy(planes) / 255)
    for seed in range(200):
        change = draw_change(np.random.default_rng(seed), config)
        assert 0.85 <= change.scale <= 1.15
        assert abs(np.rad2deg(change.angle)) <= 10
        assert max(map(abs, change.shift)) <= 0.06
        tones = tone_curve(planes, change).flatten()
        assert 0 <= tones.min() <= tones.max() <= 1
        assert (tones.diff() >= 0).all(), "brighter stays brighter"


def test_cut_captions_are_reported_once_with_the_words_lost(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "val")
    with pytest.warns(UserWarning, match=r"3 of 3 captions exceed 10 tokens.*lung") as caught:
        SegmentationDataset(manifest, Preprocessing(size=32, reader=ClipTokens(10)))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SegmentationDataset(manifest, PREP)
