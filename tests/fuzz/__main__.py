"""`python -m tests.fuzz`: drive every reader with damaged files, for as long as you like.

Each input is the same for the same seed, reader and number, whatever machine runs it. Exit code 1
when a reader raised anything but the project's error, took more than 5 s of the processor, or more
than 300 MB.
"""

import argparse
import time
from pathlib import Path

from .readers import READERS
from .runner import Findings, plan, run, summary
from .worker import damaged

ROUND = 2000


def main() -> int:
    """Run rounds until the inputs or the minutes are used up."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, help="stop after the round that passes this")
    parser.add_argument("--inputs", type=int, default=2000, help="without --minutes (2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument(
        "--keep", type=int, metavar="NUMBER", help="write this input of the one reader to --out"
    )
    parser.add_argument("--out", type=Path, default=Path())
    args = parser.parse_args()
    if args.keep is not None:
        (name,) = args.readers
        file, content = damaged(name, args.keep, args.seed, READERS[name].seeds())
        (args.out / f"{args.keep}-{file}").write_bytes(content)
        return 0
    start = time.monotonic()
    total, first = Findings(), dict.fromkeys(args.readers, 0)
    while True:
        count = ROUND if args.minutes else min(ROUND, args.inputs - total.inputs)
        jobs = [(name, first[name], n) for name, _, n in plan(count, args.readers)]
        found = run(jobs, args.seed)
        for name, begin, n in jobs:
            first[name] = begin + n
        total.inputs += found.inputs
        total.problems += found.problems
        seconds = time.monotonic() - start
        print(summary(total, seconds), flush=True)
        if seconds > args.minutes * 60 if args.minutes else total.inputs >= args.inputs:
            return 1 if total.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
