"""The options of `causalseg predict`."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from causalseg.cli import dialect, predict_dicomweb, predict_ray, sentence_options
from causalseg.cli.starting import quick_start
from causalseg.errors import InputError
from causalseg.files import sha256_of

if TYPE_CHECKING:
    from causalseg.inference.tracks import PredictOptions

_EPILOG = """\
Each image gets a folder OUT/NAME with result.json and, numbered by prompt, the mask, the
probability, an overlay and the causal (orange) and confounder (blue) heat maps; a DICOM image
gets a DICOM SEG, a NIfTI volume NIfTI masks. Everything has the source's own geometry. NAME is the
picture's own name; DICOM and NIfTI files, whose names may hold patient data, are called scan-HASH.

Exit code: 0 when all is done, 1 when some rows failed, 2 when nothing could be done.
Research software, not a medical device.
"""


def parser() -> argparse.ArgumentParser:
    """All options of `causalseg predict`."""
    found = dialect.Parser(
        prog="causalseg predict",
        older={"--prompt": "--text", "--input": "--prompts", "--output": "--out"},
        description="Segment what a sentence names, in PNG, JPEG, TIFF, BMP, DICOM or NIfTI.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = found.add_argument
    add("images", nargs="*", metavar="IMAGE", help="image files, or folders to search")
    add(
        "--text",
        action="append",
        default=[],
        help="what to segment; may be given several times",
    )
    sentence_options.add_sentence_options(found)
    sentence_options.add_flip(found)
    add(
        "--threshold",
        type=float,
        metavar="P",
        help="probability from which a pixel is in the mask (default: the model's own)",
    )
    add(
        "--min-quality",
        type=float,
        metavar="DICE",
        help="set an image aside for a reader, instead of answering, where a mask's expected Dice "
        "is below this or unknown",
    )
    add(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="table image,text[,slice]: CSV or JSON lines",
    )
    add(
        "--model",
        default="default",
        metavar="CHECKPOINT",
        help="a .safetensors file (default: %(default)s)",
    )
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    add("--device", default="auto", help="cpu, cuda, cuda:1... (default: a GPU if there is one)")
    add(
        "--format",
        choices=("auto", "png", "seg", "nifti"),
        default="auto",
        help="of the masks (default: by input)",
    )
    add(
        "--seg-type",
        choices=("binary", "fractional"),
        default="binary",
        help="what a DICOM SEG holds: masks or probabilities",
    )
    add(
        "--axis",
        choices=("axial", "coronal", "sagittal"),
        default="axial",
        help="how a NIfTI volume is sliced (default: %(default)s)",
    )
    add(
        "--window",
        nargs=2,
        type=float,
        metavar=("CENTER", "WIDTH"),
        help="grey window for DICOM and NIfTI, instead of the header's",
    )
    add(
        "--finding",
        metavar="SCHEME:VALUE:MEANING",
        help="code of the segments (default: SCT:52988006:Lesion)",
    )
    add(
        "--anatomy",
        metavar="SCHEME:VALUE:MEANING",
        help="code of the region (default: by the header's body part)",
    )
    add(
        "--save",
        choices=("all", "mask"),
        default="all",
        help="mask: leave out probabilities, overlays and heat maps (default: %(default)s)",
    )
    again = found.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="keep results that are already whole")
    again.add_argument("--overwrite", action="store_true", help="replace results of the same name")
    predict_ray.add_ray_options(found)
    predict_dicomweb.add_dicomweb_options(found)
    return found


@quick_start()
def options_of(arguments: argparse.Namespace) -> "tuple[PredictOptions, Path]":
    """What was asked for, checked, and the checkpoint's path."""
    from causalseg.inference.default import checkpoint_path
    from causalseg.inference.formats.codes import parse_concept
    from causalseg.inference.tracks import PredictOptions
    from causalseg.models.metadata import check_threshold

    for option in ("finding", "anatomy"):
        if getattr(arguments, option):
            parse_concept(getattr(arguments, option), f"--{option}")
    if arguments.window and not (
        math.isfinite(arguments.window[0]) and 0 < arguments.window[1] < math.inf
    ):
        raise InputError("--window: the center must be a number and the width be above 0.")
    least = arguments.min_quality
    if least is not None and not 0 <= least <= 1:
        raise InputError(f"--min-quality is a Dice from 0 to 1, not {least:g}.")
    if arguments.threshold is not None:
        check_threshold(arguments.threshold, "these masks")
    checkpoint = checkpoint_path(arguments.model)
    options = PredictOptions(
        format=arguments.format,
        seg_type=arguments.seg_type,
        axis=arguments.axis,
        window=tuple(arguments.window) if arguments.window else None,
        finding=arguments.finding,
        anatomy=arguments.anatomy,
        model=sha256_of(checkpoint),
        sides=arguments.sides,
        strict=arguments.strict,
        threshold=arguments.threshold,
        min_quality=arguments.min_quality,
        flip=arguments.flip,
        save=arguments.save,
        resume=arguments.resume,
    )
    return options, checkpoint
