"""The device that a model runs on."""

import torch

from causalseg.errors import InputError

_THREADS = torch.get_num_threads()
"""As the process started: a thread that takes its share changes what later ones are told."""
_MOST_STREAMS = 4
"""Each holds the activations of a batch."""


def streams_of(device: torch.device) -> int:
    """How many threads may usefully run a model side by side: one on a GPU, several on a CPU.

    The threads of one operation wait for each other some hundred times in a forward pass, which
    two forward passes on a thread each never do.
    """
    return 1 if device.type != "cpu" else min(_THREADS, _MOST_STREAMS)


def share_threads(streams: int) -> None:
    """Give the calling thread its share of PyTorch's threads when that many run side by side."""
    torch.set_num_threads(max(1, _THREADS // streams))


def usable_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one, and the CPU otherwise.

    `gpu` is any GPU: one of CUDA's, or Apple's (`mps`) on a Mac.

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
