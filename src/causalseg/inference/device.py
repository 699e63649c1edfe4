"""The device that a model runs on."""

import torch

from causalseg.errors import InputError


def usable_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one, and the CPU otherwise.

    Raises:
        InputError: there is no such device on this machine.

    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise InputError(f"there is no device {name!r} here: use cpu, or a GPU's name.") from None
    return device
