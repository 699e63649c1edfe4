"""`causalseg serve`: the HTTP server."""

import argparse
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalseg.cli.dialect import Parser
from causalseg.cli.sentence_options import add_flip
from causalseg.cli.starting import quick_start
from causalseg.errors import InputError
from causalseg.terminal import say

if TYPE_CHECKING:
    from causalseg.apps.limits import Limits


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="causalseg serve",
        older={"--queue": "--most", "--batch": "--batch-size"},
        description="Serve a model over HTTP: POST /segment, /jobs, /health, /ready, /metrics, "
        "/openapi.json. Research software, not a medical device.",
    )
    parser.add_argument(
        "--model", default="default", metavar="CHECKPOINT", help="a .safetensors file"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    add_flip(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: this host)")
    parser.add_argument("--port", type=int, default=8080, help="0 picks a free one")
    parser.add_argument(
        "--token-file",
        help="file with a bearer token that requests must carry (or set CAUSALSEG_TOKEN)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="further name that requests may call this server by, such as a proxy's; repeatable",
    )
    parser.add_argument(
        "--root-path", default="", metavar="/PATH", help="path that a proxy serves this under"
    )
    parser.add_argument(
        "--audit",
        type=Path,
        metavar="FILE",
        help="add a JSON line for each request: time, hashes of request and model, status",
    )
    parser.add_argument(
        "--jobs",
        type=Path,
        metavar="DIR",
        help="take jobs (POST /jobs: many images, answered later), kept in this folder",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-bytes", type=int, help="of a request (default: 33554432)")
    limits.add_argument("--max-pixels", type=int, help="of an image (default: 40000000)")
    limits.add_argument("--most", type=int, help="requests in work before 429 (default: 256)")
    limits.add_argument("--batch-size", type=int, help="images per batch (default: 8)")
    limits.add_argument("--wait-ms", type=float, help="wait for a batch to fill (default: 0)")
    limits.add_argument("--timeout-s", type=float, help="for a body, and an answer (default: 30)")
    return parser


def _limits(options: argparse.Namespace) -> "Limits":
    from causalseg.apps.limits import Limits

    names = ("max_bytes", "max_pixels", "most", "batch_size", "wait_ms", "timeout_s")
    given = {name: getattr(options, name) for name in names}
    return Limits(**{name: value for name, value in given.items() if value is not None})


def _token(path: str | None) -> str | None:
    """From a file or the environment, never from the command line, which others can list."""
    if path is None:
        return os.environ.get("CAUSALSEG_TOKEN") or None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InputError(f"--token-file {path} cannot be read ({type(error).__name__}).") from None
    if not token:
        raise InputError(f"--token-file {path} is empty: write the token into it.")
    return token


def main(argv: list[str]) -> int:
    """Run the server until SIGTERM or Ctrl-C; requests in work are answered first."""
    options = _parser().parse_args(argv)
    # Threads that wait for the next operation must not keep a processor busy: read at the import
    # of PyTorch.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    server = _server(options)
    # For a signal that comes before uvicorn listens for it; and uvicorn raises the one that ended
    # it again, which is no reason to die of it.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    return _run(server, options)


@quick_start()
def _server(options: argparse.Namespace) -> Any:
    """Everything loaded, nothing listening."""
    limits, token = _limits(options), _token(options.token_file)
    try:
        import numpy as np
        import uvicorn

        from causalseg.apps import hosts
        from causalseg.apps.answers import Identity
        from causalseg.apps.audit import Audit
        from causalseg.apps.jobs import Store
        from causalseg.apps.server import create_app, uvicorn_config
    except ImportError as error:
        raise InputError(
            f"serving needs an extra ({error}): pip install 'causalseg[app]'."
        ) from None
    from causalseg.inference.segmenter import Segmenter

    if options.host not in hosts.LOCAL and token is None:
        say(
            "causalseg serve: warning: others can reach this server, and no token is asked for "
            "(--token-file).",
            aside=True,
        )
    model = Identity.of(options.model, flip=options.flip)
    jobs = Store(options.jobs) if options.jobs else None
    segmenter = Segmenter.load(options.model, device=options.device, flip=options.flip)
    # The first pass takes far longer than all others, which are predicted from those before them.
    segmenter(np.zeros((64, 64), np.uint8), "left lung")
    app = create_app(
        segmenter,
        limits,
        token,
        model=model,
        audit=Audit(options.audit, model.sha256) if options.audit else None,
        names=hosts.allowed(options.host, options.allow_host),
        root_path=options.root_path,
        jobs=jobs,
    )
    return uvicorn.Server(uvicorn_config(app))


def _run(server: Any, options: argparse.Namespace) -> int:
    import socket

    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        listening = socket.create_server((options.host, options.port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--host {options.host} --port {options.port} cannot be bound ({error}): "
            "choose another."
        ) from None
    port = listening.getsockname()[1]
    host = f"[{options.host}]" if ":" in options.host else options.host
    say(f"causalseg serves on http://{host}:{port} (not a medical device)")
    server.run(sockets=[listening])
    return 0
