"""Lightning's checkpoints, written so that a crash or a full disk leaves the previous one."""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from torch import nn

from causalseg.errors import InputError
from causalseg.files import remove_leftovers, write_bytes

PREVIOUS = ".previous"
_PARTS = {"state_dict", "optimizer_states", "loops", "pytorch-lightning_version"}


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


def check_checkpoint(path: Path, max_epochs: int) -> None:
    """Refuse, before any work, what Lightning could not continue from."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        whole = isinstance(found, dict) and found.keys() >= _PARTS
    except Exception:  # a damaged file may make the reader raise anything
        whole = False
    if not whole:
        previous = path.with_name(path.name + PREVIOUS)
        other = f", or go back to {previous}" if previous.is_file() else ""
        raise InputError(
            f"{path} is damaged or is no checkpoint of a run: give its last.ckpt{other}."
        )
    done = found.get("epoch")
    if isinstance(done, int) and done + 1 > max_epochs:
        raise InputError(
            f"{path} has {done + 1} epochs already: raise trainer.max_epochs above {max_epochs}."
        )


def check_same_model(path: Path, module: nn.Module) -> None:
    """Refuse to continue from a checkpoint of another model than the config describes."""
    stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    shapes = {name: weight.shape for name, weight in module.state_dict().items()}
    if {name: weight.shape for name, weight in stored.items()} != shapes:
        raise InputError(
            f"{path} holds another model than the config describes: give the same architecture and "
            "options as the run had (its run.json has them)."
        )
