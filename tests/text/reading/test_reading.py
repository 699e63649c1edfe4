"""Sentences of many styles are read rightly, and what is taken one way is told."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalseg.cli.main import main
from causalseg.inputs.tables import read_table
from causalseg.text.captions import parse
from causalseg.text.grammar_lung import LungFinding
from causalseg.text.reading import Reading, lexicon, read
from causalseg.text.words import OTHER_SIDE

SENTENCES = Path(__file__).with_name("sentences.txt")
BLIND = sorted(Path(__file__).parents[3].glob("docs/results/reading/blind/*.txt"))
HEIGHTS = {"U": "upper", "M": "middle", "D": "lower"}
SIDES = {"L": "left", "R": "right"}
ALL = "LU LM LD RU RM RD"


@dataclass(frozen=True)
class Row:
    text: str
    status: str
    zones: frozenset[tuple[str, str]]
    sides: str
    noted: bool
    """It is known to be read wrongly, with a note."""


def rows() -> list[Row]:
    found = []
    texts = [path.read_text(encoding="utf-8") for path in (SENTENCES, *BLIND)]
    for line in "\n".join(texts).split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        text, status, zones, sides, noted, *_ = [*line.split("|"), "", "", ""]
        codes = zones.replace("all", ALL).split()
        named = frozenset((SIDES[code[0]], HEIGHTS[code[1]]) for code in codes)
        whose = sides.strip() or "patient"
        found.append(Row(text, status.strip(), named, whose, noted.strip() == "noted"))
    return found


def right(row: Row, found: Reading) -> bool:
    sides = row.status == "unread" or found.sides == row.sides
    return found.status == row.status and frozenset(found.zones) == row.zones and sides


def test_every_sentence_is_read_rightly() -> None:
    sentences = rows()
    assert len(sentences) > 600
    wrong = [
        f"{row.text!r}: {found}"
        for row in sentences
        if not right(row, found := read(row.text)) and not (row.noted and found.notes)
    ]
    assert not wrong, "\n".join(wrong)
    assert sum(row.noted for row in sentences) < 0.025 * len(sentences)


@pytest.mark.realdata
def test_development_sentences(data_root: Path) -> None:
    table = data_root / "report_sentences" / "dev.csv"
    if not table.is_file():
        pytest.skip("the development sentences are absent")
    correct, silent, total = 0, 0, 0
    for row in read_table(table):
        found = read(row.fields["text"])
        zones = ";".join(f"{side}_{height}" for side, height in found.zones)
        ok = (found.status, zones) == (row.fields["status"], row.fields["zones"])
        total += 1
        correct += ok
        silent += not ok and not found.notes
    assert total == 205
    assert correct >= 0.98 * total
    assert silent == 0


def test_canonical_sentence_is_in_the_viewers_sides() -> None:
    found = read("Right lower lobe pneumonia.")
    assert found.sides == "patient"
    caption = "unilateral pulmonary infection, one infected area, lower left lung."
    assert found.canonical() == caption
    assert found.canonical("patient") == caption.replace("left", "right")
    assert read("Right lower lobe pneumonia.", "viewer").canonical() == caption.replace(
        "left", "right"
    )


@pytest.mark.parametrize(
    ("mark", "between"), [("-", "\n"), ("-", " "), ("*", " "), ("\u2022", " "), ("1.", "\n")]
)
def test_a_list_is_read_point_by_point(mark: str, between: str) -> None:
    points = ["Right lung: clear", "Left lung: opacity in the lower zone", "Pleura: no effusion"]
    found = read(between.join(f"{mark} {point}" for point in points))
    assert (found.status, found.zones, found.notes) == ("present", (("left", "lower"),), ())


def test_a_dash_within_a_sentence_begins_no_list() -> None:
    assert read("OPACITY - LEFT - LOWER LOBE").zones == (("left", "lower"),)
    assert read("?aspiration - hazy RLL").status == "present"


def test_a_heading_gives_its_side() -> None:
    found = read("Left lung: upper zone clear, mid zone opacity, lower zone consolidation.")
    assert found.zones == (("left", "middle"), ("left", "lower"))


def test_a_denied_place_is_not_the_finding_denied() -> None:
    text = "The consolidation is in the left, not the right, lower lobe."
    assert read(text).zones == (("left", "lower"),)
    for text in ("left not right", "Opacity left, none right", "Opacity in all of the left lung "
                 "and in none of the right."):  # fmt: skip
        assert {side for side, _ in read(text).zones} == {"left"}, text


@pytest.mark.parametrize(
    "text",
    [
        "Right base pneumonia would be difficult to exclude.",
        "Pneumonia? right base",
        "If there is pneumonia it is at the right base.",
        "Right base hard to assess; pneumonia not excluded on the right.",
    ],
)
def test_a_doubt_may_stand_on_either_side(text: str) -> None:
    found = read(text)
    assert (found.status, found.zones) == ("uncertain", (("right", "lower"),))


def test_each_finding_of_a_run_on_sentence_keeps_its_place() -> None:
    assert read("opacity left mid zone small effusion right base").zones == (("left", "middle"),)
    assert read("Opacities in both mid and lower zones, likely infective.").count == 4


def test_a_part_of_one_lung_is_not_where_it_is_worse() -> None:
    found = read("More than half of the left lung is opacified.")
    assert {side for side, _ in found.zones} == {"left"}


@pytest.mark.parametrize(
    ("text", "zones"),
    [
        ("Opacities in both mid zones extending into the left base.", "LM LD RM"),
        ("Right-sided opacity extending to the apex.", "RU RM RD"),
        ("Opacity at the left base reaching the mid zone.", "LM LD"),
        ("Left lung consolidation extending from the mid zone to the base.", "LM LD"),
        ("Bilateral opacities, right predominant.", "LU LM LD RU RM RD"),
        ("Left predominant bilateral lower zone opacities.", "LD RD"),
    ],
)
def test_a_place_that_a_finding_reaches_has_a_side_of_its_own(text: str, zones: str) -> None:
    assert set(read(text).zones) == {(SIDES[c[0]], HEIGHTS[c[1]]) for c in zones.split()}


def test_two_denials_are_none() -> None:
    for text in ("The left lung is not free of opacities.", "All but the right lung is opacified.",
                 "Every zone apart from the right ones shows opacities."):  # fmt: skip
        assert {side for side, _ in read(text).zones} == {"left"}, text
    assert read("No opacity in the left lung, the right is free of it too.").status == "absent"


def test_whether_it_has_gone_is_not_that_it_has() -> None:
    assert read("Unclear whether the left base opacity has resolved.").status == "uncertain"
    assert read("The left base opacity has resolved.").status == "absent"


def test_what_the_text_says_of_sides_wins_over_the_option() -> None:
    text = "Opacity in the lower zone on the left of the picture."
    assert read(text, "patient").sides == "viewer"
    assert read("Opacity at the patient's left base.", "viewer").sides == "patient"


def test_a_caption_reads_as_its_grammar_does() -> None:
    text = (
        "Bilateral pulmonary infection, three infected areas, all left lung and upper right lung."
    )
    finding = parse(text)
    assert isinstance(finding, LungFinding)
    found = read(text)
    assert frozenset(found.zones) == finding.zones
    assert found.sides == "viewer"
    assert found.sides_said


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("Consolodation at the left base.", "'Consolodation' was read as 'consolidation'."),
        ("Upper lobe consolidation.", "no side is given"),
        ("Retrocardiac opacity.", "behind the heart was"),
        ("Opacities in both lungs with basal predominance.", "more of it was read as the place"),
        ("Left lung zone 3 opacity.", "'lung zone 3' was not read as a place"),
        ("LLL", "only a place is named"),
        ("Left effusion and consolidation.", "were given one place"),
        ("Is there pneumonia?", "the text is a question"),
        ("Pneumonia of the blorptic left base.", "not understood: blorptic."),
        ("Verschattung rechts basal", "German"),
        ("Пневмония слева", "not in the Latin script"),
    ],
)
def test_what_is_taken_one_way_is_noted(text: str, note: str) -> None:
    assert any(note in one for one in read(text).notes), read(text).notes


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Were it not for the rotation the left base opacity would worry nobody.", "not"),
        ("Consolidation in the left base was reported erroneously.", "erroneously"),
        ("Until removed, the opacity at the left base was a hair braid.", "removed"),
    ],
)
def test_a_word_that_could_turn_the_statement_and_decided_nothing_is_told(
    text: str, word: str
) -> None:
    assert any("not used" in note and word in note for note in read(text).notes)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("No doctor mentioned an opacity at the left base.", "over 'doctor'"),
        ("The left base opacity has clinically resolved.", "whatever 'clinically' says"),
        ("There is no opacity increasing at the left base.", "whatever 'increasing' says"),
        ("Consolidation at the left base. The lungs are clear.", "also says 'clear'"),
        ("Previous pneumonia at the left base.", "the text says 'Previous'"),
        ("Pneumonia of the left base, treated in March.", "the text says 'treated'"),
        ("COVID swab positive.", "may refer to the patient"),
        ("No opacity, but the other one is worse.", "a contrast was not understood"),
        ("Opacities in both lungs sparing the periphery.", "an exception was not understood"),
        ("The left lung is clearer and less opaque than the right.", "a comparison of two places"),
        ("Left base opacity, draining towards the apex.", "was read as a place too"),
        ("Patchy change in the right lower zone.", "'change' was read as an opacity"),
        ("Infected areas in the left lung.", "taken as the patient's"),
        ("Left lung healthy, but it gets worrying on the right.", "read as denied too"),
        ("Haze over the right sixth rib.", "was not read as a place"),
        ("Facing the monitor, opacity in the left base.", "though the text says"),
        (
            "Opacity in the upper lobe of the left lung, sparing the apex.",
            "the only place it names",
        ),
        ("Opacity in both lungs, improved at the left base.", "where it has changed"),
        ("Density at the right apex suspicious for a neoplasm.", "attributed to another finding"),
        ("Opacity at the left base, likely a healed fracture.", "speaks of 'fracture'"),
        ("Opacity next to the heart.", "'heart' was not read as a place"),
        ("Infection in one lung.", "'one lung' was not read as a place"),
        ("Lesion in the top left corner.", "though the text says 'corner'"),
        ("Opacity at the left base, likely due to this.", "whatever its cause"),
        ("Two opacities, one in a lower lobe and one in the right upper lobe.", "without a side"),
        ("Pneumonia in the notes; consolidation is not seen.", "is stated and"),
        ("Hopefully consolidation of the left base.", "not understood: Hopefully"),
        ("Not the left lung, the right one.", "only a place is named"),
        ("Scoliosis. The lung bases are difficult to assess.", "could not be judged"),
        ("Interval clearing of the right base opacity.", "was read as going on"),
        ("Opacity at the fourth rib on the right.", "'rib' was not read as a place"),
        ("White-out on the left in keeping with effusion.", "attributed to another finding"),
        ("The right base is not clear.", "said not to be clear"),
        ("The left base is nearly clear.", "said not to be clear"),
        ("Were it not for the left apex, the lungs would be clear.", "the text says 'would'"),
        ("Shadowing at the left base caused by effusion.", "attributed to another finding"),
        ("Left side cloudy, right side dark.", "'dark'"),
        ("Bibasilar opacities, with residual opacity on the left only.", "not taken to limit"),
        ("Left: lower zone. Right: none.", "only a place is named"),
        ("LLL consolidation. Now clear.", "was read as gone"),
        ("Suspicion of RLL pneumonia is low.", "is not sure"),
        ("Not the left but the right base is consolidated.", "what 'not' was taken to deny"),
        ("The left base is hazy but the right has cleared.", "stands behind a contrast"),
        ("Opacity with a sharp lower margin in the right upper zone.", "please check"),
        ("All but the right upper zone is opacified.", "please check: a finding was read as"),
        ("There was pneumonia last month; it is no longer there.", "please check: 'pneumonia'"),
        ("Consolidation is absent on the left but present at the right base.", "may be where"),
    ],
)
def test_where_the_rules_guess_the_answer_says_so(text: str, note: str) -> None:
    assert any(note in one for one in read(text).notes), read(text)


@pytest.mark.parametrize(
    "text",
    [
        "Rule out pneumonia.",
        "r/o PNA.",
        "? pneumonia.",
        "Evaluate for infiltrate.",
        "Lung clear?",
        "what about the right lung?",
    ],
)
def test_a_question_is_never_an_answer(text: str) -> None:
    assert read(text).status == "uncertain"
    assert read(text).notes
    assert read(f"{text} Lungs are clear.").status == "absent"
    assert read(f"{text} There is consolidation at the left base.").zones == (("left", "lower"),)


def test_plain_statements_are_seldom_noted() -> None:
    """Notes that stand beside every answer are read by nobody; a typing error has one always."""
    found = [read(row.text) for row in rows() if row.status in ("present", "absent", "other")]
    spelled = [one for one in found if not one.corrections]
    assert sum(bool(one.notes) for one in spelled) < 0.16 * len(spelled)


def test_a_height_without_a_side_asks_for_both_lungs() -> None:
    found = read("Upper lobe consolidation.")
    assert found.zones == ()
    assert found.heights == ("upper",)
    assert "upper left lung and upper right lung" in found.canonical()


def test_a_finding_without_a_place_asks_for_all_of_it() -> None:
    assert read("pneumonia").canonical() == "pulmonary infection."
    assert read("No pneumonia.").canonical() == "no pulmonary infection."
    assert read("Left pleural effusion.").canonical() == ""


def test_other_findings_are_named_and_not_read_as_infection() -> None:
    found = read("Left pleural effusion and a nodule in the right upper lobe.")
    assert found.status == "other"
    assert found.other == ("effusion", "nodule")
    assert found.zones == ()


@pytest.mark.parametrize(
    "text",
    [
        "pneumonia lobi inferioris dextri",
        "infección pulmonar derecha",
        "lung infection à droite",
        "pneumonia links basal",
    ],
)
def test_one_foreign_word_for_a_side_is_another_language(text: str) -> None:
    found = read(text)
    assert found.status == "unread"
    assert "only English is read" in found.notes[-1]


def test_evidence_quotes_the_deciding_words() -> None:
    found = read("No effusion. Consolidation cannot be excluded at the left base.")
    assert found.status == "uncertain"
    assert "Consolidation" in found.evidence["status"]
    assert "cannot be excluded" in found.evidence["status"]
    assert found.evidence["zones"] == ("left", "base")


@given(st.text(max_size=200))
def test_any_text_gets_a_reading(text: str) -> None:
    found = read(text)
    assert found.status in ("present", "absent", "uncertain", "other", "unread")
    if found.status == "unread":
        assert found.zones == ()
        assert found.canonical() == ""


WORDS = st.sampled_from(
    "left right lower upper lobe base opacity no without clear , . and or except sparing than "
    "bilateral worse effusion it is resolved not may in the ? : pneumonia".split()
)


PHRASES = st.sampled_from(sorted(" ".join(phrase) for phrase in lexicon.terms()))


@given(st.lists(st.one_of(WORDS, PHRASES), max_size=14))
def test_any_order_of_words_gets_a_reading(words: list[str]) -> None:
    found = read(" ".join(words))
    assert set(found.zones) <= {(s, z) for s in SIDES.values() for z in HEIGHTS.values()}
    assert (found.status in ("present", "uncertain")) or found.zones == ()


def test_mirrored_words_give_mirrored_zones() -> None:
    """Swapping left and right in the text swaps the zones, where no other word implies a side."""
    coded = re.compile(
        r"\b(?:[lr][lmu][lz]?s?|[lr]|[lr]t|m(?:id|iddle|edium|edian) lobe|lingula\w*)\b"
        r"|\bretrocardiac\b|\bbehind\b|border|\bis left\b|\bany infection left\b"
    )
    tried = 0
    for row in rows():
        text = row.text.lower()
        found = read(text)
        if coded.search(text) or found.corrections or not text.isascii() or not found.zones:
            continue
        swapped = text.replace("left", "#").replace("right", "left").replace("#", "right")
        mirrored = {(OTHER_SIDE[side], height) for side, height in found.zones}
        assert set(read(swapped).zones) == mirrored, text
        tried += 1
    assert tried > 200


def test_a_very_long_text_is_read_up_to_a_limit_and_told_so() -> None:
    found = read("The heart is normal. " * 300)
    assert any("only its first" in note for note in found.notes)


def test_read_command_for_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["caption", "read", "LLL infiltrate, new."]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry["status"] == "present"
    assert entry["zones"] == [["left", "lower"]]
    assert entry["sides"] == "patient"
    assert entry["canonical"].endswith("lower right lung.")
    assert entry["unread"] == []
    assert entry["notes"] == []


def test_read_command_for_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "sentences.csv"
    table.write_text('id,Text\na,"Lungs clear, no effusion."\nb,Guten Tag und kein Infiltrat\n')
    out = tmp_path / "out.json"
    assert main(["caption", "read", str(table), "--json", str(out)]) == 1
    entries = json.loads(out.read_text(encoding="utf-8"))
    assert [(entry["id"], entry["status"]) for entry in entries] == [
        ("a", "absent"),
        ("b", "unread"),
    ]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_read_command_refuses_a_table_without_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "no.csv"
    table.write_text("a,b\n1,2\n")
    assert main(["caption", "read", str(table)]) == 2
    assert "needs a column named text" in capsys.readouterr().err
