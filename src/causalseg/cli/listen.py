"""`causalseg listen`: a DICOM node that segments the radiographs that are sent to it."""

import argparse
import signal
import threading
from pathlib import Path
from typing import Any

from causalseg.cli import dialect, sentence_options
from causalseg.terminal import say

_EPILOG = """\
The node takes C-ECHO and C-STORE of CR, DX and secondary capture images, one sentence for each by
the rule given, and stores a DICOM SEG at --store-to. What waits is in --queue and survives a kill;
what cannot be segmented goes to its folder `failed`, with the reason. DICOM has no passwords:
listen on a loopback or clinical network only. Research software, not a medical device.
"""


def _parser() -> argparse.ArgumentParser:
    from causalseg.apps.listen import TEXTS

    parser = dialect.Parser(
        prog="causalseg listen",
        description="Take radiographs by C-STORE, segment them, store the DICOM SEG back.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--text", help="the sentence to segment by")
    add("--text-from", choices=TEXTS, help="take it from the image's header; --text if it is empty")
    sentence_options.add_sentence_options(parser)
    add("--store-to", required=True, metavar="AET@HOST:PORT", help="where the DICOM SEG goes")
    add("--queue", type=Path, required=True, metavar="DIR", help="folder of what waits")
    add(
        "--most",
        type=int,
        default=1000,
        help="images that may wait or have failed (default: %(default)s)",
    )
    add("--aet", default="CAUSALSEG", help="this node's AE title (default: %(default)s)")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=11112, help="port to listen on (default: %(default)s)")
    add("--model", default="default", metavar="CHECKPOINT", help="a .safetensors file")
    add("--device", default="cpu", help="cpu, cuda, cuda:1... (default: %(default)s)")
    return parser


def main(argv: list[str]) -> int:
    """Run the node until it is interrupted."""
    from causalseg.apps.listen import Node, Queue, Rule, serve
    from causalseg.errors import InputError
    from causalseg.files import sha256_of
    from causalseg.inference.default import checkpoint_path
    from causalseg.inference.segmenter import Segmenter
    from causalseg.inference.tracks import PredictOptions

    arguments = _parser().parse_args(argv)
    rule = Rule(arguments.text, arguments.text_from)
    destination = Node.parse(arguments.store_to)
    if not 1 <= arguments.port <= 65535 or arguments.most < 1 or not 1 <= len(arguments.aet) <= 16:
        raise InputError("--port is 1 to 65535, --most at least 1, --aet 1 to 16 characters.")
    queue = Queue(arguments.queue, arguments.most)
    checkpoint = checkpoint_path(arguments.model)
    segmenter = Segmenter.load(checkpoint, device=arguments.device)
    stop = threading.Event()

    def end(*_: Any) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    serve(
        queue,
        segmenter,
        rule,
        destination,
        PredictOptions(model=sha256_of(checkpoint), sides=arguments.sides, strict=arguments.strict),
        title=arguments.aet,
        host=arguments.host,
        port=arguments.port,
        say=say,
        stop=stop,
    )
    return 0
