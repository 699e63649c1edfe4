"""The device that a model runs on."""

import torch

from causalseg.errors import InputError


def usable_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one, and the CPU otherwise.

    `gpu` is any GPU: CUDA's, or Apple's (`mps`) where that is the one there is.

    Raises:
        InputError: there is no such device on this machine.

    """
    if name in ("auto", "gpu"):
        gpu = torch.cuda.is_available()
        apple = not gpu and torch.backends.mps.is_available()
        name = "mps" if apple else "cuda" if gpu or name == "gpu" else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise InputError(
            f"there is no device {name!r} here: use auto, cpu, or the name of a GPU that is there."
        ) from None
    return device
