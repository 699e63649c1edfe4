"""8-bit exports, judged by the Dice that they lose on labelled images."""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causalseg.data.images import read_image, read_mask
from causalseg.data.manifest import Manifest
from causalseg.errors import InputError
from causalseg.evaluation.metrics import dice
from causalseg.files import make_folder
from causalseg.inference.backends import KEY
from causalseg.inference.export import SUFFIX, convert_to_openvino, export, paired_inputs
from causalseg.inference.maps import foreground
from causalseg.inference.quantise import quantise
from causalseg.inference.segmenter import Segmenter


@dataclass(frozen=True)
class DiceLoss:
    """Macro Dice at the model's size, of PyTorch in float32 and of the exported file."""

    split: str
    images: int
    eager: float
    """In [0, 1]."""
    exported: float
    """In [0, 1]."""

    @property
    def points(self) -> float:
        """What the file loses, in points of Dice; negative where it gains."""
        return 100 * (self.eager - self.exported)

    def __str__(self) -> str:
        return (
            f"Dice loss {self.points:+.2f} points ({self.eager:.4f} in PyTorch, "
            f"{self.exported:.4f} in int8, {self.images} images of the {self.split} split)"
        )


@dataclass(frozen=True)
class Int8:
    """What was quantised, and what it costs; kept as `provenance["int8"]` in the file."""

    convolutions: int
    """How many are in int8."""
    calibration_images: int
    dice: DiceLoss | None
    """None where no labelled images were given."""

    def __str__(self) -> str:
        cost = self.dice or "Dice loss not measured: give labelled images with --data"
        return (
            f"{self.convolutions} convolutions in int8, calibrated on {self.calibration_images} "
            f"images, without the gate for exact files; {cost}"
        )


def export_int8(
    checkpoint: Path | str,
    out: Path,
    images: Sequence[NDArray[np.uint8]],
    texts: Sequence[str],
    labelled: Manifest | None,
) -> Int8:
    """Export to ONNX through the usual gate, quantise, and measure instead of gating.

    The file is OpenVINO's, which runs int8 in half the time of float32; ONNX Runtime takes longer.

    Args:
        checkpoint: `.safetensors`, or the name `default`.
        out: `.xml`, beside which a `.bin` is written.
        images: uint8, (H, W) or (H, W, 3); they set the ranges of activations and serve the gate.
        texts: at least one; image i goes with text i modulo their number.
        labelled: images on which Dice is measured; not used for calibration.

    Raises:
        InputError: as `export` raises it, also where the file is wrong before quantisation.

    """
    if out.suffix.lower() != SUFFIX["openvino"]:
        raise InputError(f"int8 is written for openvino alone: --out must end in .xml, not {out}.")
    eager = Segmenter.load(checkpoint)
    make_folder(out.parent)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        exact, int8, written = (Path(folder) / n for n in ("exact.onnx", "int8.onnx", "new.xml"))
        export(Path(checkpoint), exact, "onnx", images, texts)
        inputs = paired_inputs(eager.preprocessing, images, texts)
        count = quantise(exact, int8, *inputs)
        convert_to_openvino(int8, written)
        found = Segmenter.load(written)
        loss = None if labelled is None else _loss(eager, found, labelled)
        result = Int8(count, len(images), loss)
        _note(int8, result)
        convert_to_openvino(int8, written)
        for suffix in (".bin", ".xml"):
            os.replace(written.with_suffix(suffix), out.with_suffix(suffix))
    return result


def macro_dice(segmenter: Segmenter, labelled: Manifest) -> float:
    """Mean of the images' Dice in [0, 1], at the model's size, each under its own caption."""
    values = []
    for record in labelled.records:
        probability = segmenter.probabilities([read_image(record.image)], [record.caption])[0]
        truth = segmenter.preprocessing.mask(read_mask(record.mask))[0].bool().numpy()
        values.append(dice(foreground(probability, segmenter.threshold), truth))
    return float(np.mean(values))


def _loss(eager: Segmenter, found: Segmenter, labelled: Manifest) -> DiceLoss:
    return DiceLoss(
        labelled.split,
        len(labelled.records),
        macro_dice(eager, labelled),
        macro_dice(found, labelled),
    )


def _note(path: Path, result: Int8) -> None:
    """Write the result into the file's own header."""
    import onnx

    model = onnx.load(path)
    entry = next(p for p in model.metadata_props if p.key == KEY)
    header: dict[str, Any] = json.loads(entry.value)
    header["provenance"]["int8"] = asdict(result)
    entry.value = json.dumps(header)
    onnx.save(model, path)
