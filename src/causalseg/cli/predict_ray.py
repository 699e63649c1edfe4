"""`causalseg predict --engine ray`: a Parquet manifest through a pool of Ray actors."""

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.errors import InputError
from causalseg.progress import track
from causalseg.terminal import say

if TYPE_CHECKING:
    from causalseg.inference.tracks import PredictOptions

_SHOWN = 20


def add_ray_options(parser: argparse.ArgumentParser) -> None:
    """Add `--engine` and what goes with it."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: a Parquet manifest of image,text[,slice] in shards, on one or many machines",
    )
    group = parser.add_argument_group("with --engine ray")
    group.add_argument("--workers", type=int, default=1, help="copies of the model (default: 1)")
    group.add_argument("--cpus", type=int, default=1, help="cores for each (default: 1)")
    group.add_argument(
        "--gpus", type=float, default=0.0, help="GPUs for each; 0.5: two share one (default: 0)"
    )
    group.add_argument(
        "--shard-rows", type=int, default=1000, help="rows done and recorded at once (1000)"
    )
    group.add_argument(
        "--ray-address", help="of a running cluster; auto finds it (default: this machine alone)"
    )


def run_ray(arguments: argparse.Namespace, options: "PredictOptions", checkpoint: Path) -> int:
    """Run the job, tell what failed; exit code as for the local engine."""
    from causalseg.inference.ray_engine import Pool, run_job
    from causalseg.inference.shards import open_job

    if arguments.images or arguments.text or arguments.prompts is None:
        raise InputError(
            "--engine ray takes images and texts from --prompts MANIFEST.parquet alone."
        )
    pool = Pool(
        arguments.workers,
        arguments.cpus,
        arguments.gpus,
        arguments.shard_rows,
        arguments.ray_address,
    )
    # Workers have folders of their own.
    manifest, out = arguments.prompts.absolute(), arguments.out.absolute()
    again = "resume" if arguments.resume else "overwrite" if arguments.overwrite else ""
    count = open_job(manifest, out, options, pool.shard_rows, again=again)
    shards = run_job(manifest, out, checkpoint.absolute(), options, pool)
    counts: Counter[str] = Counter()
    failed = []
    for shard in track(shards, "shards", count):
        counts.update(done=shard.done, kept=shard.kept, failed=shard.failed)
        if shard.failed:
            failed.append(shard.number)
    _tell(sorted(failed), out)
    kept = f", {counts['kept']} kept from before" if counts["kept"] else ""
    say(f"{counts['done']} rows segmented{kept}, {counts['failed']} failed; results in {out}")
    if not counts["done"] and not counts["kept"]:
        return 2
    return 1 if failed else 0


def _tell(numbers: list[int], out: Path) -> None:
    from causalseg.inference.shards import failures

    shown = 0
    for number in numbers:
        for row, reason in failures(out, number)[: _SHOWN - shown]:
            say(f"causalseg predict: error: row {row}: {reason}", aside=True)
            shown += 1
        if shown >= _SHOWN:
            say("causalseg predict: ... all in shard-*/index.parquet", aside=True)
            return
