"""What a run was made with: versions, machine and git revision."""

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

_PACKAGES = ("causalseg", "torch", "lightning", "monai", "numpy", "pillow")


@dataclass(frozen=True)
class Environment:
    """Where a run was made."""

    versions: dict[str, str]
    """Package -> version."""
    python: str
    machine: str
    """Kind of processor."""
    cores: int | None
    gpu: str | None
    """Name; None without one."""
    git_revision: str | None
    """Of the package's own files; None where they are in no repository, or git is absent."""


def environment() -> Environment:
    """What this process runs in, as far as that is known."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # no git on this machine
        revision = None
    else:
        revision = found.stdout.strip() if found.returncode == 0 else None
    return Environment(
        # torch.__version__ names the build (+cpu, +cu130), which its metadata may leave out.
        versions={name: version(name) for name in _PACKAGES} | {"torch": torch.__version__},
        python=platform.python_version(),
        machine=platform.machine(),
        cores=os.cpu_count(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        git_revision=revision,
    )
