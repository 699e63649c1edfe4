import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from causalseg.errors import InputError
from causalseg.text.captions import mirror_caption, parse
from causalseg.text.derive import agreement, derive_lung, derive_polyp
from causalseg.text.grammar_lung import ZONES, LungFinding, lung_finding
from causalseg.text.grammar_polyp import _COLUMNS, _ROWS, PolypFinding

THIRDS = (1 / 3, 2 / 3)
SUBSETS = [tuple(z for i, z in enumerate(ZONES) if bits >> i & 1) for bits in range(8)]


def chest(left: tuple[str, ...], right: tuple[str, ...], size: int = 120) -> np.ndarray:
    """A mask with a block in the middle of each named third."""
    mask = np.zeros((size, size), bool)
    for zones, column in ((left, size // 4), (right, 3 * size // 4)):
        for zone in zones:
            row = (2 * ZONES.index(zone) + 1) * size // 6
            mask[row - 8 : row + 8, column - 10 : column + 10] = True
    return mask


@given(st.sampled_from(SUBSETS), st.sampled_from(SUBSETS), st.sampled_from(["lvit", "sgseg"]))
def test_lung_zones_come_back(left: tuple[str, ...], right: tuple[str, ...], wording: str) -> None:
    finding = derive_lung(chest(left, right), wording, THIRDS)  # type: ignore[arg-type]
    assert finding == lung_finding(left, right, wording)  # type: ignore[arg-type]
    assert finding.compose() == lung_finding(left, right, wording).compose()  # type: ignore[arg-type]


@given(st.sampled_from(SUBSETS), st.sampled_from(SUBSETS))
def test_mirrored_mask_gives_the_swapped_caption(
    left: tuple[str, ...], right: tuple[str, ...]
) -> None:
    mask = chest(left, right)
    assert mirror_caption(derive_lung(mask).compose()) == derive_lung(mask[:, ::-1]).compose()


def test_default_cuts_are_the_annotators_not_thirds() -> None:
    mask = np.zeros((224, 224), bool)
    mask[100:130, 30:60] = True  # anatomically the middle third
    assert derive_lung(mask).compose() == (
        "unilateral pulmonary infection, one infected area, lower left lung."
    )
    assert derive_lung(mask, cuts=THIRDS).zones == {("left", "middle")}


def test_small_and_thin_parts() -> None:
    mask = chest(("lower",), ())
    mask[100, 100] = True  # one pixel on the right: less than the least share
    assert derive_lung(mask, cuts=THIRDS).right is None
    dot = np.zeros((224, 224), bool)
    dot[200, 200] = True  # thinner than the least width: still named, where it lies
    assert derive_lung(dot).zones == {("right", "lower")}
    assert derive_lung(np.zeros((50, 60), bool)).compose() == "no pulmonary infection."
    assert derive_lung(np.ones((50, 60), bool)).zones == {
        (side, zone) for side in ("left", "right") for zone in ZONES
    }


@pytest.mark.parametrize("cuts", [(0.5, 0.5), (0.0, 0.5), (0.7, 0.3), (0.2, 1.0), (0.1, np.nan)])
def test_bad_cuts_are_refused(cuts: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="cuts"):
        derive_lung(np.ones((9, 9), bool), cuts=cuts)


def test_bad_masks_are_refused() -> None:
    for mask in (np.ones((9, 9)), np.ones((9, 9, 3), bool), np.ones((0, 9), bool)):
        with pytest.raises(InputError, match=r"\(H, W\) bool"):
            derive_lung(mask)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"\(H, W\) bool"):
            derive_polyp(mask)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from(_ROWS), st.sampled_from(_COLUMNS)), unique=True))
def test_polyp_cells_come_back(cells: list[tuple[str, str]]) -> None:
    mask = np.zeros((90, 120), bool)
    for row, column in cells:
        y, x = 30 * _ROWS.index(row) + 15, 40 * _COLUMNS.index(column) + 20
        mask[y - 3 : y + 3, x - 3 : x + 3] = True
    finding = derive_polyp(mask)
    assert finding.count == len(cells)
    assert set(finding.positions) == set(cells)
    assert parse(finding.compose()) == finding


def test_polyp_rules_at_their_limits() -> None:
    mask = np.zeros((100, 100), bool)
    mask[10, 10:19] = True  # 9 of 10000 pixels: below 0.1 %
    assert derive_polyp(mask).compose() == "No polyp visible."
    mask[10, 19] = True
    assert derive_polyp(mask) == PolypFinding(1, "small", (("upper", "left"),))
    mask[11, 20] = True  # joined by a corner only
    assert derive_polyp(mask).count == 1
    mask[60:90, 40:56] = True  # 480 of 10000, and the larger comes first
    assert derive_polyp(mask).positions == (("lower", "center"), ("upper", "left"))
    mask[60:90, 56] = True
    assert derive_polyp(mask).size == "medium"
    mask[60:90, 57:95] = True
    assert derive_polyp(mask).size == "large"


def test_agreement_counts() -> None:
    written = [lung_finding(("upper",), ("lower",)), lung_finding((), ("middle",))]
    derived = [lung_finding(("upper",), ("middle",)), lung_finding(("upper",), ("middle",))]
    found = agreement(derived, written)
    assert (found.images, found.laterality, found.captions) == (2, 1, 0)
    assert (found.lungs, found.lungs_exact) == (3, 2)
    assert agreement(written, written).captions == 2


def table(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["Image"]: row["Description"] for row in csv.DictReader(file)}


@pytest.mark.realdata
def test_agreement_with_qata_test_captions(qata_root: Path) -> None:
    folder = qata_root / "Test_Folder"
    captions = table(folder / "Test_text.csv")
    masks = [np.asarray(Image.open(folder / "labelcol" / name)) > 0 for name in captions]
    written = [
        finding for text in captions.values() if isinstance(finding := parse(text), LungFinding)
    ]
    found = agreement([derive_lung(mask) for mask in masks], written)
    assert found.images == 2113
    assert found.laterality / found.images > 0.98
    assert found.lungs_exact / found.lungs > 0.70
    assert found.captions / found.images > 0.60
    thirds = agreement([derive_lung(mask, cuts=THIRDS) for mask in masks], written)
    assert thirds.captions / thirds.images < 0.35


@pytest.mark.realdata
def test_polyp_captions_are_derived_exactly(data_root: Path) -> None:
    tables = sorted((data_root / "polyp_multicentre").glob("*/Test_Folder/Test_text.csv"))
    assert tables
    for path in tables:
        for name, caption in table(path).items():
            mask = np.asarray(Image.open(path.parent / "labelcol" / name)) > 0
            assert derive_polyp(mask).compose() == caption
