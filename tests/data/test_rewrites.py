from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from causalseg.data.augment import AugmentConfig
from causalseg.data.dataset import SegmentationDataset
from causalseg.data.lvit import read_lvit
from causalseg.data.phantom import PHANTOM_ZONES, describe_zones, named_zones, phantom_cases, truth
from causalseg.data.preprocessing import Preprocessing
from causalseg.data.rewrites import Rewrite, RewriteConfig, check_sides, keep, rewrites
from causalseg.data.texts import TextTable
from causalseg.errors import InputError
from causalseg.text.captions import mirror_caption, parse
from causalseg.text.readers.clip import ClipTokens
from causalseg.text.tokenizer import tokenize
from causalseg.text.words import UNLOCATED

PREP = Preprocessing(size=48, reader=ClipTokens(40))
STILL = AugmentConfig(scale=(1, 1), degrees=0, shift=0, gamma=1, contrast=0, brightness=0)
captions = st.builds(
    describe_zones,
    st.sets(st.sampled_from(PHANTOM_ZONES), min_size=1),
    st.sampled_from(["lvit", "sgseg"]),
)


@given(captions)
def test_a_rewrite_asks_for_the_zones_of_what_it_keeps(caption: str) -> None:
    zones, found = named_zones(caption), rewrites(caption)
    assert bool(found["one_lung"]) == (len({side for side, _ in zones}) == 2)
    for choice in found["one_lung"]:
        assert named_zones(choice.caption) == {zone for zone in zones if zone[0] == choice.keeps}
    (negated,) = found["negate"]
    assert parse(negated.caption).absent
    assert negated.keeps == "nothing"
    for choice in found["other_lung"]:
        other = {"left": "right", "right": "left"}
        assert named_zones(choice.caption) == {(other[side], height) for side, height in zones}
        assert choice.keeps not in {side for side, _ in zones}
    assert bool(found["other_lung"]) != bool(found["one_lung"])
    assert found["unlocated"] == [Rewrite(UNLOCATED, "all")]
    (reworded,) = found["reword"]
    assert reworded.caption != caption
    assert named_zones(reworded.caption) == zones
    assert reworded.keeps == "all"


def test_what_is_kept_is_the_true_mask_of_the_rewritten_caption() -> None:
    compared = 0
    for case in phantom_cases(40, 0, 64):
        mask = truth(case.phantom, case.caption).astype(np.uint8)
        found = rewrites(case.caption)
        # The other two hold only where a caption names all that there is to see.
        for choice in chain(found["one_lung"], found["negate"], found["reword"]):
            expected = truth(case.phantom, choice.caption)
            np.testing.assert_array_equal(keep(mask, choice.keeps), expected)
            compared += choice.keeps in ("left", "right")
    assert compared > 20


def test_captions_that_do_not_parse_or_name_no_lungs_are_left_alone() -> None:
    assert not any(rewrites("something else").values())
    assert not any(rewrites("no pulmonary infection").values())
    polyp = "one small polyp in the upper left of the image"
    assert not rewrites(polyp)["one_lung"]
    assert not rewrites(polyp)["reword"]


def test_texts_are_drawn_as_often_as_asked() -> None:
    caption = describe_zones({("left", "upper"), ("right", "lower")}, "sgseg")
    table = TextTable(
        [caption, "something else"],
        ClipTokens(40),
        mirror=False,
        rewrite=RewriteConfig(0.3, 0.1, 0.2),
    )
    rng = np.random.default_rng(0)
    drawn = [table.draw(rng, 0) for _ in range(4000)]
    shares = {k: sum(r.keeps == k for r in drawn) / 4000 for k in ("left", "right", "nothing")}
    assert shares == pytest.approx({"left": 0.15, "right": 0.15, "nothing": 0.1}, abs=0.02)
    reworded = sum(r.keeps == "all" and r.row != table.own[0].row for r in drawn)
    assert reworded / 4000 == pytest.approx(0.2, abs=0.02)
    assert {table.draw(rng, 1).row for _ in range(50)} == {table.own[1].row}


def test_a_rewritten_item_has_the_rewritten_text_and_mask(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "train")
    plain = SegmentationDataset(manifest, PREP)
    dataset = SegmentationDataset(
        manifest, PREP, augment=True, rewrite=RewriteConfig(one_lung=0.7, negate=0.3)
    )
    dataset.augment = STILL
    seen = {"one_lung": 0, "negate": 0}
    for i, record in enumerate(manifest.records):
        found = rewrites(record.caption)
        item, own = dataset[(0, i)], plain[i]
        mask = item["mask"]
        mirrored = not torch.allclose(item["image"], own["image"], atol=1e-4)
        if mirrored:  # the text is mirrored with the pixels; look at the same side up
            torch.testing.assert_close(item["image"].flip(-1), own["image"], atol=1e-4, rtol=0)
            mask = mask.flip(-1)
            found = {
                kind: [Rewrite(mirror_caption(c.caption), c.keeps) for c in choices]
                for kind, choices in found.items()
            }
        for kind in seen:
            for choice in found[kind]:
                if torch.equal(item["tokens"], tokenize(choice.caption, 40)[0]):
                    seen[kind] += 1
                    expected = keep(own["mask"].numpy().astype(np.uint8), choice.keeps)
                    np.testing.assert_array_equal(mask.numpy(), expected)
    assert min(seen.values()) >= 2


def test_nothing_is_rewritten_without_augmentation(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "val")
    one, two = (
        SegmentationDataset(manifest, PREP, rewrite=rewrite)
        for rewrite in (None, RewriteConfig(negate=1))
    )
    for i in range(len(manifest)):
        assert torch.equal(one[i]["mask"], two[i]["mask"])
        assert torch.equal(one[i]["tokens"], two[i]["tokens"])


def test_sides_of_the_patient_are_refused() -> None:
    masks = np.zeros((4, 8, 8), np.uint8)
    masks[:, :, :4] = 1
    left = describe_zones({("left", "upper")})
    check_sides([left] * 4, masks)
    check_sides(["no sides"] * 4, masks[..., ::-1])
    with pytest.raises(InputError, match="only 0 of 4 masks lie on the one side"):
        check_sides([left] * 4, masks[..., ::-1])


def test_probabilities_must_be_probabilities() -> None:
    for chances in ((0.6, 0.3, 0.2), (-0.1, 0, 0)):
        with pytest.raises(InputError, match=r"data\.rewrite"):
            RewriteConfig(*chances)


def test_rewritten_captions_that_are_cut_are_reported(small_phantoms: Path) -> None:
    manifest = read_lvit(small_phantoms, "train")
    short = Preprocessing(size=32, reader=ClipTokens(10))
    with pytest.warns(UserWarning, match=r"rewritten: \d+ of \d+ captions exceed 10 tokens"):
        SegmentationDataset(manifest, short, augment=True, rewrite=RewriteConfig(one_lung=0.5))


def test_the_other_lung_keeps_what_the_mask_has_there() -> None:
    mask = np.ones((1, 4, 8), np.uint8)
    (choice,) = rewrites(describe_zones({("left", "upper")}))["other_lung"]
    assert keep(mask, choice.keeps)[..., :4].sum() == 0
    assert keep(mask, choice.keeps)[..., 4:].all()
