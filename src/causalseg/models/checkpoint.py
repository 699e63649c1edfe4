"""A model in one safetensors file, with everything needed to use it.

The file's metadata (plain JSON text) holds the architecture and its config, preprocessing,
threshold and provenance. Loading runs no code of the file and needs no other file or network.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from causalseg.errors import InputError
from causalseg.models.base import SegmentationModel
from causalseg.models.registry import model_class, model_config, model_name

FORMAT = "causalseg-1"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model and what belongs to it."""

    model: SegmentationModel
    """In evaluation mode, float32."""
    architecture: str
    preprocessing: dict[str, Any]
    """Fields of `causalseg.data.preprocessing.Preprocessing`."""
    threshold: float
    """A pixel is in the mask where its probability is at least this."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Data fingerprint, versions, initial weights, scores: whatever the run recorded."""


def save_checkpoint(
    path: Path,
    model: SegmentationModel,
    *,
    preprocessing: Mapping[str, Any],
    threshold: float,
    provenance: Mapping[str, Any],
    half: bool = False,
) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: where to; `.safetensors`.
        model: of a registered architecture.
        preprocessing: fields of `Preprocessing`.
        threshold: on the probability, in (0, 1).
        provenance: JSON-serialisable record of how the weights came about.
        half: store floating-point tensors as float16 (half the size; loaded as float32).

    """
    header = {
        "format": FORMAT,
        "architecture": model_name(model),
        "config": asdict(model.config),
        "preprocessing": dict(preprocessing),
        "threshold": threshold,
        "provenance": dict(provenance),
    }
    state = {
        name: (t.half() if half and t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    save_file(state, partial, metadata={"causalseg": json.dumps(header)})
    os.replace(partial, path)


def read_header(path: Path) -> dict[str, Any]:
    """The metadata of a checkpoint, without its weights.

    Raises:
        InputError: there is no such file, or it is no checkpoint of this package.

    """
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"checkpoint {path} {what}; give the .safetensors file of a run.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is not a readable safetensors file, so no checkpoint ({error})."
        ) from error
    if "causalseg" not in metadata:
        raise InputError(f"{path} holds tensors but was not written by causalseg.")
    header: dict[str, Any] = json.loads(metadata["causalseg"])
    if header.get("format") != FORMAT:
        raise InputError(
            f"{path} has format {header.get('format')!r}, and this version reads {FORMAT!r}."
        )
    return header


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: as `read_header`, or the weights do not fit the model.

    """
    header = read_header(path)
    # Without `initialise`: initial weights are of no use, and their file may be gone.
    name = header["architecture"]
    model = model_class(name)(model_config(name, header["config"]))
    with safe_open(path, framework="pt") as file:
        state = {name: _full(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"the weights in {path} do not fit the model that its metadata describes."
        ) from error
    return Checkpoint(
        model.eval(),
        header["architecture"],
        header["preprocessing"],
        header["threshold"],
        header["provenance"],
    )


def _full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
