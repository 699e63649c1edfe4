"""A checkpoint or exported file made ready for inference."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from causalseg.data.preprocessing import Preprocessing
from causalseg.encoders.packed import can_pack, pack
from causalseg.inference.backends import is_exported, load_exported
from causalseg.inference.device import usable_device
from causalseg.inference.optimise import Precision, compiled, optimise
from causalseg.models.base import SegmentationModel
from causalseg.models.checkpoint import Checkpoint, load_checkpoint

_SMALL = 64


def ready_model(
    path: Path, device: str, precision: Precision, *, compile: bool
) -> tuple[Checkpoint, Preprocessing]:
    """Load a file for inference alone; see `Segmenter.load`.

    Raises:
        InputError: there is no such file, it is not a checkpoint, or the options do not fit it.

    """
    if is_exported(path):
        saved = load_exported(path, device=device, precision=precision, compile=compile)
        return saved, Preprocessing.from_dict(saved.preprocessing, path.name)
    saved = load_checkpoint(path)
    preprocessing = Preprocessing.from_dict(saved.preprocessing, path.name)
    optimise(saved.model, precision, _example(saved.model, preprocessing))
    if compile:
        compiled(saved.model)
    elif usable_device(device).type == "cpu" and can_pack():
        pack(saved.model)
    return saved, preprocessing


def _example(model: SegmentationModel, preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """A fixed image and sentence, on which a model's logits are compared.

    The image is small, unless the network is built for one size.
    """
    fixed = hasattr(model.config, "resolution")
    size = preprocessing.size if fixed else min(preprocessing.size, _SMALL)
    image = torch.randint(256, (size, size, 3), generator=torch.Generator().manual_seed(0))
    example = replace(preprocessing, size=size)
    return example.image(image.byte().numpy())[None], example.tokens(["lower left lung"])
