"""How `causalseg predict --engine ray` scales with workers on this machine.

    python benchmarks/ray_scaling.py --model CHECKPOINT --workers 1 2

Phantoms, one sentence each. `seconds` is everything from the command on (Ray's start, loading the
model in every worker); `per_second` is the rate between the first and the last finished shard,
which is what a long job sees.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rich.console import Console
from rich.table import Table

from causalseg.data.phantom import draw_phantom
from causalseg.inference.predict import PredictOptions
from causalseg.inference.ray_engine import Pool, run_job
from causalseg.inference.shards import open_job


def make_archive(folder: Path, rows: int) -> Path:
    """Eight phantoms under many names, and a manifest."""
    images = [draw_phantom(np.random.default_rng(seed)).image for seed in range(8)]
    names = [f"{row:05d}.png" for row in range(rows)]
    for row, name in enumerate(names):
        Image.fromarray(images[row % 8]).save(folder / name)
    manifest = folder / "manifest.parquet"
    pq.write_table(pa.table({"image": names, "text": ["lower left lung"] * rows}), manifest)
    return manifest


def measure(manifest: Path, out: Path, model: Path, workers: int, shard_rows: int) -> dict:
    """One job from nothing."""
    pool = Pool(workers=workers, shard_rows=shard_rows)
    options = PredictOptions()
    start = time.perf_counter()
    open_job(manifest, out, options, pool.shard_rows, again="")
    times, done = [], 0
    for shard in run_job(manifest, out, model, options, pool):
        times.append(time.perf_counter())
        done += shard.done
    first = min(workers, len(times) - 1)  # Every worker has finished its first shard by then.
    rate = (len(times) - first) * shard_rows / (times[-1] - times[first - 1])
    return {
        "workers": workers,
        "rows": done,
        "seconds": round(times[-1] - start, 1),
        "per_second": round(rate, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Run a job for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--shard-rows", type=int, default=8)
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        manifest = make_archive(Path(folder), options.rows)
        for workers in options.workers:
            out = Path(folder) / f"out{workers}"
            results.append(
                measure(manifest, out, options.model.absolute(), workers, options.shard_rows)
            )
    table = Table(*results[0])
    for result in results:
        table.add_row(*(str(value) for value in result.values()))
    Console().print(table)
    print(json.dumps({"cores": os.cpu_count(), "results": results}))


if __name__ == "__main__":
    main()
