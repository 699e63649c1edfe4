import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalseg.data.images import read_image, read_mask
from causalseg.data.lvit import read_lvit
from causalseg.data.phantom import (
    PHANTOM_ZONES,
    describe_zones,
    draw_phantom,
    make_phantoms,
    named_zones,
    phantom_cases,
    truth,
)
from causalseg.errors import InputError
from causalseg.text.tokenizer import token_lengths


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        make_phantoms(tmp_path / name, count=8, seed=seed, size=48)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "a") != digests(tmp_path / "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_files_agree_with_the_cases(small_phantoms: Path) -> None:
    cases = {case.name: case for case in phantom_cases(30, seed=3, size=64)}
    seen = 0
    for split in ("train", "val", "test"):
        for record in read_lvit(small_phantoms, split).records:
            case = cases[record.name]
            assert (case.split, case.caption) == (split, record.caption)
            np.testing.assert_array_equal(read_image(record.image), case.phantom.image)
            np.testing.assert_array_equal(
                read_mask(record.mask), truth(case.phantom, record.caption)
            )
            seen += 1
    assert seen == 30


def test_only_the_text_tells_which_opacity_is_meant() -> None:
    cases = list(phantom_cases(120, seed=0, size=48))
    empty = 0
    for case in cases:
        mask, everything = (
            truth(case.phantom, text)
            for text in (case.caption, describe_zones(PHANTOM_ZONES, "sgseg"))
        )
        assert everything.sum() > mask.sum(), "some opacity must stay unnamed"
        empty += not mask.any()
    assert 0.04 <= empty / len(cases) <= 0.2
    assert max(token_lengths([case.caption for case in cases])) <= 20
    subjects = [{c.name.split("_")[1] for c in cases if c.split == s} for s in ("train", "test")]
    assert not subjects[0] & subjects[1]


def test_opacities_are_in_their_zones_and_visible() -> None:
    for case in phantom_cases(40, seed=1, size=96):
        phantom = case.phantom
        total = np.zeros(phantom.image.shape, int)
        for (side, height), mask in phantom.masks.items():
            assert 0.012 < mask.mean() < 0.06
            y, x = (axis.mean() / 96 for axis in np.nonzero(mask))
            assert (side == "left") == (x < 0.5), "left is the viewer's"
            assert height == ("upper", "middle", "lower")[int((y - 0.12) / 0.75 * 3)]
            total += mask
        assert total.max() == 1, "zones must not overlap"


@given(st.sets(st.sampled_from(PHANTOM_ZONES), min_size=1), st.sampled_from(["lvit", "sgseg"]))
def test_captions_name_what_they_are_made_from(zones: set, wording: str) -> None:
    assert named_zones(describe_zones(zones, wording)) == zones


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sets(st.sampled_from(PHANTOM_ZONES), min_size=1))
def test_truth_is_the_union_of_the_zones_named(seed: int, zones: set) -> None:
    phantom = draw_phantom(np.random.default_rng(seed), size=48)
    expected = np.zeros((48, 48), bool)
    for zone, mask in phantom.masks.items():
        if zone in zones:
            expected = expected | mask
    np.testing.assert_array_equal(truth(phantom, describe_zones(zones)), expected)


def test_truth_of_absent_and_of_foreign_captions() -> None:
    phantom = draw_phantom(np.random.default_rng(0), size=48)
    assert not truth(phantom, "No pulmonary infection.").any()
    with pytest.raises(InputError):
        truth(phantom, "No polyp visible.")
    with pytest.raises(ValueError, match="zones"):
        describe_zones([])


def test_an_occupied_folder_and_hopeless_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        make_phantoms(tmp_path, count=5, seed=0)
    for bad in ({"count": 2}, {"seed": -1}, {"size": 8}):
        with pytest.raises(InputError):
            make_phantoms(tmp_path / "new", **{"count": 5, "seed": 0, **bad})
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
