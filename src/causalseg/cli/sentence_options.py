"""How texts are read and asked: the same options wherever a command takes them."""

import argparse


def add_sentence_options(parser: argparse.ArgumentParser) -> None:
    """Add `--sides` and `--strict`."""
    parser.add_argument(
        "--sides",
        choices=("patient", "viewer"),
        help="whose left a text means where it does not say so (default: the patient's, as in "
        "reports; in the wording of QaTa-COV19's captions the viewer's)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse texts that are not understood, instead of warning",
    )


def add_flip(parser: argparse.ArgumentParser) -> None:
    """Add `--flip`."""
    parser.add_argument(
        "--flip",
        action="store_true",
        help="ask about the mirrored image and sentence too and average both answers: twice the "
        "time",
    )
