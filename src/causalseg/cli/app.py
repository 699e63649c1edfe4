"""`causalseg app`: the web page."""

import argparse
import os
import signal
import threading
from importlib.util import find_spec

from causalseg.cli.dialect import Parser
from causalseg.cli.sentence_options import add_flip
from causalseg.cli.starting import quick_start
from causalseg.errors import InputError
from causalseg.terminal import say


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="causalseg app",
        description="Open the web page on this machine. Nothing leaves it. Research software, not "
        "a medical device.",
    )
    parser.add_argument(
        "--model", default="default", metavar="CHECKPOINT", help="a .safetensors file"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    add_flip(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: this host)")
    parser.add_argument("--port", type=int, help="by default the first free one from 7860")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which browsers may reach this page, such as a proxy's; repeatable",
    )
    parser.add_argument(
        "--root-path", default="", metavar="/PATH", help="path under which a proxy serves the page"
    )
    return parser


def main(argv: list[str]) -> int:
    """Serve the page until SIGTERM or Ctrl-C, then remove what was uploaded."""
    options = _parser().parse_args(argv)
    # Threads that wait for the next operation must not keep a processor busy: read at the import
    # of PyTorch.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Looked for, not imported: gradio settles on its folder for uploads when it is imported.
    if find_spec("gradio") is None:
        raise InputError("the page needs an extra: pip install 'causalseg[app]'.")
    with quick_start():
        from causalseg.apps import hosts
        from causalseg.apps.answers import Identity
        from causalseg.apps.limits import Limits
        from causalseg.apps.page import Page, page_folder
        from causalseg.inference.segmenter import Segmenter

        segmenter = Segmenter.load(options.model, device=options.device, flip=options.flip)
    if options.host not in hosts.LOCAL:
        say(
            "causalseg app: warning: others can reach this page, and it asks for no password.",
            aside=True,
        )
    names = hosts.allowed(options.host, options.allow_host)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with page_folder() as folder:
        with quick_start():  # gradio too
            page = Page(segmenter, folder, Limits(), Identity.of(options.model, flip=options.flip))
        try:
            url = page.launch(options.host, options.port, names, options.root_path)
        except (OSError, OverflowError) as error:
            raise InputError(
                f"--host {options.host} --port {options.port} cannot be bound ({error}): "
                "choose another."
            ) from None
        say(f"causalseg's page is at {url} (not a medical device); Ctrl-C ends it")
        try:
            stop.wait()
        finally:
            page.close()
    return 0
