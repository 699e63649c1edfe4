"""What reads more of the labelled sentences: the reading, ConText or negspaCy; and lingua.

    python -m benchmarks.reading SENTENCES.csv [--out FILE.json]

SENTENCES.csv has the columns text, status, zones (`left_lower;right_upper`) and note. A library
that is not installed is left out; medspaCy needs NumPy 1, so it wants an environment of its own,
with the folder of causalseg's sources on PYTHONPATH.
"""

import argparse
import csv
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Infection-type findings, as targets for the two libraries, which find negation but no findings.
TARGETS = (  # noqa: SIM905
    "opacity opacities opacification opacified consolidation consolidated infiltrate infiltrates "
    "pneumonia pneumonitis haziness hazy haze shadowing ggo covid infection airspace density "
    "bronchopneumonia infected"
).split()
ENGLISH = ("ENGLISH", "FRENCH", "GERMAN", "SPANISH", "ITALIAN", "DUTCH", "PORTUGUESE")
Row = dict[str, str]


def reading(rows: list[Row]) -> dict[str, Any]:
    """Status and zones of `causalseg.text.reading`."""
    from causalseg.text.reading import read

    start = time.perf_counter()
    found = [read(row["text"]) for row in rows]
    seconds = time.perf_counter() - start
    status = [one.status == row["status"] for one, row in zip(found, rows, strict=True)]
    both = [
        right and ";".join("_".join(zone) for zone in one.zones) == row["zones"]
        for right, one, row in zip(status, found, rows, strict=True)
    ]
    silent = [not right and not one.notes for right, one in zip(both, found, strict=True)]
    return {
        "status": sum(status),
        "status and zones": sum(both),
        "wrong without a note": sum(silent),
        "ms a sentence": round(1000 * seconds / len(rows), 2),
    }


def _by_status(rows: list[Row], status_of: Callable[[str], str | None]) -> dict[str, Any]:
    found = [status_of(row["text"]) for row in rows]
    seen = [(one, row["status"]) for one, row in zip(found, rows, strict=True) if one]
    return {
        "status": sum(
            (one or "unread") == row["status"] for one, row in zip(found, rows, strict=True)
        ),
        "rows with a target": len(seen),
        "of these right": sum(one == right for one, right in seen),
    }


def context(rows: list[Row]) -> dict[str, Any]:
    """Status by medspaCy's ConText around the targets."""
    import medspacy
    from medspacy.ner import TargetRule

    nlp = medspacy.load(
        medspacy_enable=["medspacy_pyrush", "medspacy_target_matcher", "medspacy_context"]
    )
    matcher = nlp.get_pipe("medspacy_target_matcher")
    matcher.add([TargetRule(word, "FINDING") for word in (*TARGETS, "ground-glass")])

    def status_of(text: str) -> str | None:
        entities = [entity._ for entity in nlp(text).ents]
        if not entities:
            return None
        if any(
            not (e.is_negated or e.is_uncertain or e.is_hypothetical or e.is_historical)
            for e in entities
        ):
            return "present"
        return (
            "uncertain" if any(e.is_uncertain and not e.is_negated for e in entities) else "absent"
        )

    return _by_status(rows, status_of)


def negspacy(rows: list[Row]) -> dict[str, Any]:
    """Status by negspaCy (NegEx, clinical terms) around the targets."""
    import spacy
    from negspacy.negation import Negex  # noqa: F401 (registers the pipe)
    from negspacy.termsets import termset

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    words = (*TARGETS, "ground-glass", "ground glass")
    ruler.add_patterns([{"label": "FINDING", "pattern": word} for word in words])
    terms = termset("en_clinical").get_patterns()
    nlp.add_pipe("negex", config={"neg_termset": terms})

    def status_of(text: str) -> str | None:
        entities = nlp(text).ents
        if not entities:
            return None
        return "present" if any(not entity._.negex for entity in entities) else "absent"

    return _by_status(rows, status_of)


def lingua(rows: list[Row]) -> dict[str, Any]:
    """How many English sentences lingua takes for another language, and the others it finds."""
    from lingua import Language, LanguageDetectorBuilder

    names = [getattr(Language, name) for name in ENGLISH]
    detector = LanguageDetectorBuilder.from_languages(*names).build()
    kinds = ("French", "German", "Spanish", "Italian", "Dutch", "Japanese")
    foreign = [row for row in rows if row["note"] in kinds]
    english = [row for row in rows if row["note"] not in kinds and "nonsense" not in row["note"]]

    def is_english(row: Row) -> bool:
        return bool(detector.detect_language_of(row["text"]) == Language.ENGLISH)

    return {
        "English taken for another": sum(not is_english(row) for row in english),
        "of English": len(english),
        "others found": sum(not is_english(row) for row in foreign),
        "of others": len(foreign),
    }


def main() -> None:
    """Measure whatever is installed and print it as JSON."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sentences", type=Path)
    parser.add_argument("--out", type=Path, help="JSON to add the results to")
    arguments = parser.parse_args()
    with arguments.sentences.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    known = arguments.out is not None and arguments.out.exists()
    results = json.loads(arguments.out.read_text(encoding="utf-8")) if known else {}
    results["sentences"] = len(rows)
    for measure in (reading, context, negspacy, lingua):
        try:
            results[measure.__name__] = measure(rows)
        except ImportError:
            continue
    print(json.dumps(results, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
