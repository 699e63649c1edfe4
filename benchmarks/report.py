"""The Markdown table and the plot of a benchmark's JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from causalseg.markdown import markdown_table


def write(data: dict[str, Any], folder: Path) -> None:
    """Write `benchmarks.md` and `benchmarks.svg` beside the JSON."""
    (folder / "benchmarks.md").write_text(markdown(data))
    if "inference" in data:
        plot(data, folder / "benchmarks.svg")


def markdown(data: dict[str, Any]) -> str:
    """All sections that were measured, as tables."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` from `benchmarks.json`; not edited by hand. Ratios are taken "
        "within a round against the first row of each table; median (lowest to highest). CPU "
        "seconds are those of all threads of the process.",
    ]
    for name, section in data.items():
        lines += ["", f"## {name.capitalize()}", "", _machine(section["machine"]), ""]
        result = section["result"]
        if name == "memory":
            rows = [(case, _gib(gib)) for case, gib in result.items()]
            lines.append(markdown_table(("process", "peak GiB"), rows))
            continue
        for title, value in result.items():
            if isinstance(value, float):
                lines += ["", f"{title.replace('_', ' ')}: {value:.2g}"]
            elif title == "missing":
                lines += [f"\nNot measured: {k} ({v.splitlines()[0]})." for k, v in value.items()]
            else:
                lines += ["", f"### {title}", "", _table(value)]
    return "\n".join(lines) + "\n"


def _gib(value: float) -> str:
    return "not measured" if value != value else f"{value:.2f}"


def _machine(found: dict[str, Any]) -> str:
    load = ", ".join(f"{x:.1f}" for x in found["load_average"])
    rates = found["matmul_gflops"]
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['threads']} threads, GPU: "
        f"{found['gpu'] or 'none'}; PyTorch {found['torch']}, {found['cpu_capability']}; "
        f"{rates['torch.float32']:.0f} GFLOP (fp32) and {rates['torch.bfloat16']:.0f} (bf16) a "
        f"CPU second in a 3x3 convolution; load average before the section {load}; "
        f"{found['time']} UTC."
    )


HEADER = ("", "seconds", "CPU seconds", "ratio", "CPU ratio", "GFLOP an image", "logits differ")


def _table(rows: dict[str, Any]) -> str:
    lines = []
    for name, row in rows.items():
        gflop = f"{row['gflop']:.1f}" if row.get("gflop") else ""
        difference = f"{row['logit_difference']:.1e}" if row.get("logit_difference") else ""
        cells = [
            _range(row["seconds"], 3),
            _range(row["cpu_seconds"], 3),
            _range(row["ratio"], 2),
            _range(row["cpu_ratio"], 2),
        ]
        lines.append((name, *cells, gflop, difference))
    return markdown_table(HEADER, lines)


def _range(spread: dict[str, float], digits: int) -> str:
    middle, low, high = (f"{spread[k]:.{digits}f}" for k in ("median", "min", "max"))
    return f"{middle} ({low} to {high})"


def plot(data: dict[str, Any], path: Path) -> None:
    """CPU seconds of an image at batch 1, and growth where it was measured."""
    from matplotlib.figure import Figure

    rows = data["inference"]["result"]["batch 1"]
    growth = data.get("growth", {}).get("result", {})
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    bars, lines = figure.subplots(1, 2, width_ratios=(3, 2))
    colours = {"dense": "#777777", "exact": "#1f77b4", "reduced": "#2ca02c", "peer": "#ff7f0e"}
    names = sorted(rows, key=lambda name: -rows[name]["cpu_seconds"]["median"])
    values = [rows[name]["cpu_seconds"]["median"] for name in names]
    drawn = bars.barh(names, values, color=[colours[rows[name]["group"]] for name in names])
    bars.bar_label(drawn, fmt="%.2f", padding=2)
    bars.set_xscale("log")
    bars.margins(x=0.12)  # room for the longest bar's number
    bars.set_xlabel("CPU seconds for one image at 224 px")
    for title, found in growth.items():
        base = next(iter(found.values()))["cpu_seconds"]["median"]
        lines.plot(
            [float(k) for k in found],
            [row["cpu_seconds"]["median"] / base for row in found.values()],
            marker="o",
            label=title,
        )
    lines.set_xscale("log", base=2)
    lines.set_yscale("log", base=2)
    lines.set_xlabel("side (px), images in the batch, or prompts")
    lines.set_ylabel("CPU seconds, relative to the first")
    if growth:
        lines.legend()
    figure.savefig(path)
