"""The base of every tower with published weights."""

from torch import nn


class Tower(nn.Module):
    """Encodes images or texts; its parameters have the names of the published files."""

    unused_weights: tuple[str, ...] = ("attnpool.",)
    """Prefixes of names that a file may hold and this tower does not use."""
    activation: str | None = None
    """What its transformer computes between linear layers; None where it has no transformer."""
