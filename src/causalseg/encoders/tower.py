"""What every tower with published weights is."""

from torch import nn


class Tower(nn.Module):
    """Encodes images or texts; its parameters have the names of the published files."""

    unused_weights: tuple[str, ...] = ("attnpool.",)
    """Beginnings of the names that a file may hold and this tower has no use for."""
