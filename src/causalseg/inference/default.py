"""Which file is meant where a model is named: the packaged model, a file, or one on the hub."""

from importlib.resources import files
from pathlib import Path

from causalseg import hub
from causalseg.errors import InputError

DEFAULT = "default"
"""Wherever a checkpoint is taken, this name means the packaged model."""
ASSET = Path(str(files("causalseg") / "assets" / "default.safetensors"))
HUB = "hf:"
"""Begins the name of a checkpoint on the Hugging Face hub: `hf:OWNER/NAME[/FILE]`."""
MODEL_FILE = "best.safetensors"
"""The model among the files of a run, and of a repository where no file is named."""
_BESIDE = (".ckpt", ".json", ".yaml", ".yml", ".csv")
"""What else lies in a run's folder."""


def checkpoint_path(name: str | Path) -> Path:
    """Path of the checkpoint that a user means.

    Args:
        name: `default`, `hf:OWNER/NAME[/FILE]` (fetched on first use), or a file.

    Raises:
        InputError: it is a folder or another file of a run, which the message answers with the
            name of the file that is wanted; or the hub cannot give it.

    """
    if str(name) == DEFAULT:
        return default_checkpoint()
    if str(name).startswith(HUB):
        owner, _, rest = str(name).removeprefix(HUB).partition("/")
        repository, _, file = rest.partition("/")
        if not owner or not repository:
            raise InputError(f"{name} names no repository: write hf:OWNER/NAME[/FILE].")
        return hub.fetch(f"{owner}/{repository}", file or MODEL_FILE)
    path = Path(name)
    if "\0" in str(name) or not (path.is_dir() or path.suffix.lower() in _BESIDE):
        return path
    folder = path if path.is_dir() else path.parent
    what = "a folder" if path.is_dir() else "not a model"
    if path.suffix == ".ckpt":
        what = "what a training continues from, not a model"
    best = folder / MODEL_FILE
    remedy = f"give {best}" if best.is_file() else f"give the {MODEL_FILE} of a run"
    raise InputError(f"{path} is {what}: {remedy}.")


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
