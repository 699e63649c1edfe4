"""How texts are read: the same options wherever a command takes one."""

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
