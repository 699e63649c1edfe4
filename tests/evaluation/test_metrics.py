"""Overlap and boundary metrics against hand-computed cases and MONAI / scikit-image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from causalseg.evaluation.metrics import (
    batch_dice,
    confusion,
    dice,
    dice_from_counts,
    iou,
    iou_of_dice,
)
from causalseg.evaluation.surface import boundary_points, lesion_f1, surface_scores

SHAPE = (9, 11)
masks = arrays(np.bool_, SHAPE)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask


EMPTY = np.zeros(SHAPE, bool)
PIXEL = box(4, 5, 5, 6)
LEFT, RIGHT = box(2, 1, 5, 4), box(2, 7, 5, 10)


@pytest.mark.parametrize(
    ("prediction", "truth", "expected_dice", "expected_iou"),
    [
        (EMPTY, EMPTY, 1, 1),
        (PIXEL, EMPTY, 0, 0),
        (EMPTY, PIXEL, 0, 0),
        (PIXEL, PIXEL, 1, 1),
        (LEFT, RIGHT, 0, 0),
        (box(0, 0, 2, 2), box(0, 0, 2, 4), 2 * 4 / 12, 4 / 8),
        (PIXEL, box(4, 5, 5, 8), 2 / 4, 1 / 3),
    ],
)
def test_overlap_by_hand(prediction, truth, expected_dice, expected_iou):
    assert dice(prediction, truth) == pytest.approx(expected_dice)
    assert iou(prediction, truth) == pytest.approx(expected_iou)


@given(masks, masks)
def test_identities(prediction, truth):
    counts = confusion(prediction, truth)
    assert counts.tp + counts.fp + counts.fn + counts.tn == prediction.size
    assert iou(prediction, truth) == pytest.approx(float(iou_of_dice(dice(prediction, truth))))
    assert dice(prediction, truth) == dice(truth, prediction)


def test_batch_dice_is_dice_of_each_image():
    generator = np.random.default_rng(0)
    prediction, truth = generator.random((2, 6, 1, 8, 8)) > 0.6
    prediction[0], truth[0] = False, False
    truth[1] = False
    expected = [dice(p[0], t[0]) for p, t in zip(prediction, truth, strict=True)]
    result = batch_dice(torch.from_numpy(prediction), torch.from_numpy(truth).float())
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_refuses_what_is_not_a_pair_of_masks():
    with pytest.raises(ValueError, match="shapes differ"):
        dice(EMPTY, EMPTY[1:])
    with pytest.raises(TypeError, match="boolean"):
        dice(EMPTY.astype(float), EMPTY)


def test_counts_are_vectorised():
    np.testing.assert_allclose(dice_from_counts([0, 3, 0], [0, 1, 2], [0, 2, 0]), [1, 6 / 9, 0])


def test_boundary_includes_the_image_edge():
    # A 3 x 3 box in the corner: every pixel but the centre has an outside neighbour.
    assert len(boundary_points(box(0, 0, 3, 3))) == 8
    assert len(boundary_points(np.ones(SHAPE, bool))) == 2 * 9 + 2 * 11 - 4
    np.testing.assert_array_equal(boundary_points(PIXEL, (2.0, 0.5)), [[8, 2.5]])


@pytest.mark.parametrize(
    ("prediction", "truth", "nsd", "hd95"),
    [
        (EMPTY, EMPTY, 1, 0),
        (PIXEL, EMPTY, 0, np.hypot(*SHAPE)),
        (EMPTY, PIXEL, 0, np.hypot(*SHAPE)),
        (PIXEL, PIXEL, 1, 0),
        (box(0, 0, 1, 1), box(0, 3, 1, 4), 0, 3),
        (box(0, 0, 1, 1), box(0, 1, 1, 2), 1, 1),
    ],
)
def test_surface_by_hand(prediction, truth, nsd, hd95):
    scores = surface_scores(prediction, truth, tolerance=1)
    assert scores.nsd == pytest.approx(nsd)
    assert scores.hd95 == pytest.approx(hd95)


def test_spacing_scales_distances_by_axis():
    a, b = box(0, 0, 1, 1), box(0, 3, 1, 4)
    assert surface_scores(a, b, tolerance=1, spacing=(9, 0.5)).hd95 == 1.5
    assert surface_scores(a, b, tolerance=1.5, spacing=(9, 0.5)).nsd == 1
    assert surface_scores(a.T, b.T, tolerance=1, spacing=(9, 0.5)).hd95 == 27


@settings(max_examples=60, deadline=None)
@given(masks, masks, st.sampled_from([(1.0, 1.0), (0.7, 1.3)]), st.sampled_from([1.0, 2.0]))
def test_surface_agrees_with_monai(prediction, truth, spacing, tolerance):
    monai = pytest.importorskip("monai.metrics")
    if not prediction.any() or not truth.any():
        return  # MONAI leaves these undefined; our rule is tested by hand above
    ours = surface_scores(prediction, truth, tolerance=tolerance, spacing=spacing)
    pair = [torch.from_numpy(m)[None, None] for m in (prediction, truth)]
    nsd = monai.compute_surface_dice(
        *pair, class_thresholds=[tolerance], include_background=True, spacing=spacing
    )
    hd95 = monai.compute_hausdorff_distance(
        *pair, include_background=True, percentile=95, spacing=spacing
    )
    assert ours.nsd == pytest.approx(nsd.item(), abs=1e-6)
    assert ours.hd95 == pytest.approx(hd95.item(), abs=1e-5)


def test_lesion_f1_by_hand():
    assert lesion_f1(EMPTY, EMPTY) == 1
    assert lesion_f1(PIXEL, EMPTY) == 0
    assert lesion_f1(EMPTY, PIXEL) == 0
    assert lesion_f1(LEFT, RIGHT) == 0
    assert lesion_f1(LEFT, LEFT | RIGHT) == pytest.approx(2 * 0.5 * 1 / 1.5)
    diagonal = np.eye(*SHAPE, dtype=bool)
    # One 8-connected lesion: hitting 1 of its 9 pixels is over 10 %.
    assert lesion_f1(box(0, 0, 1, 1), diagonal) == 1
    # 1 of 12 pixels is not: the lesion is not found.
    assert lesion_f1(box(0, 0, 1, 1), box(0, 0, 3, 4)) == 0


@settings(max_examples=40, deadline=None)
@given(masks, masks)
def test_lesion_f1_agrees_with_a_loop_over_skimage_labels(prediction, truth):
    measure = pytest.importorskip("skimage.measure")

    def share(mask, other):
        labels = measure.label(mask, connectivity=2)
        parts = [labels == k for k in range(1, labels.max() + 1)]
        hits = [(p & other).sum() >= 0.1 * p.sum() for p in parts]
        return np.mean(hits) if hits else 0.0

    found, right = share(truth, prediction), share(prediction, truth)
    expected = 2 * found * right / (found + right) if found + right else 0.0
    if not prediction.any() and not truth.any():
        expected = 1.0
    assert lesion_f1(prediction, truth) == pytest.approx(expected)
