"""The suite must tell a model that follows the text from one that ignores it."""

import json
import re

import numpy as np
import pytest

from causalseg.cli.main import main
from causalseg.data.phantom import describe_zones
from causalseg.errors import InputError
from causalseg.evaluation.faithfulness.adapter import SegmenterAdapter, load_adapter
from causalseg.evaluation.faithfulness.measures import TESTS, half, measure
from causalseg.evaluation.faithfulness.probes import (
    Case,
    Others,
    Probe,
    named_but_absent,
    others_of,
    probes_of,
)
from causalseg.evaluation.faithfulness.report import verdict
from causalseg.evaluation.faithfulness.suite import phantom_suite, run_suite, summarise_suite
from causalseg.text.captions import parse

COUNT, SIZE = 24, 64
MIRROR = {"left": "right", "right": "left"}
NAMED = re.compile(r"((?:(?:all|whole|upper|middle|lower|and)\s+)+)(left|right) lung")


def zones_in(text: str) -> set[tuple[str, str]]:
    """Read by a rule of its own, paraphrases included."""
    found = set()
    for words, side in NAMED.findall(text.lower()):
        heights = set(words.split()) & {"upper", "middle", "lower"}
        found |= {(side, h) for h in heights or ("upper", "middle", "lower")}
    return found


class Oracle:
    """Knows each phantom's opacities, and mirrors them for a mirrored image."""

    def __init__(self, cases) -> None:
        self.masks = {}
        for i in range(len(cases)):
            case = cases.load(i)
            masks = {
                (side, height): case.truth_for(describe_zones([(side, height)]))
                for side in MIRROR
                for height in ("upper", "middle", "lower")
            }
            self.masks[case.image.tobytes()] = masks
            flipped = {(MIRROR[s], h): m[:, ::-1] for (s, h), m in masks.items()}
            self.masks[np.ascontiguousarray(case.image[:, ::-1]).tobytes()] = flipped

    def encode(self, image):
        return self.masks[image.tobytes()]

    def probabilities(self, encoded, texts):
        return np.stack([self.one(encoded, text) for text in texts]).astype(np.float32)

    def one(self, masks, text):
        zones = zones_in(text)
        return sum((masks[z] for z in zones), np.zeros((SIZE, SIZE), bool))

    def threshold(self):
        return 0.5


class Blind(Oracle):
    """Segments every opacity, whatever the text says."""

    def one(self, masks, text):
        return np.any(list(masks.values()), axis=0)


@pytest.fixture(scope="module")
def cases():
    return phantom_suite(COUNT, seed=1, size=SIZE)


def summary(model, cases):
    return summarise_suite(run_suite(model, cases), resamples=200)


def test_a_model_that_follows_scores_perfect(cases):
    tests = summary(Oracle(cases), cases)
    assert set(tests) >= set(TESTS) - {"one side of six zones"}
    for name, test in tests.items():
        found = test.headline.estimate
        if test.perfect is not None:
            assert found == pytest.approx(test.perfect), name
        if "correct" in test.measures:
            assert test.measures["correct"].estimate == pytest.approx(1), name
    assert tests["own caption"].measures["dice"].estimate == 1
    assert tests["joint flip"].measures["centroid_error"].estimate == 0


def test_a_model_that_ignores_text_is_found_out(cases):
    tests = summary(Blind(cases), cases)
    for name, test in tests.items():
        found = test.headline.estimate
        if test.blind is not None:
            assert found == pytest.approx(test.blind), name
        if "correct" in test.measures:
            correct = test.measures["correct"].estimate
            assert correct == test.measures["correct_if_ignored"].estimate
    words = {n: verdict(t.headline.estimate, t.perfect, t.blind)
             for n, t in tests.items()}  # fmt: skip
    assert words["side swap"] == words["clause drop"] == words["absent finding"] == "hardly follows"


def test_halves_and_shares_by_hand():
    before, after = np.zeros((2, 4, 8), bool)
    before[:, :4] = True
    after[0, :2], after[:2, 6:] = True, True
    assert half(before, "left").sum() == 16
    assert half(before, "right").sum() == 0
    found = measure(Probe("side swap", "", gone_side="left"), before, after, before, None)
    assert found["gone"] == pytest.approx(14 / 16)
    assert found["arrived"] == pytest.approx(4 / 6)
    assert found["kept"] == 0


def test_shares_of_nothing_are_left_out():
    nothing = np.zeros((4, 8), bool)
    found = measure(Probe("side swap", "", gone_side="left"), nothing, nothing, nothing, None)
    assert not {"gone", "left_over", "arrived"} & set(found)


