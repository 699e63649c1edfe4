"""Write docs/results/index.md and the README's block from finished runs; no number is typed.

python scripts/make_results.py --collect DIR    copy what docs/results/plan.yaml names from DIR to
                                                docs/results/, without paths of this machine
python scripts/make_results.py                  write the page and the block from docs/results/
python scripts/make_results.py --check          exit code 1 where they are out of date

docs/results/plan.yaml lists sections; folders are those of `causalseg evaluate`, `score`,
`compare`, `faithfulness`, `ablate` and `lodo`, relative to DIR:

    sections:
      - title: The packaged model
        note: One sentence.
        scores:       [{name: compact, folder: scores/compact, note: where and how long}]
        faithfulness: [{name: compact, folder: text/compact}]
        comparisons:  [{name: masker, folder: cmp/masker}]
        ablations:    [{name: phantoms, folder: ablation_phantoms}]
        lodo:         [{name: polyps, folder: lodo_polyps}]
    readme: {scores: [compact], faithfulness: compact}
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from results_tables import RENDER, Json, claimed, interval

from causalseg.errors import InputError
from causalseg.evaluation.files import read_result
from causalseg.files import write_bytes, write_json
from causalseg.markdown import markdown_table

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "scores": "metrics.json",
    "faithfulness": "faithfulness.json",
    "comparisons": "comparison.json",
    "ablations": "table.md",
    "lodo": "table.md",
}
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
NOTE = "<!-- Written by scripts/make_results.py from docs/results/; edit neither by hand. -->"
TEXT_TESTS = (
    "named but absent",
    "joint flip",
    "side swap",
    "clause drop",
    "one side of six zones",
    "absent finding",
    "paraphrase",
)
_ABSOLUTE = re.compile(r"(?<![^=:, ])/(?:[^/=:, ]+/)+")


def entries(plan: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """(kind, entry) of all that the plan names."""
    for section in plan.get("sections") or []:
        for kind in FILES:
            for entry in section.get(kind) or []:
                yield kind, entry


def stored(data: Path, kind: str, entry: Mapping[str, Any]) -> Path:
    """Where the copy of a run's file is kept."""
    name = re.sub(r"[^a-z0-9]+", "-", str(entry["name"]).lower()).strip("-")
    return data / kind / f"{name}.json"


def collect(plan: Mapping[str, Any], source: Path, data: Path) -> None:
    """Copy what is behind every entry, stripped of paths and of long curves."""
    for kind, entry in entries(plan):
        content = stored_result(source / entry["folder"] / FILES[kind])
        for curve in ("coverage", "selective_risk"):
            content.get("risk_coverage", {}).pop(curve, None)
        record = next(iter(sorted((source / entry["folder"]).glob("cells/**/run.json"))), None)
        if record is not None:  # a grid's table does not say how it was made; its runs do
            run = read_result(record)
            content["run"] = {key: run.get(key) for key in ("command", "environment")}
        write_json(stored(data, kind, entry), without_paths(content))


def stored_result(path: Path) -> Json:
    """A JSON file, or a grid's own tables in Markdown."""
    if path.suffix == ".json":
        return read_result(path)
    try:
        return {"markdown": path.read_text(encoding="utf-8")}
    except OSError:
        raise InputError(f"{path} is missing: is {path.parent} a finished grid?") from None


def without_paths(value: Any) -> Any:
    """Absolute paths cut to their last part, wherever they stand."""
    if isinstance(value, str):
        return _ABSOLUTE.sub("", value)
    if isinstance(value, Mapping):
        return {key: without_paths(v) for key, v in value.items()}
    if isinstance(value, list):
        return [without_paths(v) for v in value]
    return value


def page(plan: Mapping[str, Any], data: Path) -> str:
    """The whole of docs/results/index.md."""
    parts = [
        NOTE,
        "# Results",
        "Macro is the mean of the images' values; micro sums pixels first and is higher. Never "
        "compare one with the other. Brackets hold 95 % intervals, subjects resampled. One row is "
        "one training run unless a number of seeds is given; the interval says how the number "
        "would vary with other patients, not with another training run. Rules and definitions: "
        "[evidence](../explanation/evidence.md).",
    ]
    for section in plan.get("sections") or []:
        parts.append(f"## {section['title']}")
        if section.get("note"):
            parts.append(section["note"].strip())
        for kind in FILES:
            found = [(e, read_result(stored(data, kind, e))) for e in section.get(kind) or []]
            if found:
                parts += RENDER[kind](found)
    if not plan.get("sections"):
        parts.append("Nothing is measured yet: docs/results/plan.yaml lists no run.")
    return "\n\n".join([*parts, *claimed()]) + "\n"


def readme_block(plan: Mapping[str, Any], data: Path) -> str:
    """What stands between the README's marks."""
    wanted = plan.get("readme") or {}
    by_name = {(kind, entry["name"]): entry for kind, entry in entries(plan)}

    def content(kind: str, name: str) -> Json:
        if (kind, name) not in by_name:
            raise InputError(f"plan.yaml: readme names {name!r}, which is in no section.")
        return read_result(stored(data, kind, by_name[kind, name]))

    rows = []
    for name in wanted.get("scores") or []:
        m = content("scores", name)
        native = m["native_size"]
        rows.append(
            [name, f"{m['data']['root']} {m['data']['split']}, {m['images']}"]
            + [interval(native["macro"][key]) for key in ("dice", "iou")]
            + [interval(native["micro"]["dice"])]
        )
    if not rows:
        return "Not measured yet: `python scripts/make_results.py` fills this block."
    parts = [
        markdown_table(
            ("model", "data, images", "macro Dice at native size", "macro IoU", "micro Dice"), rows
        )
    ]
    if wanted.get("faithfulness"):
        tests = content("faithfulness", wanted["faithfulness"])["tests"]
        kept = {name: tests[name] for name in TEXT_TESTS if name in tests}
        parts.append(
            markdown_table(("when the text is edited", "", "result", "perfect"), _short(kept))
        )
    return "\n\n".join(parts)


def _short(tests: Mapping[str, Any]) -> list[tuple[str, ...]]:
    from causalseg.evaluation.faithfulness.measures import TestResult
    from causalseg.evaluation.faithfulness.report import line

    return [line(name, TestResult.from_dict(test))[:4] for name, test in tests.items()]


def with_block(readme: str, block: str) -> str:
    """The README with another block."""
    before, mark, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise InputError(f"README.md lacks {BEGIN} or {END}.")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def main(argv: list[str]) -> int:
    """Run the script; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="of the repository")
    parser.add_argument("--collect", type=Path, metavar="DIR", help="copy from DIR first")
    parser.add_argument("--check", action="store_true", help="only tell whether all is up to date")
    args = parser.parse_args(argv)
    docs, readme = args.root / "docs", args.root / "README.md"
    try:
        plan = yaml.safe_load((docs / "results" / "plan.yaml").read_text(encoding="utf-8")) or {}
        if args.collect:
            collect(plan, args.collect, docs / "results")
        wanted = {
            docs / "results" / "index.md": page(plan, docs / "results"),
            readme: with_block(
                readme.read_text(encoding="utf-8"), readme_block(plan, docs / "results")
            ),
        }
    except (InputError, OSError, yaml.YAMLError, json.JSONDecodeError) as error:
        print(f"make_results: {error}", file=sys.stderr)
        return 2
    stale = [p for p, t in wanted.items() if not p.exists() or p.read_text(encoding="utf-8") != t]
    for path in stale:
        if args.check:
            print(f"{path.name} is out of date: python scripts/make_results.py")
        else:
            write_bytes(path, wanted[path].encode())
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
