"""How the results of each kind are put into Markdown; used by make_results.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from causalseg.evaluation.summary import control_rows
from causalseg.experiments.published import LEADERBOARD
from causalseg.markdown import markdown_table

MICRO = (("MMI-UNet", "90.88", "own checkpoint; 83.97 macro"), ("LViT", "90.63", "83.40 macro"))

Json = dict[str, Any]


def interval(value: Mapping[str, Any] | None, form: str = ".3f") -> str:
    """`estimate [low, high]`."""
    if not value:
        return "-"
    return f"{value['estimate']:{form}} [{value['low']:{form}}, {value['high']:{form}}]"


def scores(found: Sequence[tuple[Json, Json]]) -> list[str]:
    """Macro apart from micro, controls, and where each row comes from."""
    macro, micro, controls, origin = [], [], [], []
    for entry, m in found:
        name, small, native = entry["name"], m["model_size"], m["native_size"]
        size = m["options"]["size"]
        means = [at["macro"][key] for at in (small, native) for key in ("dice", "iou")]
        means += [small["macro_dice_where_a_lesion_is"], small["null_accuracy"]]
        macro.append([name, *map(interval, means)])
        dice, iou = (interval(small["micro"][key]) for key in ("dice", "iou"))
        check = f"{small['micro_iou_from_dice']:.3f}"
        micro.append([name, dice, iou, check, interval(native["micro"]["dice"])])
        controls += [[name, words, interval(value)] for words, value in control_rows(m)]
        origin.append(_origin(name, entry, m, size))
    lesions = "Dice where a lesion is"
    return [
        "**Macro**",
        markdown_table(
            ("model", "Dice", "IoU", "Dice, native size", "IoU, native size", lesions, "null acc."),
            macro,
        ),
        "**Micro** (D / (2 - D) must equal IoU)",
        markdown_table(("model", "Dice", "IoU", "D / (2 - D)", "Dice, native size"), micro),
        *(
            [
                "**Controls**: macro Dice of",
                markdown_table(("model", "who answers", "Dice"), controls),
            ]
            if controls
            else []
        ),
        "**Where the rows come from**",
        *origin,
    ]


def _origin(name: str, entry: Json, m: Json, size: int) -> str:
    """The commands, data, hardware and weights behind a row, as a list."""
    run, data, options = m.get("run", {}), m["data"], m["options"]
    trained = run.get("provenance", {})
    command = ["causalseg", run.get("command", "score")]
    command += ["--model", run["checkpoint"]] if "checkpoint" in run else ["PREDICTIONS"]
    command += ["--data", data["root"], "--split", data["split"], "--out", "DIR"]
    command += ["--resamples", str(options["resamples"]), "--seed", str(options["seed"])]
    command += ["--limit", str(run["limit"])] if run.get("limit") else []
    command += ["--flip"] if run.get("flip") else []
    # Runs from before the option took the data as it is.
    command += ["--leaks", leaks] if (leaks := run.get("leaks", "keep")) != "refuse" else []
    lines = [f"`{' '.join(command)}`"]
    if trained.get("command"):
        lines.append(f"trained by `{' '.join(['causalseg', *trained['command'][1:]])}`")
    if trained.get("config"):
        selected, config = trained.get("selected", {}), trained["config"]
        lines.append(
            f"seed {config['seed']}, epoch {selected.get('epoch', '?')} chosen on validation "
            f"(Dice {selected.get('val_dice', float('nan')):.3f}), threshold "
            f"{run['threshold']:g}, {size} px, initial weights "
            f"{trained.get('initial_weights', {}).get('source', 'unknown')}"
        )
    if trained.get("card", {}).get("training"):
        lines.append(f"training: {trained['card']['training']}")
    if trained.get("environment"):
        lines.append(f"trained on {hardware(trained['environment'])}")
    lines.append(
        f"{m['images']} images of {m['subjects']} subjects, {data['root']} {data['split']}, "
        f"fingerprint `{data['fingerprint'][:16]}`"
    )
    if data["left_out"]:
        lines.append(f"left out: {len(data['left_out'])} rows with errors")
    if run.get("sha256"):
        lines.append(f"checkpoint SHA-256 `{run['sha256'][:16]}`, causalseg {m['version']}")
    if entry.get("note"):
        lines.append(entry["note"].strip())
    return f"- {name}\n" + "\n".join(f"    - {line}" for line in lines)


def hardware(environment: Mapping[str, Any]) -> str:
    """What a run was trained on, in words."""
    versions = environment.get("versions", {})
    where = environment.get("gpu") or f"{environment.get('cores')} CPU cores"
    revision = (environment.get("git_revision") or "unknown")[:12]
    return f"{where}, torch {versions.get('torch', '?')}, revision `{revision}`"


def faithfulness(found: Sequence[tuple[Json, Json]]) -> list[str]:
    """One table a model, in the suite's own words."""
    from causalseg.evaluation.faithfulness.measures import TestResult
    from causalseg.evaluation.faithfulness.report import line

    parts = []
    for entry, content in found:
        data = content["data"]
        mark = f", fingerprint `{data['fingerprint'][:16]}`" if data.get("fingerprint") else ""
        rows = [line(name, TestResult.from_dict(t)) for name, t in content["tests"].items()]
        parts += [
            f"**Does the mask follow the text?** {entry['name']} on {data['title']}: "
            f"{content['images']} images{mark}. `causalseg faithfulness --model {content['model']} "
            f"--seed {content['seed']} --resamples {content['resamples']}"
            f"{' --flip' if content.get('flip') else ''}`",
            markdown_table(
                ("test", "measure", "result", "perfect", "text ignored", "images", ""), rows
            ),
        ]
    return parts


