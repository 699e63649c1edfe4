"""Write tables of docs/results/reading.md, trust.md and performance.md from their files.

python scripts/make_tables.py

A block stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`. The files are written by
`python -m benchmarks.reading`, `reading_blind`, `reading_gain`, `serve_load` and `against`, by
unlike_pictures.py, zone_check.py and presence_features.py of scripts, and by `causalseg
calibrate`, each of which the pages name beside its table. No number is typed.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from make_ablation import filled
from make_results import ROOT

from causalseg.files import write_bytes
from causalseg.markdown import markdown_table

RESULTS = ROOT / "docs" / "results"
GROUPS = (
    (8, 10, "read since doubtful readings are named in a note"),
    (11, 14, "each in a register of its own"),
    (15, 16, "all registers, read since every place is accounted for"),
    (17, 21, "all registers, read since neighbours and causes of an opacity are told too"),
    (22, 27, "passages, short texts and other languages, by more kinds of writers"),
    (28, 32, "all registers, read since a second, cruder reading is compared"),
    (33, 99, "all registers, read since that looks at more constructions"),
)
"""Batches whose figures are told together: first, last, and what they have in common."""


def pages() -> dict[Path, str]:
    """Each page as its files make it."""
    blocks = {
        "reading": {"alternatives": alternatives(), "blind": blind(), "gain": gain()},
        "trust": {
            "unlike": unlike(),
            "calibration": calibration(),
            "zones": zones(),
            "presence": presence(),
        },
        "performance": {"serve": serve(), "against": against()},
    }
    found = {}
    for name, content in blocks.items():
        path = RESULTS / f"{name}.md"
        text = path.read_text()
        for block, table in content.items():
            text = filled(text, block, table)
        found[path] = text
    return found


def _read(*parts: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.joinpath(*parts).read_text())
    return found


def alternatives() -> str:
    """Our reading against two libraries, on the sentences that its rules were made with."""
    found = _read("reading", "alternatives.json")
    total, own = found["sentences"], found["reading"]
    others = [("medspaCy 1.3 (ConText)", "context"), ("negspaCy 1.0 (NegEx)", "negspacy")]
    rows = [
        (
            "this reading",
            f"{own['status']} of {total}",
            f"{own['status and zones']} of {total}",
            str(own["wrong without a note"]),
            "",
        )
    ]
    rows += [
        (
            f"{title} around the same findings",
            f"{found[key]['status']} of {total}",
            "no places",
            "",
            f"{found[key]['of these right']} of {found[key]['rows with a target']}",
        )
        for title, key in others
    ]
    header = (
        "", "status right", "status and zones right", "wrong without a note",
        "right where the sentence holds a finding that they were told of",
    )  # fmt: skip
    languages = found["lingua"]
    return (
        f"{markdown_table(header, rows)}\n\nlingua takes {languages['English taken for another']} "
        f"of {languages['of English']} English sentences for another language."
    )


def blind() -> str:
    """First readings of batches that the rules had not seen."""
    batches = {
        name: entry["first reading"] for name, entry in _read("reading", "blind.json").items()
    }
    noted, plain = "right statements with a note", "right statements"
    header = ("batch", "sentences", "status and zones right", "wrong without a note", noted)
    table = markdown_table(
        header,
        [
            (name, *(str(b[key]) for key in header[1:4]), f"{b[noted]} of {b[plain]}")
            for name, b in sorted(batches.items(), key=lambda pair: int(pair[0]))
        ],
    )
    told = [f"All batches: {_shares(batches.values())}."]
    for first, last, what in GROUPS:
        group = [b for name, b in batches.items() if first <= int(name) <= last]
        end = min(last, max(map(int, batches)))
        told.append(f"Batches {first} to {end}, {what}: {_shares(group)}.")
    told.append(_second())
    return "\n\n".join([table, *told])


def _second() -> str:
    """What the second, cruder reading tells alone."""
    batches = _read("reading", "blind.json")
    wrong = [
        row["read as"]["notes"]
        for name, batch in batches.items()
        if int(name) >= 28  # the first one since then
        for row in batch["first reading"]["wrong"]
    ]
    alone = sum(bool(notes) and all(map(_checks, notes)) for notes in wrong)
    now = [batch["now"] for batch in batches.values()]
    noted = sum(one["right statements with a note of the second reading alone"] for one in now)
    right = sum(one["right statements"] for one in now)
    return (
        f"Of the {len(wrong)} that were read wrongly since it is compared, {alone} have a note of "
        f"the second reading alone; so have {noted} of the {right} statements of all batches that "
        "are read rightly now."
    )


def _checks(note: str) -> bool:
    return bool(note.startswith("please check"))


def _shares(batches: Iterable[Mapping[str, Any]]) -> str:
    known = list(batches)

    def of(part: str, whole: str) -> str:
        count, total = (sum(batch[key] for batch in known) for key in (part, whole))
        return f"{count} of {total} ({100 * count / total:.1f} %)"

    return (
        f"{of('status and zones right', 'sentences')} read rightly the first time, "
        f"{of('wrong without a note', 'sentences')} wrongly with no note; "
        f"{of('right statements with a note', 'right statements')} right statements have a note"
    )


SAID = {
    "consolidation": "Consolidation in the left lower zone.",
    "abbreviations": "GGO LLZ",
    "no effusion": "No effusion. Airspace opacity, left lower zone.",
    "not cleared": "The infiltrates in the left lower zone have not cleared.",
    "slip": "Consolidaton in the left lower zone, heart normal.",
}


def gain() -> str:
    """Macro Dice of sentences, read and as written."""
    found = _read("reading", "gain.json")
    dice = found["dice"]
    rows = [
        (text, *(f"{dice[key][how]:.3f}" for how in ("read", "as written")))
        for key, text in SAID.items()
    ]
    table = markdown_table(("the sentence", "read", "as written"), rows)
    return (
        f"{found['images']} validation images; the caption itself has "
        f"{dice['caption']['read']:.3f}.\n\n{table}"
    )


def unlike() -> str:
    """How often the image check warns, by kind of picture."""
    found = _read("trust", "unlike.json")
    rows = [
        (kind["kind"], f"{kind['warned']} of {kind['pictures']}", f"{kind['median_distance']:.2f}")
        for kind in found["kinds"]
    ]
    table = markdown_table(("pictures", "warned of", "median distance (threshold 1)"), rows)
    return f"Checkpoint SHA-256 `{found['model_sha256'][:16]}`.\n\n{table}"


def calibration() -> str:
    """What the checks do on validation images."""
    found = _read("trust", "calibration.json")
    rows = [
        ("AUROC of the evidence, lungs with a finding against healthy ones", found["auroc"]),
        ("healthy lungs left empty when named, with the check", found["null_accuracy"]),
        ("the same without the check", found["null_accuracy_before"]),
        ("healthy lungs left empty, or drawn with a warning that doubts them", found["told"]),
        (
            f"{found['zones']} healthy zones beside a finding, doubted when named",
            found["zones_told"],
        ),
        ("the same by the lung's evidence alone", found["zones_told_by_lung"]),
        ("lungs with a finding left empty by the check", found["wrongly_empty"]),
        (
            "lungs with a finding left empty, or doubted as a whole or in the zones named",
            found["wrongly_doubted"],
        ),
        ("macro Dice without the check", found["dice_before"]),
        ("the same with the check", found["dice"]),
        ("the same of images with such a lung", found["dice_doubted"]),
        ("the same of the other images", found["dice_believed"]),
        ("expected Dice: Spearman's correlation with the true Dice", found["spearman"]),
        ("expected Dice: mean error", found["expected_error"]),
        ("expected Dice: share of images inside the 80 % interval", found["covered"]),
        ("AURC", found["aurc"]),
        ("AURC of a perfect ranking", found["aurc_optimal"]),
    ]
    table = markdown_table(("", ""), [(words, f"{value:.3f}") for words, value in rows])
    return (
        f"{found['images']} validation images, fingerprint "
        f"`{found['validation']['fingerprint'][:16]}`.\n\n{table}"
    )


def against() -> str:
    """Two revisions in turn: CPU milliseconds of each, and the ratio."""
    header = ("one thread", "CPU ms before", "after", "ratio", "rounds", "peak GiB before", "after")
    rows = []
    for case, found in _read("against.json").items():
        before, after = found["before"], found["after"]
        low, high = found["ratio_range"]
        cells = [f"{1000 * one['cpu_seconds']:.0f}" for one in (before, after)]
        ratio = f"{found['ratio']:.2f} ({low:.2f} to {high:.2f})"
        peaks = [f"{one['peak_gib']:.2f}" for one in (before, after)]
        rows.append((case, *cells, ratio, str(found["rounds"]), *peaks))
    return markdown_table(header, rows)


def serve() -> str:
    """The server under load, beside an earlier one."""
    found = _read("serve.json")
    rows = []
    for clients, ratio in found["ratios"].items():
        loads = [load for load in found["loads"] if load["clients"] == int(clients)]
        cells = [clients, f"{ratio:.2f}"]
        for key, digits in (("per_second", 1), ("p99_ms", 0), ("cpu_ms", 0), ("errors", 0)):
            for server in ("this", "other"):
                values = [load[key] for load in loads if load["server"] == server]
                cells.append(f"{median(values):.{digits}f}")
        rows.append(cells)
    header = ["clients", "answers a second, ratio"]
    for words in ("answers a second", "p99, ms", "CPU ms an answer", "refused"):
        header += [words, "before"]
    return markdown_table(header, rows)


def zones() -> str:
    """Which masks are told to lie elsewhere than asked."""
    found = _read("trust", "zones.json")
    rows = []
    for name in ("true masks", "right answers", "right answers, the other lung named"):
        masks, share = found[name]["masks"], found[name]["told"]
        rows.append((name, f"{round(masks * share)} of {masks} ({100 * share:.1f} %)"))
    another = found["another zone named"]
    for kind, counts in sorted(another.items(), key=lambda pair: -pair[1]["asked"]):
        there = counts["drawn in the true lesion"]
        if there:
            words = f"{kind.replace(' > ', ' lesion, asked for ')}, drawn in the true lesion"
            rows.append((words, f"{counts['told']} of {there}"))
    asked, there, empty = (
        sum(counts[key] for counts in another.values())
        for key in ("asked", "drawn in the true lesion", "empty")
    )
    table = markdown_table(("masks on validation images", "told"), rows)
    return (
        f"{table}\n\nAsked for another zone ({asked} sentences), the model drew mostly in the true "
        f"lesion {there} times, nothing {empty} times, and mostly elsewhere the others."
    )


def presence() -> str:
    """How well other evidence tells a healthy lung."""
    found = _read("trust", "presence.json")
    rows = [
        (name, *(f"{value:.3f}" for value in figures.values()))
        for name, figures in found["results"].items()
    ]
    header = (
        "evidence",
        *(key.replace("auroc", "AUROC") for key in next(iter(found["results"].values()))),
    )
    healthy, ill = found["healthy"], found["diseased"]
    return (
        f"{markdown_table(header, rows)}\n\nFitted on {healthy['train']} healthy and "
        f"{ill['train']} diseased lungs, judged on {healthy['val']} and {ill['val']}."
    )


def main() -> None:
    """See the module."""
    for path, text in pages().items():
        write_bytes(path, text.encode())


if __name__ == "__main__":
    main()
