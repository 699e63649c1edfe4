"""Archives: the same `predict_one` in a pool of Ray actors, one shard of the manifest per task."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from causalseg.errors import InputError
from causalseg.inference.outcome import Outcome
from causalseg.inference.predict import predict_one
from causalseg.inference.requests import RequestRow, plan_rows
from causalseg.inference.segmenter import Segmenter
from causalseg.inference.shards import (
    Shard,
    finished,
    read_shards,
    shard_folder,
    write_index,
)
from causalseg.inference.tracks import PredictOptions


@dataclass(frozen=True)
class Pool:
    """How much of a cluster is used."""

    workers: int = 1
    cpus: int = 1
    """Cores, and threads of torch, for each worker."""
    gpus: float = 0.0
    """GPUs for each worker; 0.5 lets two workers share one."""
    shard_rows: int = 1000
    address: str | None = None
    """Address of a running cluster (`auto` finds it); None starts one on this machine."""

    def __post_init__(self) -> None:
        for name in ("workers", "cpus", "shard_rows"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.gpus < 0:
            raise InputError(f"gpus must not be negative, not {self.gpus}.")


def run_job(
    manifest: Path, out: Path, checkpoint: Path, options: PredictOptions, pool: Pool
) -> Iterator[Shard]:
    """Segment what is not done yet; yields every shard once, those of earlier runs first.

    A shard with failed rows is tried again; its finished images are kept.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.

    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(
            "--engine ray needs an extra: pip install 'causalseg[cluster]'."
        ) from error

    pending = []
    for number, table in enumerate(read_shards(manifest, pool.shard_rows)):
        earlier = finished(out, number)
        if earlier is None:
            pending.append(table)
        else:
            yield earlier
    if not pending:
        return
    started = _start(ray, pool)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        results = ray.data.from_arrow(pending).map_batches(
            _Worker,
            fn_constructor_args=(str(manifest.parent), str(out), str(checkpoint), options, pool),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=pool.workers),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
        )
        for table in results.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            yield from (Shard(**row) for row in table.to_pylist())
    finally:
        if started:
            ray.shutdown()


class _Worker:
    """An actor: loads the model once, then takes shard after shard."""

    def __init__(
        self, root: str, out: str, checkpoint: str, options: PredictOptions, pool: Pool
    ) -> None:
        import torch

        torch.set_num_threads(pool.cpus)
        self.root, self.out = Path(root), Path(out)
        # An actor that is started again must keep what the lost one has finished.
        self.options = replace(options, resume=True)
        self.segmenter = Segmenter.load(
            checkpoint,
            device="cuda" if pool.gpus else "cpu",
            threshold=options.threshold,
            flip=options.flip,
        )

    def __call__(self, table: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        found = []
        # Ray may hand over several shards at once, but never a part of one.
        for number in pc.unique(table["shard"]).to_pylist():
            rows = table.filter(pc.equal(table["shard"], number)).to_pylist()
            if len(rows) != rows[0]["of"]:
                raise RuntimeError(f"shard {number} came in parts")
            found.append(asdict(self._shard(number, rows)))
        return pa.Table.from_pylist(found)

    def _shard(self, number: int, rows: Sequence[Mapping[str, Any]]) -> Shard:
        folder = shard_folder(self.out, number)
        folder.mkdir(exist_ok=True)
        fields: list[RequestRow] = [(row["row"], dict(row)) for row in rows]
        plan = plan_rows(fields, self.root)
        outcomes = {
            item.image: predict_one(self.segmenter, item, folder, self.options)
            for item in plan.items
        }
        bad = {failure.row: failure.reason for failure in plan.failures}
        index = [
            Outcome(row["row"], "", "failed", bad[row["row"]])
            if row["row"] in bad
            else replace(outcomes[str(self.root / row["image"])], row=row["row"])
            for row in rows
        ]
        write_index(folder, index)
        counts = [outcome.status for outcome in index]
        return Shard(number, counts.count("done"), counts.count("kept"), counts.count("failed"))


def _start(ray: Any, pool: Pool) -> bool:
    """Join or start a cluster, unless this process is in one already."""
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if pool.address is None:
        # One core more than the workers need, for Ray's own tasks.
        cores = pool.workers * pool.cpus + 1
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
    else:
        options["address"] = pool.address
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise InputError(
            f"Ray cannot be started or reached ({error}): see --ray-address."
        ) from None
    return True
