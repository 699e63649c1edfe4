"""Two revisions of the source, in turn on the same work: docs/results/against.json.

    python -m benchmarks.against OLD/src --rounds 7

Each revision has a process of its own, which is asked for one call at a time, so that the
machine's other load meets both alike. Ratios are of CPU seconds, within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASES = {
    "packaged model, 160 px": ("answer", "default", 160),
    "RN101, 224 px": ("answer", "RN101", 224),
    "training step, compact, 160 px, batch 16": ("step", "compact", 160),
}
"""Name -> kind, model, side."""


def call_of(case: str) -> Callable[[], object]:
    """One image's answer as `Segmenter` computes it, or a training step of both branches."""
    from benchmarks.once import training_step

    kind, which, side = CASES[case]
    return answer(which, side) if kind == "answer" else training_step("fast", 16, which, side)


def answer(which: str, side: int) -> Callable[[], object]:
    """Image features and the response to a sentence whose features are cached."""
    import torch

    from benchmarks.variants import random_model, segmenter_model, tokens
    from causalseg.inference.optimise import TextCache
    from causalseg.inference.segmenter import Segmenter

    if which == "default":
        model: Any = Segmenter.load("default").model
    else:
        model = segmenter_model(random_model(which))
    images, text, cache = torch.randn(1, 3, side, side), tokens(1), TextCache(model)

    @torch.inference_mode()
    def call() -> object:
        return model.segment(model.encode_image(images), cache(text)).logits

    return call


def work(case: str, threads: int) -> None:
    """Make a call for each line that comes, and answer with its seconds and the peak memory."""
    import torch

    torch.set_num_threads(threads)
    call = call_of(case)
    call()
    for _ in sys.stdin:
        begun, used = time.perf_counter(), time.process_time()
        call()
        seconds, cpu = time.perf_counter() - begun, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_gib": peak}), flush=True)


def compare(case: str, sources: dict[str, Path], rounds: int, threads: int) -> dict[str, Any]:
    """Median and least CPU seconds of each revision, and the median ratio of a round."""
    workers = {name: _worker(case, source, threads) for name, source in sources.items()}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for turn in range(rounds + 1):
        for name, worker in workers.items():
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
            measured = json.loads(worker.stdout.readline())
            if turn:  # the first warms up
                found[name].append(measured)
    for worker in workers.values():
        worker.communicate()
    ratios = [
        a["cpu_seconds"] / b["cpu_seconds"]
        for a, b in zip(found["before"], found["after"], strict=True)
    ]
    rows = {
        name: {
            "cpu_seconds": statistics.median(one["cpu_seconds"] for one in each),
            "least_cpu_seconds": min(one["cpu_seconds"] for one in each),
            "least_seconds": min(one["seconds"] for one in each),
            "peak_gib": max(one["peak_gib"] for one in each),
        }
        for name, each in found.items()
    }
    return rows | {
        "ratio": statistics.median(ratios), "ratio_range": [min(ratios), max(ratios)],
        "rounds": rounds, "threads": threads,
    }  # fmt: skip


def _worker(case: str, source: Path, threads: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.against", "--work", case]
    return subprocess.Popen(
        [*command, "--threads", str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(source.resolve())},
    )


def main() -> None:
    """Compare, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, nargs="?", help="src of the older revision")
    parser.add_argument("--after", type=Path, default=Path("src"))
    parser.add_argument("--only", choices=CASES, action="append")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/results/against.json"))
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.threads)
        return
    data = json.loads(options.out.read_text()) if options.out.is_file() else {}
    sources = {"before": options.before, "after": options.after}
    for case in options.only or CASES:
        data[case] = compare(case, sources, options.rounds, options.threads)
        data[case]["load_average"] = os.getloadavg()[0]
        print(case, json.dumps(data[case]))
        options.out.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
