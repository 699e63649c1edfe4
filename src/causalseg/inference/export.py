"""Write a model as ONNX or OpenVINO, gated by a comparison with PyTorch."""

import copy
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from causalseg.data.preprocessing import Preprocessing
from causalseg.errors import InputError
from causalseg.files import make_folder
from causalseg.inference.backends import EXPORT_FORMAT, KEY, load_exported, load_runtime
from causalseg.inference.default import checkpoint_path
from causalseg.inference.optimise import fold_batch_norms
from causalseg.models.base import SegmentationModel
from causalseg.models.checkpoint import Checkpoint, load_checkpoint
from causalseg.models.metadata import FileHeader
from causalseg.models.output import SegmentationOutput

MAX_LOGIT_DIFFERENCE = 1e-3
MAX_PIXEL_SHARE = 1e-4
SUFFIX = {"onnx": ".onnx", "openvino": ".xml"}
ExportFormat = Literal["onnx", "openvino"]


@dataclass(frozen=True)
class Parity:
    """How an exported file differs from PyTorch on the given inputs."""

    inputs: int
    """Pairs of image and text that were compared."""
    logit_difference: float
    """Largest absolute difference of a logit."""
    pixel_share: float
    """Share of pixels that change sides of the threshold, in [0, 1]."""

    @property
    def passed(self) -> bool:
        """Whether both figures stay within the gate."""
        return self.logit_difference <= MAX_LOGIT_DIFFERENCE and self.pixel_share <= MAX_PIXEL_SHARE

    def __str__(self) -> str:
        return (
            f"logits differ by at most {self.logit_difference:.2e} (allowed "
            f"{MAX_LOGIT_DIFFERENCE:.0e}), {self.pixel_share:.2e} of the pixels change sides "
            f"(allowed {MAX_PIXEL_SHARE:.0e}), over {self.inputs} inputs"
        )


def export(
    checkpoint: Path,
    out: Path,
    format: ExportFormat,
    images: Sequence[NDArray[np.uint8]],
    texts: Sequence[str],
) -> Parity:
    """Export a checkpoint as one graph, image and tokens to logits, with a dynamic batch.

    The file carries preprocessing, text reader, threshold and the checks of answers. It is run on
    the images and texts, and nothing is left at `out` unless it agrees with PyTorch.

    Args:
        checkpoint: `.safetensors`, or the name `default`.
        out: `.onnx`; or `.xml` for OpenVINO, beside which a `.bin` is written.
        format: `onnx` or `openvino`.
        images: at least one, uint8, (H, W) or (H, W, 3).
        texts: at least one; image i is compared under text i modulo their number.

    Raises:
        InputError: an argument does not fit, the model cannot be exported, or the exported file
            differs from PyTorch by more than the gate allows.

    """
    if out.suffix.lower() != SUFFIX[format]:
        raise InputError(f"--out must end in {SUFFIX[format]} for {format}, not {out.name!r}.")
    if not images or not texts:
        raise InputError("the parity check needs at least one image and one text.")
    path = checkpoint_path(checkpoint)
    saved = load_checkpoint(path)
    inputs = paired_inputs(Preprocessing.from_dict(saved.preprocessing, path.name), images, texts)
    make_folder(out.parent)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        written = Path(folder) / out.name
        _write_onnx(saved, inputs, written.with_suffix(".onnx"))
        if format == "openvino":
            convert_to_openvino(written.with_suffix(".onnx"), written)
            written.with_suffix(".onnx").unlink()
        parity = check_parity(saved, load_exported(written).model, inputs)
        if not parity.passed:
            raise InputError(f"the exported file is wrong and was not kept: {parity}.")
        for file in sorted(Path(folder).iterdir()):
            os.replace(file, out.with_suffix(file.suffix))
    return parity


def check_parity(
    saved: Checkpoint, exported: SegmentationModel, inputs: tuple[Tensor, Tensor]
) -> Parity:
    """Run both on the same inputs, one at a time and, where there are several, as a batch."""
    images, tokens = inputs
    cut = float(torch.logit(torch.tensor(saved.threshold)))
    with torch.inference_mode():
        expected = torch.cat(
            [
                saved.model(images[i : i + 1], tokens[i : i + 1]).logits
                for i in range(images.shape[0])
            ]
        )
        single = torch.cat(
            [exported(images[i : i + 1], tokens[i : i + 1]).logits for i in range(len(images))]
        )
        difference, share = 0.0, 0.0
        for found in (single, exported(images, tokens).logits):
            difference = max(difference, float((found - expected).abs().max()))
            share = max(share, float(((found >= cut) != (expected >= cut)).float().mean()))
    return Parity(len(images), difference if np.isfinite(difference) else float("inf"), share)


class _Graph(nn.Module):
    """Image and tokens to logits and the deepest features, which the checks of answers need."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        found: SegmentationOutput = self.model(images, tokens)
        return (found.logits,) if found.deep is None else (found.logits, found.deep)


def paired_inputs(
    preprocessing: Preprocessing, images: Sequence[NDArray[np.uint8]], texts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Pixels (B, 3, S, S) and tokens (B, L), image i under text i modulo their number."""
    paired = [texts[i % len(texts)] for i in range(len(images))]
    pixels = torch.stack([preprocessing.image(image) for image in images])
    return pixels, preprocessing.tokens(paired)


def _header(saved: Checkpoint) -> str:
    header = FileHeader(
        format=EXPORT_FORMAT,
        architecture=saved.architecture,
        preprocessing=Preprocessing.from_dict(saved.preprocessing, "the checkpoint").to_dict(),
        threshold=saved.threshold,
        provenance=saved.provenance,
        trust=saved.trust.to_json(),
    )
    return json.dumps(asdict(header))


def _write_onnx(saved: Checkpoint, inputs: tuple[Tensor, Tensor], path: Path) -> None:
    reason = saved.model.export_refusal()
    if reason is not None:
        raise InputError(f"{saved.architecture} cannot be exported: {reason}.")
    for name in ("_registration", "_compat"):  # torchvision is absent on purpose
        logging.getLogger(f"torch.onnx._internal.exporter.{name}").setLevel(logging.ERROR)
    model = copy.deepcopy(saved.model)
    fold_batch_norms(model)
    # A batch of one would be written into the graph as a constant.
    example = tuple(torch.cat([t[:1], t[:1]]) for t in inputs)
    batch = torch.export.Dim("batch", min=1, max=1 << 14)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        deep = model(*example).deep  # interpolation weights are made on first use, not in a trace
        try:
            program = torch.onnx.export(
                _Graph(model).eval(),
                example,
                dynamo=True,
                dynamic_shapes=({0: batch}, {0: batch}),
                input_names=["images", "tokens"],
                output_names=["logits"] if deep is None else ["logits", "deep"],
                verbose=False,
            )
        except ImportError as error:
            raise InputError(
                f"{error.name} is not installed; install it with: pip install 'causalseg[export]'."
            ) from error
    assert program is not None
    program.model.metadata_props[KEY] = _header(saved)
    program.save(path, external_data=False)


def convert_to_openvino(source: Path, out: Path) -> None:
    """Write an ONNX file of `export` as OpenVINO's `.xml` and `.bin`, with its metadata."""
    ov = load_runtime("openvino")
    import onnx

    model = ov.convert_model(source)
    properties = {
        p.key: p.value for p in onnx.load(source, load_external_data=False).metadata_props
    }
    model.set_rt_info(properties[KEY], KEY)
    ov.save_model(model, out, compress_to_fp16=False)
