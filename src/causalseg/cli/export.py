"""`causalseg export`: write ONNX or OpenVINO, gated by a comparison with PyTorch."""

import argparse
from pathlib import Path

TEXTS = ("one infected area, lower left lung.", "bilateral pulmonary infection.")


def main(argv: list[str]) -> int:
    """Run the command; 0 if a file was written."""
    parser = argparse.ArgumentParser(
        prog="causalseg export",
        description="Write a checkpoint as one ONNX or OpenVINO graph: image and tokens to "
        "logits. The file is run on real images and refused if it differs from PyTorch.",
    )
    parser.add_argument("checkpoint", help=".safetensors file, or 'default'")
    parser.add_argument("--format", choices=("onnx", "openvino"), required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".onnx or .xml")
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of PNG or JPEG images on which the file is compared with PyTorch",
    )
    parser.add_argument("--count", type=int, default=8, help="images compared (default 8)")
    parser.add_argument("--text", action="append", help="text to compare under; may be repeated")
    options = parser.parse_args(argv)

    from causalseg.data.images import read_image
    from causalseg.errors import InputError
    from causalseg.inference.export import export

    kinds = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
    if not options.images.is_dir():
        raise InputError(f"--images {options.images} is not a folder.")
    files = sorted(p for p in options.images.iterdir() if p.suffix.lower() in kinds)
    if not files or options.count < 1:
        raise InputError(f"--images {options.images} holds no image, or --count is below 1.")
    images = [read_image(path) for path in files[: options.count]]
    parity = export(
        Path(options.checkpoint), options.out, options.format, images, options.text or TEXTS
    )
    print(f"wrote {options.out}: {parity}")
    return 0
