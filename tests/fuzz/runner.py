"""Runs workers, restarts them where one dies or hangs, and gathers what they find."""

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from .readers import READERS
from .worker import SECONDS

ROOT = Path(__file__).parents[2]
Job = tuple[str, int, int]


@dataclass
class Findings:
    """Inputs driven, and what went wrong: (reader, number, problem)."""

    inputs: int = 0
    problems: list[tuple[str, int, str]] = field(default_factory=list)


def plan(inputs: int, names: list[str], first: int = 0) -> list[Job]:
    """Share the inputs over the readers by their weights."""
    total = sum(READERS[name].weight for name in names)
    return [(name, first, max(1, round(inputs * READERS[name].weight / total))) for name in names]


def run(jobs: list[Job], seed: int) -> Findings:
    """Drive all jobs in one worker after another: a worker that dies is replaced by the next."""
    found = Findings()
    jobs = list(jobs)
    while jobs:
        last = _work(jobs, seed, found)
        if last is None:
            return found
        name, number = last
        place = next(i for i, job in enumerate(jobs) if job[0] == name)
        _, first, count = jobs[place]
        left = first + count - number - 1
        jobs = ([(name, number + 1, left)] if left else []) + jobs[place + 1 :]
    return found


def _work(jobs: list[Job], seed: int, found: Findings) -> tuple[str, int] | None:
    """Run one worker; the input at which it died, or None when it came to the end."""
    quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
    argument = json.dumps({"seed": seed, "jobs": jobs})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.worker", argument],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | quiet,
        text=True,
    )
    assert process.stdout is not None
    current: tuple[str, int] | None = None
    try:
        for line in _lines(process):
            if line == "done":
                return None
            name, number, *problem = json.loads(line)
            if problem:
                found.problems.append((name, number, problem[0]))
            else:
                current = (name, number)
                found.inputs += 1
    finally:
        process.kill()
        process.wait()
    if current is None:
        raise RuntimeError(f"the fuzzing worker does not start: exit code {process.returncode}")
    reason = "hangs beyond reach" if process.returncode == -9 else "dies"
    found.problems.append((*current, f"the process {reason} (exit code {process.returncode})"))
    return current


def _lines(process: "subprocess.Popen[str]") -> "object":
    """Lines as they come; ends when the process ends, or says nothing for too long."""
    assert process.stdout is not None
    descriptor, rest = process.stdout.fileno(), b""
    patience = 600.0  # for the imports, on a machine that has much else to do
    while select.select([descriptor], [], [], patience)[0]:
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            process.wait()
            return
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in lines)
        patience = 60.0 * SECONDS  # by the clock: it waits for something that never comes


def summary(found: Findings, seconds: float) -> str:
    """What was found, for people."""
    kinds: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name, number, problem in found.problems:
        kinds.setdefault((name, problem.partition(": ")[0]), []).append((number, problem))
    lines = [f"{found.inputs} inputs in {seconds:.0f} s, {len(found.problems)} wrong"]
    for (name, _), cases in sorted(kinds.items(), key=lambda item: -len(item[1])):
        number, problem = cases[0]
        lines.append(f"  {name}: {len(cases)} as input {number}: {problem}")
    return "\n".join(lines)


def timed(jobs: list[Job], seed: int) -> tuple[Findings, float]:
    """Run, and how long it took."""
    start = time.monotonic()
    return run(jobs, seed), time.monotonic() - start
