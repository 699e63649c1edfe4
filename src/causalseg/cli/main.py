"""Entry point of the `causalseg` command.

Only this table is loaded for `causalseg --help`; a subcommand's module is imported when it is
named. A subcommand is a module `causalseg.cli.NAME` with `main(argv) -> exit code`.
"""

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from types import FrameType

from causalseg.cli.dialect import meant, with_dashes
from causalseg.errors import InputError
from causalseg.inputs import one_line
from causalseg.terminal import say, warnings_as
from causalseg.version import __version__

COMMANDS = {
    "demo": "make phantoms, train a small model on them, segment and draw: the whole tour",
    "data": "check a data set, make phantoms, corrupted copies, planted confounders",
    "caption": "parse captions, derive them from masks, edit them",
    "fit": "train a model from a YAML config",
    "pretrain": "bring image and text towers together on image-sentence pairs",
    "distil-text": "teach a trained model other wordings of its captions",
    "calibrate": "measure when a model's answers can be believed, and store that with it",
    "evaluate": "score a checkpoint on a data set, with intervals",
    "predict": "segment images from text",
    "score": "score a folder of anybody's masks or probabilities",
    "compare": "paired comparison of scored runs",
    "forensics": "tell whether a published Dice and IoU are macro or micro",
    "faithfulness": "measure whether the mask follows the text",
    "ablate": "run and tabulate an ablation grid",
    "confound": "train against a planted confounder and see what repairs it",
    "leaderboard": "train and score all systems on one budget, in one table",
    "confounders": "build or show MCDRL's confounder dictionary",
    "lodo": "leave-one-domain-out training and scoring",
    "export": "write ONNX or OpenVINO, gated by a parity check",
    "models": "list the models that come with the package",
    "app": "open the web page on this machine",
    "serve": "run the HTTP server",
    "listen": "run a DICOM node that stores segmentations back",
}
_PATIENCE = 1.0
"""Seconds that an import is given to end after a signal."""


def usage() -> str:
    """The text of `causalseg --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: causalseg [--version] COMMAND ...",
            "",
            "Text-guided medical image segmentation. Research software, not a medical device.",
            "",
            *lines,
            "",
            "causalseg COMMAND --help tells more about each.",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand.

    Returns:
        0 on success, 2 for an input that cannot be used, 130 when interrupted, or what the
        subcommand returns.

    """
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        say(usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        say(f"causalseg {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        close = meant(name, COMMANDS)
        hint = f"did you mean {close}? " if close else ""
        say(
            f"causalseg: error: there is no command {name!r}; {hint}"
            "'causalseg --help' lists the commands.",
            aside=True,
        )
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):  # whose encoding may lack a caption's letters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _end_when_asked(name)
        with warnings_as(f"causalseg {name}"):
            command = import_module(f"causalseg.cli.{name.replace('-', '_')}")
            code: int = command.main(with_dashes(rest))
    except InputError as error:
        say(f"causalseg {name}: error: {error}", aside=True)
        return 2
    except KeyboardInterrupt:
        say(f"causalseg {name}: interrupted", aside=True)
        return 130
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        # A full disk, a file without permission; libraries have errors of their own for them.
        if not isinstance(error, OSError) and "No space left" not in str(error):
            raise
        say(f"causalseg {name}: error: {one_line(error)}.", aside=True)
        return 2
    return code


def _end_when_asked(name: str) -> None:
    """What ends a run from outside ends it as Ctrl-C does. Servers set handlers of their own."""
    if threading.current_thread() is not threading.main_thread():
        return
    interrupt = _interrupting(name)
    for kind in ("SIGTERM", "SIGINT", "SIGALRM"):  # Windows lacks the last
        if hasattr(signal, kind):
            signal.signal(getattr(signal, kind), interrupt)


def _interrupting(name: str) -> Callable[[int, FrameType | None], None]:
    """A handler that ends the command, but not in the middle of an import.

    A library that is half there may hang or recurse. So within an import the handler comes back
    soon, and when the import takes long, as at the start, it ends the process as it is.
    """
    asked: list[float] = []

    def interrupt(_: int, frame: FrameType | None) -> None:
        asked.append(time.monotonic())
        while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
            frame = frame.f_back
        if frame is None or not hasattr(signal, "SIGALRM"):
            raise KeyboardInterrupt
        if asked[-1] - asked[0] > _PATIENCE:
            os.write(2, f"causalseg {name}: interrupted\n".encode())
            os._exit(130)
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    return interrupt


if __name__ == "__main__":
    sys.exit(main())