def test_probes_apply_where_they_make_sense():
    others = Others(None, None, None, "x")
    six = "bilateral pulmonary infection, six infected areas, upper middle lower left lung and "
    six += "upper middle lower right lung."
    one = "Unilateral pulmonary infection, one infected area, upper left lung."
    polyp = "No polyp visible."
    kinds = {text: {p.test for p in probes_of(text, others, 0)} for text in (six, one, polyp)}
    assert "one side of six zones" in kinds[six]
    assert not {"side swap", "clause drop"} & kinds[six]
    assert "side swap" in kinds[one]
    assert not {"clause drop", "one side of six zones"} & kinds[one]
    assert "absent finding" not in kinds[polyp]
    (swap,) = [p for p in probes_of(one, others, 0) if p.test == "side swap"]
    assert (swap.gone_side, "right lung" in swap.edited) == ("left", True)


def test_the_other_lung_is_asked_for_only_where_it_is_healthy():
    left = np.zeros((4, 8), bool)
    left[:, :4] = True
    image = np.zeros((4, 8), np.uint8)
    one = "Unilateral pulmonary infection, one infected area, upper left lung."
    (probe,) = named_but_absent(Case("x", None, image, one, left))
    assert probe.empty
    assert "right lung" in probe.edited
    assert not named_but_absent(Case("x", None, image, one, ~left))
    assert not named_but_absent(Case("x", None, image, one, left, lambda _: left))
    both = (
        "Bilateral pulmonary infection, two infected areas, upper left lung and upper right lung."
    )
    assert not named_but_absent(Case("x", None, image, both, left))


def test_every_absent_wording_asks_for_an_empty_mask():
    one = "Unilateral pulmonary infection, one infected area, upper left lung."
    asked = [p for p in probes_of(one, Others(None, None, None, "x"), 0) if p.empty]
    assert {p.test for p in asked} == {"absent finding"}
    assert len({p.edited for p in asked}) == len(asked) == 3
    assert all(parse(p.edited).absent for p in asked[:1])


def test_borrowed_captions_always_read_differently():
    captions = ["a b", "a b", "a b", "c d"]
    for caption, others in zip(captions, others_of(captions, 0), strict=True):
        assert others.shuffled != caption


def test_our_model_encodes_once_and_agrees_with_the_segmenter(tiny_checkpoint):
    from causalseg import Segmenter

    segmenter = Segmenter.load(tiny_checkpoint)
    adapter, case = SegmenterAdapter(segmenter), phantom_suite(1, 0, size=64).load(0)
    texts = [case.caption, "upper left lung", ""]
    maps = adapter.probabilities(adapter.encode(case.image), texts)
    expected = segmenter.probabilities([case.image] * 3, texts)
    np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_command_writes_one_page(tiny_checkpoint, small_set, tmp_path):
    out = tmp_path / "out"
    arguments = ["--data", str(small_set), "--limit", "4", "--out", str(out), "--resamples", "50"]
    assert main(["faithfulness", str(tiny_checkpoint), *arguments]) == 0
    content = json.loads((out / "faithfulness.json").read_text())
    assert content["images"] == 4
    assert "correct" not in content["tests"]["paraphrase"]["measures"]
    page = (out / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    # Alternative text and caption of three examples a test; the own caption has no "before".
    pictured = [t for t in content["tests"].values() if t["measure"] in t["measures"]]
    assert page.count("Before: ") == page.count("After: ") == 2 * 3 * (len(pictured) - 1)
    assert len((out / "answers.csv").read_text().splitlines()) > 4 * 8


def test_a_model_that_never_segments_gets_a_report_too(tmp_path):
    file, out = tmp_path / "foreign.py", tmp_path / "out"
    file.write_text(ADAPTER)
    arguments = ["--phantoms", "3", "--out", str(out), "--resamples", "20"]
    assert main(["faithfulness", f"{file}:Silent", *arguments]) == 0
    tests = json.loads((out / "faithfulness.json").read_text())["tests"]
    assert "gone" not in tests["side swap"]["measures"]
    assert tests["absent finding"]["measures"]["empty"]["estimate"] == 1
    assert tests["own caption"]["measures"]["empty"]["estimate"] == 1
    assert "undefined" in (out / "report.html").read_text()


ADAPTER = """
import numpy as np
class Model:
    def encode(self, image): return image.shape[:2]
    def probabilities(self, encoded, texts): return np.ones((len(texts), *encoded), np.float32)
    def threshold(self): return 0.5
class Silent(Model):
    def probabilities(self, encoded, texts): return np.zeros((len(texts), *encoded), np.float32)
class Half:
    def encode(self, image): return image
"""


def test_adapter_from_a_file(tmp_path, cases):
    file = tmp_path / "foreign.py"
    file.write_text(ADAPTER)
    tests = summary(load_adapter(f"{file}:Model"), cases)
    assert tests["absent finding"].measures["empty"].estimate == 0
    with pytest.raises(InputError, match="probabilities, threshold"):
        load_adapter(f"{file}:Half")
    with pytest.raises(InputError, match="Nothing"):
        load_adapter(f"{file}:Nothing")
    with pytest.raises(InputError, match="not a Python file"):
        load_adapter(f"{tmp_path / 'absent.py'}:Model")
