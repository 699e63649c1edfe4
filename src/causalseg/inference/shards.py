"""A manifest of an archive, cut into shards, and the folder of a job on it.

A shard is a fixed number of rows of the manifest. Its images get folders under
`OUT/shard-NNNNNN/`, and `index.parquet` beside them, with a line for every row, is written last,
by one rename. A killed run therefore leaves whole shards, or shards without an index.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from causalseg.errors import InputError
from causalseg.files import make_folder, replacing, sha256_of, write_json
from causalseg.inference.outcome import Outcome
from causalseg.inference.tracks import PredictOptions

INDEX = "index.parquet"
JOB = "job.json"


@dataclass(frozen=True)
class Shard:
    """How a shard went, counted in rows of the manifest."""

    number: int
    done: int
    kept: int
    """Of an earlier run."""
    failed: int


def shard_folder(out: Path, number: int) -> Path:
    """Where a shard's results are."""
    return out / f"shard-{number:06d}"


def open_job(
    manifest: Path, out: Path, options: PredictOptions, shard_rows: int, *, again: str
) -> int:
    """Check the manifest and prepare `OUT` for it.

    Args:
        manifest: Parquet with the columns `image` and `text` (and, if wanted, `slice`).
        out: folder that all workers can write.
        options: the same for all rows.
        shard_rows: rows of a shard.
        again: "" for a new job, "resume" or "overwrite" where `OUT` holds it already.

    Returns:
        Number of shards.

    Raises:
        InputError: the manifest cannot be used, or `OUT` holds another job.

    """
    rows = int(_open(manifest).metadata.num_rows)
    if rows == 0:
        raise InputError(f"{manifest} has no rows.")
    digest = sha256_of(manifest)
    job = json.loads(
        json.dumps({"manifest": digest, "shard_rows": shard_rows, "options": options.settings()})
    )
    make_folder(out)
    path = out / JOB
    if path.exists() and again != "overwrite":
        if not again:
            raise InputError(f"--out {out} holds a job already: give --resume or --overwrite.")
        if json.loads(path.read_text(encoding="utf-8")) != job:
            raise InputError(
                f"--resume: {out} holds a job with another manifest, model or options: give "
                "--overwrite or another --out."
            )
    if again == "overwrite":
        for folder in out.glob("shard-[0-9]*[0-9]"):
            shutil.rmtree(folder)
    write_json(path, job)
    return -(-rows // shard_rows)


def read_shards(manifest: Path, shard_rows: int) -> Iterator[Any]:
    """Tables of `shard_rows` rows with the columns shard, of (rows in it) and row (from 1)."""
    import pyarrow as pa

    file = _open(manifest)
    columns = [name for name in ("image", "text", "slice") if name in file.schema_arrow.names]
    number, rest = 0, None
    # Batches of a file may be shorter than requested where its row groups end.
    for batch in file.iter_batches(batch_size=shard_rows, columns=columns):
        table = pa.Table.from_batches([batch])
        rest = table if rest is None else pa.concat_tables([rest, table])
        while rest.num_rows >= shard_rows:
            yield _numbered(rest.slice(0, shard_rows), number, shard_rows)
            rest, number = rest.slice(shard_rows), number + 1
    if rest is not None and rest.num_rows:
        yield _numbered(rest, number, shard_rows)


def write_index(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write a shard's index, the last of its files.

    Args:
        folder: the folder of the shard.
        outcomes: one for each row. They hold no path, which may tell of a patient.

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        {
            "row": pa.int64(),
            "name": pa.string(),
            "status": pa.string(),
            "reason": pa.string(),
            "warnings": pa.list_(pa.string()),
            "seconds": pa.float64(),
        }
    )
    with replacing(folder / INDEX) as part:
        lines = [asdict(outcome) for outcome in outcomes]
        pq.write_table(pa.Table.from_pylist(lines, schema), part)


def finished(out: Path, number: int) -> Shard | None:
    """A shard that an earlier run finished without a failure."""
    import pyarrow.parquet as pq

    path = shard_folder(out, number) / INDEX
    if not path.exists():
        return None
    status = pq.read_table(path, columns=["status"])["status"].to_pylist()
    return None if "failed" in status else Shard(number, 0, len(status), 0)


def failures(out: Path, number: int) -> list[tuple[int, str]]:
    """Number and reason of the failed rows of a finished shard."""
    import pyarrow.parquet as pq

    rows = pq.read_table(shard_folder(out, number) / INDEX).to_pylist()
    return [(row["row"], row["reason"]) for row in rows if row["status"] == "failed"]


def _open(manifest: Path) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            "--engine ray needs an extra: pip install 'causalseg[cluster]'."
        ) from error
    try:
        file = pq.ParquetFile(manifest)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{manifest} cannot be read as Parquet ({type(error).__name__}): --engine ray takes a "
            "Parquet manifest with the columns image and text."
        ) from None
    columns = set(file.schema_arrow.names)
    if not {"image", "text"} <= columns:
        raise InputError(f"{manifest} needs the columns image and text, and has {sorted(columns)}.")
    return file


def _numbered(table: Any, number: int, shard_rows: int) -> Any:
    import numpy as np
    import pyarrow as pa

    count = table.num_rows
    first = number * shard_rows + 1
    for name, values in (
        ("shard", np.full(count, number)),
        ("of", np.full(count, count)),
        ("row", np.arange(first, first + count)),
    ):
        table = table.append_column(name, pa.array(values, pa.int64()))
    return table.combine_chunks()
