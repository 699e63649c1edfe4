"""What a checkpoint knows of its limits: each check by hand, and its way through the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from causalseg.errors import InputError
from causalseg.inference.segmenter import Segmenter
from causalseg.models.checkpoint import add_trust, load_checkpoint
from causalseg.models.checks import (
    BANDS,
    ImageCheck,
    OverlapEstimate,
    PlaceCheck,
    expected_overlap,
)
from causalseg.models.presence import FindingHead, PresenceCheck, Shown, evidence
from causalseg.models.trust import NO_FEATURES, OLD_CHECKS, OLD_EXPORT, ZONES_NOT_CHECKED, Trust
from causalseg.text.words import SIDES

RNG = np.random.default_rng(0)
WHOLE = {side: {(side, height) for height in BANDS} for side in SIDES}
TEXT = "unilateral pulmonary infection, one infected area, lower left lung."


def image_check(threshold: float = 1.0, size: int = 6) -> ImageCheck:
    directions = np.linalg.qr(RNG.normal(size=(size, 2)))[0].T
    return ImageCheck(
        RNG.normal(size=size).astype(np.float32),
        np.full(size, 2, np.float32),
        directions.astype(np.float32),
        threshold,
        0.01,
    )


def presence_check(channels: int, empty: float, doubt: float, zone: float = 0.0) -> PresenceCheck:
    torch.manual_seed(0)
    weights = FindingHead(channels, 4).vector()
    return PresenceCheck(weights, channels, 4, empty, doubt, 0.05, 0.1, 0.7, zone, 0.05, 0.88)


def trust_of(presence: float = 0.5, size: int = 6) -> Trust:
    knots = np.array([[0.2, 0.9], [0.1, 0.8], [0.0, 0.6], [0.3, 0.9]], np.float32)
    support = np.zeros((4, 4), np.float32)
    support[:, :2] = 1
    return Trust(
        image_check(size=size),
        presence_check(size, presence, presence),
        OverlapEstimate(2.0, knots, 0.8),
        PlaceCheck(support, 0.25),
    )


def test_an_image_is_as_far_as_what_no_component_explains() -> None:
    check = image_check()
    inside = check.mean + check.scale * (3 * check.components[0] - 2 * check.components[1])
    assert check.distance(inside) == pytest.approx(0, abs=1e-6)
    assert check.warning(inside) is None
    away = np.linalg.svd(check.components)[2][-1]  # at right angles to both components
    assert check.distance(inside + check.scale * 1.5 * away) == pytest.approx(1.5**2, rel=1e-4)
    assert "unlike those" in (check.warning(inside + check.scale * 1.5 * away) or "")


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 2.0]))
def test_expected_overlap_is_the_formula_over_pixels(seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.01, 0.99, (5, 4))
    mask = probability > 0.5
    mask[0, 0] = True
    above = below = 0.0
    for p, inside in zip(probability.flat, mask.flat, strict=True):
        soft = 1 / (1 + np.exp(-np.log(p / (1 - p)) / temperature))
        above += 2 * soft * inside
        below += soft + inside
    assert expected_overlap(probability, mask, temperature) == pytest.approx(above / below)


def test_an_empty_mask_has_no_expected_dice() -> None:
    overlap = trust_of().overlap
    assert overlap is not None
    assert overlap(np.full((4, 4), 0.001), np.zeros((4, 4))) is None
    found = overlap(np.ones((4, 4)), np.ones((4, 4)))
    assert found is not None
    assert (found.dice, found.low, found.high) == pytest.approx((0.8, 0.6, 0.9))
    assert str(found) == "0.80 (80 % interval 0.60 to 0.90)"


def test_evidence_is_the_mean_of_the_strongest_cells_of_a_half() -> None:
    logits = torch.from_numpy(RNG.normal(size=(3, 20, 20)))
    found = evidence(logits)
    for row, one in zip(found, logits.numpy(), strict=True):
        for value, half in zip(row, (one[:, :10], one[:, 10:]), strict=True):
            assert float(value) == pytest.approx(np.sort(half, axis=None)[-10:].mean())


def test_a_named_lung_is_left_empty_doubted_or_believed() -> None:
    deep = RNG.normal(size=(6, 5, 5)).astype(np.float32)
    found = presence_check(6, 0.0, 0.0).evidence(deep)
    head = presence_check(6, 0.0, 0.0).head
    with torch.no_grad():
        logits = head(torch.from_numpy(deep)[None])
    np.testing.assert_allclose(found[:, 0], evidence(logits).sigmoid()[0], rtol=1e-5)
    lower = evidence(logits[:, 8:]).sigmoid()[0]  # the lower 60 % of 20 rows
    np.testing.assert_allclose(found[:, 3], lower, rtol=1e-5)
    low, high = sorted(SIDES, key=lambda side: found[SIDES.index(side), 0])
    middle = float(found[:, 0].mean())
    both = WHOLE["left"] | WHOLE["right"]
    assert presence_check(6, middle, middle).shown(found, both) == Shown((low,), ())
    assert presence_check(6, middle, 1.0).shown(found, both) == Shown((low,), (high,))
    assert presence_check(6, 0.0, middle).shown(found, both) == Shown((), (low,))
    assert presence_check(6, 0.0, middle).shown(found, WHOLE[high]) == Shown()
    # A text without a place is doubted only where the image shows little in both lungs.
    assert presence_check(6, 0.0, middle).shown_anywhere(found) == Shown()
    assert presence_check(6, middle, 1.0).shown_anywhere(found) == Shown((), ("left", "right"))
    check = presence_check(6, 0.0, 0.5)
    assert check.warnings(Shown()) == ()
    empty, doubted = check.warnings(Shown(("left",), ("right",)))
    assert "the lung on the left of the picture (the patient's right)" in empty
    assert "left empty" in empty
    assert "5.0 % of true findings" in empty
    assert "the lung on the right of the picture (the patient's left)" in doubted
    assert "70 % of healthy lungs show no more, and 10 % of lungs with a finding" in doubted


def test_zones_asked_for_are_doubted_in_a_lung_that_shows_more_elsewhere() -> None:
    check = presence_check(6, 0.2, 0.4, zone=0.5)
    #                 whole, upper, middle, lower
    found = np.array([[0.90, 0.10, 0.30, 0.90], [0.30, 0.10, 0.10, 0.30]], np.float32)
    upper, middle = ("left", "upper"), ("left", "middle")
    assert check.shown(found, {upper}) == Shown(zones=(upper,))
    assert check.shown(found, {upper, middle}) == Shown(zones=(upper, middle))
    # One of the zones asked for shows enough, or the whole lung is asked for.
    assert check.shown(found, {middle, ("left", "lower")}) == Shown()
    assert check.shown(found, WHOLE["left"]) == Shown()
    # A lung that is doubted as a whole is told of once.
    assert check.shown(found, {("right", "upper")}) == Shown(little=("right",))
    (told,) = check.warnings(Shown(zones=(upper,)))
    assert "little in the upper zone of the lung on the left of the picture" in told
    assert "88 % of zones without a finding show no more, and 5 % of zones with one" in told


def test_a_mask_outside_the_places_is_told() -> None:
    place = trust_of().place
    assert place is not None
    mask = np.zeros((8, 8), np.uint8)
    assert place.warning(mask) is None
    mask[:, :4] = 1
    assert place.warning(mask) is None
    mask[:, 4:] = 1
    assert "50 % of the mask" in (place.warning(mask) or "")


@pytest.fixture
def trusted(tiny_checkpoint: Path, tmp_path: Path) -> tuple[Path, Trust]:
    width = load_checkpoint(tiny_checkpoint).model.image_tower.channels[4]  # type: ignore[union-attr, operator, index]
    trust = trust_of(presence=1.01, size=width)
    add_trust(tiny_checkpoint, tmp_path / "trusted.safetensors", trust)
    return tmp_path / "trusted.safetensors", trust


def same(a: Trust, b: Trust) -> bool:
    (one, arrays), (two, others) = a.pack(), b.pack()
    return one == two and all(np.array_equal(arrays[key], others[key]) for key in arrays | others)


def test_checks_come_back_from_the_file(trusted: tuple[Path, Trust], tiny_checkpoint: Path) -> None:
    path, trust = trusted
    back = load_checkpoint(path)
    assert same(back.trust, trust)
    plain = load_checkpoint(tiny_checkpoint)
    assert same(plain.trust, Trust())
    own = plain.model.state_dict()
    assert all((own[key] == value).all() for key, value in back.model.state_dict().items())


def test_a_file_of_text_holds_every_check() -> None:
    trust = trust_of()
    back = Trust.unpack(json.loads(json.dumps(trust.to_json())), {}, "file")
    assert same(back, trust)
    assert back.not_checked == ""


def test_checks_without_the_features_that_they_need_say_so() -> None:
    for trust in (Trust(image=trust_of().image), Trust(presence=trust_of().presence)):
        (told,) = trust.warnings(None, np.zeros((4, 4)), Shown())
        assert NO_FEATURES in told


def test_a_file_of_an_earlier_version_says_what_is_not_checked() -> None:
    mask = np.zeros((4, 4))
    export = Trust.unpack({"image_left_out": True}, {}, "file")
    assert [OLD_EXPORT in note for note in export.warnings(None, mask, Shown())] == [True]
    asked = {"presence": {"text": "pulmonary infection.", "threshold": 0.2, "kept": 0.98}}
    checkpoint = Trust.unpack(asked, {}, "file")
    assert checkpoint.presence is None
    assert [OLD_CHECKS in note for note in checkpoint.warnings(None, mask, Shown())] == [True]
    assert Trust.unpack(Trust().to_json(), {}, "file").warnings(None, mask, Shown()) == ()
    lungs = Trust(presence=presence_check(6, 0.0, 0.5)).to_json()
    for entry in ("zone", "zone_doubted", "zone_healthy"):
        del lungs["presence"][entry]
    deep = RNG.normal(size=(6, 5, 5)).astype(np.float32)
    trust = Trust.unpack(lungs, {}, "file")
    assert trust.presence is not None
    assert trust.presence.doubt == 0.5
    assert trust.warnings(deep, mask, Shown()) == (ZONES_NOT_CHECKED,)
    assert trust.presence.shown(trust.presence.evidence(deep), {("left", "upper")}).zones == ()


@pytest.mark.parametrize(
    "damage",
    [
        {"presence": trust_of().to_json()["presence"] | {"empty": float("nan")}},
        {"presence": trust_of().to_json()["presence"] | {"channels": 7}},
        {
            "presence": trust_of().to_json()["presence"]
            | {"weights": {"shape": [3], "float32": "?"}}
        },
        {"presence": {"empty": 0.5}},
        {"presence": 3},
        {"overlap": {"temperature": 2.0, "coverage": 0.8, "knots": [["a"]]}},
    ],
)
def test_damaged_checks_are_refused(damage: dict[str, object]) -> None:
    with pytest.raises(InputError, match="is damaged"):
        Trust.unpack(damage, {}, "file")


def test_an_answer_tells_what_the_checks_found(trusted: tuple[Path, Trust]) -> None:
    segmenter = Segmenter.load(trusted[0])
    segmenter.provenance = {"card": {"trained on": "QaTa-COV19"}}
    segmenter.threshold = 0.01
    image = RNG.integers(0, 256, (64, 64)).astype(np.uint8)
    result = segmenter(image, TEXT)
    told = " ".join(result.warnings)
    assert "unlike those" in told
    # No half reaches a threshold above 1: the named lung is left empty, the other not touched.
    assert "the lung on the left of the picture" in told
    assert not result.mask[:, :32].any()
    assert result.probability[:, :32].max() < 1e-6
    assert result.probability[:, 32:].max() > 1e-3
    plain = Segmenter.load(trusted[0])
    plain.trust = Trust()
    plain.provenance, plain.threshold = segmenter.provenance, 0.01
    right = plain(image, TEXT).probability[:, 34:]
    np.testing.assert_allclose(result.probability[:, 34:], right, atol=1e-5)
    assert result.expected is not None or not result.mask.any()
