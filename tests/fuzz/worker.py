"""One process that drives readers with damaged files and prints what it finds, a line each."""

import contextlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from types import FrameType

from causalseg.errors import InputError

from .mutate import damage
from .readers import READERS

SECONDS = 5
"""Of the processor: a machine that has much else to do makes no reader slow."""
MEGABYTES = 300


class TooSlowError(BaseException):
    """Raised in the reader when its time is over; no reader's `except Exception` stops it."""


def _stop(_: int, __: FrameType | None) -> None:
    raise TooSlowError


def damaged(name: str, number: int, seed: int, seeds: dict[str, bytes]) -> tuple[str, bytes]:
    """Input `number` of a reader: file name and content, always the same; 0.. are the seeds."""
    names = sorted(seeds)
    if number < len(names):
        return names[number], seeds[names[number]]
    rng = random.Random(f"{seed}/{name}/{number}")
    chosen = rng.choice(names)
    return chosen, damage(seeds[chosen], rng)


def _memory(field: str) -> float:
    """VmHWM (peak) or VmRSS (now) of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def drive(name: str, path: Path) -> str | None:
    """Read one file; what is wrong with how that went, or None."""
    reader = READERS[name]
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, start = _memory("VmRSS"), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        reader.drive(path)
    except InputError as error:
        if not str(error).strip() or "\n" in str(error).strip():
            return f"the message is not one line: {str(error)!r}"
        str(error).encode()
    except TooSlowError:
        return f"not done after {SECONDS} s"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return f"{type(error).__name__} at {where}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds, grown = time.process_time() - start, _memory("VmHWM") - before
    if seconds > SECONDS:
        return f"took {seconds:.1f} s"
    return f"took {grown:.0f} MB" if grown > MEGABYTES else None


def warm_up(name: str, seeds: dict[str, bytes], folder: Path) -> None:
    """Read the whole files, which must go well: what is imported for it is nobody's cost."""
    for file, content in seeds.items():
        path = folder / file
        path.write_bytes(content)
        READERS[name].drive(path)


def main() -> None:
    """Arguments: a JSON object with seed, and jobs: a list of (reader, first, count)."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, _stop)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    job = json.loads(sys.argv[1])
    # The readers' own remarks on stdout and stderr are no findings; a fault of this file is one.
    out, loud = os.fdopen(os.dup(1), "w", buffering=1), os.fdopen(os.dup(2), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.excepthook = lambda kind, error, trace: traceback.print_exception(error, file=loud)
    with tempfile.TemporaryDirectory() as folder:
        for name, first, count in job["jobs"]:
            seeds = READERS[name].seeds()
            warm_up(name, seeds, Path(folder))
            for number in range(first, first + count):
                file, content = damaged(name, number, job["seed"], seeds)
                path = Path(folder) / file
                path.write_bytes(content)
                out.write(json.dumps([name, number]) + "\n")
                if os.environ.get("CAUSALSEG_FUZZ_DIE") == f"{name}:{number}":
                    os.abort()  # so that the suite's own test has a native crash
                problem = drive(name, path)
                if problem is not None:
                    out.write(json.dumps([name, number, problem]) + "\n")
    out.write("done\n")


if __name__ == "__main__":
    main()
