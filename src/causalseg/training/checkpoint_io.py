"""Lightning's checkpoints, written so that a crash or a full disk leaves the previous one."""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from causalseg.files import remove_leftovers, write_bytes

PREVIOUS = ".previous"


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the target, waits for the disk, renames, and keeps the previous checkpoint.

    Lightning writes to the machine's temporary folder and moves the file. Where that is another
    file system, the move is a copy over the old checkpoint, and a kill during it leaves neither.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write `path`; its previous content stays as `path` + `.previous`."""
        del storage_options  # these are for remote stores, which a run's folder is not
        path = Path(path)
        remove_leftovers(path)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        if path.exists():
            _keep(path)
        write_bytes(path, buffer.getvalue())


def _keep(path: Path) -> None:
    """Give the file a second name, which stays when `path` is replaced. Takes no space."""
    previous = path.with_name(path.name + PREVIOUS)
    with suppress(OSError):  # a file system without links keeps no previous one
        previous.unlink(missing_ok=True)
        os.link(path, previous)