def comparisons(found: Sequence[tuple[Json, Json]]) -> list[str]:
    """Means over seeds, paired differences and what may be claimed."""
    parts = []
    for entry, content in found:
        means = [
            (name, measure, len(m["runs"]), interval(value), _spread(m, measure))
            for name, m in content["methods"].items()
            for measure, value in m["means"].items()
        ]
        rows = [
            (
                c["measure"],
                f"{c['a']} - {c['b']}",
                interval(c["difference"], "+.3f"),
                f"{c['p']:.4f}",
                f"{c['p_holm']:.4f}",
                c["claim"],
            )
            for c in content["comparisons"]
        ]
        mark = (content["fingerprint"] or "unknown")[:16]
        parts += [
            f"**Comparison: {entry['name']}.** {content['images']} images of "
            f"{content['subjects']} subjects, fingerprint `{mark}`, {content['resamples']} "
            f"resamples, seed {content['seed']}.",
            markdown_table(("method", "measure", "seeds", "mean", "SD of seeds"), means),
            markdown_table(("measure", "A - B", "difference", "p", "p (Holm)", "in words"), rows),
        ]
    return parts


def _spread(method: Mapping[str, Any], measure: str) -> str:
    value = method["seed_standard_deviation"][measure]
    return "one seed" if value is None else f"{value:.4f}"


def grids(found: Sequence[tuple[Json, Json]]) -> list[str]:
    """The own tables of `ablate` and `lodo`."""
    return [f"**{e['name']}.** {grid_run(e, c)}\n\n{c['markdown'].strip()}" for e, c in found]


def grid_run(entry: Json, content: Json) -> str:
    """Command, hardware and note of a grid."""
    run = content.get("run", {})
    parts = []
    if run.get("command"):
        parts.append(f"`{' '.join(['causalseg', *run['command'][1:]])}`")
    if run.get("environment"):
        parts.append(f"on {hardware(run['environment'])}.")
    return " ".join([*parts, (entry.get("note") or "").strip()])


RENDER = {
    "scores": scores,
    "faithfulness": faithfulness,
    "comparisons": comparisons,
    "ablations": grids,
    "lodo": grids,
}


def claimed() -> list[str]:
    """Other people's numbers, apart and labelled."""
    rows = [[p.data, p.method, f"{p.dice:.2f}", f"{p.iou:.2f}", p.note] for p in LEADERBOARD]
    return [
        "## Claimed by others, not measured here",
        "In percent, as printed in papers and repositories up to November 2026.",
        "**Macro**",
        markdown_table(("data", "method", "Dice", "mIoU", ""), rows),
        "**Micro**, on QaTa-COV19 about 7 points above macro for the same masks:",
        markdown_table(("method", "Dice", ""), MICRO),
    ]
