"""The model that comes with the package."""

from importlib.resources import files
from pathlib import Path

from causalseg.errors import InputError

DEFAULT = "default"
"""Wherever a checkpoint is taken, this name means the packaged model."""
ASSET = Path(str(files("causalseg") / "assets" / "default.safetensors"))


def default_checkpoint() -> Path:
    """Path of the packaged model.

    Raises:
        InputError: this installation has none.

    """
    if not ASSET.is_file():
        raise InputError(
            "this installation has no packaged model; train one with 'causalseg fit' and give "
            "its .safetensors file."
        )
    return ASSET
