"""`causalseg export`: write ONNX or OpenVINO, gated by a comparison with PyTorch, or int8."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.cli.dialect import Parser, add_model, model_of
from causalseg.terminal import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXAMPLE_TEXTS = ("one infected area, lower left lung.", "bilateral pulmonary infection.")


def main(argv: list[str]) -> int:
    """Run the command; 0 if a file was written."""
    parser = Parser(
        prog="causalseg export",
        description="Write a checkpoint as one ONNX or OpenVINO graph: image and tokens to "
        "logits. The file is run on real images and refused if it differs from PyTorch.",
    )
    add_model(parser)
    parser.add_argument("--format", choices=("onnx", "openvino"), required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".onnx or .xml")
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of PNG or JPEG images on which the file is compared with PyTorch, and "
        "--int8 calibrated",
    )
    parser.add_argument("--count", type=int, default=8, help="images of it used (default 8)")
    parser.add_argument("--text", action="append", help="text to compare under; may be repeated")
    parser.add_argument(
        "--int8",
        action="store_true",
        help="quantise the convolutions of an OpenVINO file; its Dice loss is measured, not gated",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="ROOT",
        help="with --int8: labelled set (LViT layout) on whose val split Dice is measured",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="a random slice of N of its images")
    parser.add_argument("--allow-problems", action="store_true", help="leave out rows with errors")
    options = parser.parse_args(argv)

    from causalseg.data.images import read_image
    from causalseg.errors import InputError

    kinds = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
    if not options.images.is_dir():
        raise InputError(f"--images {options.images} is not a folder.")
    files = sorted(p for p in options.images.iterdir() if p.suffix.lower() in kinds)
    if not files or options.count < 1:
        raise InputError(f"--images {options.images} holds no image, or --count is below 1.")
    if options.int8 and options.format != "openvino":
        raise InputError("--int8 is for --format openvino: ONNX Runtime is not faster in int8.")
    if options.data is not None and not options.int8:
        raise InputError("--data is for --int8; other files are compared on --images alone.")
    if options.limit is not None and (options.data is None or options.limit < 1):
        raise InputError("--limit is a number of images of --data, at least 1.")
    images = [read_image(path) for path in files[: options.count]]
    write = _write_int8 if options.int8 else _write_exact
    say(f"wrote {options.out}: {write(options, images)}")
    return 0


def _write_exact(options: argparse.Namespace, images: "list[NDArray[np.uint8]]") -> object:
    from causalseg.inference.export import export

    texts = options.text or EXAMPLE_TEXTS
    return export(Path(model_of(options)), options.out, options.format, images, texts)


def _write_int8(options: argparse.Namespace, images: "list[NDArray[np.uint8]]") -> object:
    from causalseg.data.lvit import read_lvit
    from causalseg.evaluation.int8 import export_int8

    labelled = None
    if options.data is not None:
        whole = read_lvit(options.data, "val", allow_problems=options.allow_problems)
        labelled = whole.limit(options.limit, seed=0)
    return export_int8(
        model_of(options), options.out, images, options.text or EXAMPLE_TEXTS, labelled
    )
