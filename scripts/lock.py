"""Write requirements/: the exact versions, with hashes, that `make demo` and `make test` install.

`base.txt` is what a plain install brings and `dev.txt` adds what the tests need; both hold for
Python 3.11 and newer on every platform. `cuda.txt` holds the libraries that only a CUDA build of
PyTorch needs, so that a CPU build does not bring gigabytes that it never loads. Run by `make lock`.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
CUDA = re.compile(r"(nvidia|cuda|triton)\b")
HEADER = "# Written by `make lock`: do not edit.\n"


def main() -> None:
    """Resolve the development set, then the plain one within it."""
    dev = resolve("--extra", "dev")
    write("dev.txt", [block for block in dev if not CUDA.match(block)])
    write("cuda.txt", [block for block in dev if CUDA.match(block)])
    base = resolve(
        "--constraint", str(FOLDER / "dev.txt"), "--constraint", str(FOLDER / "cuda.txt")
    )
    write("base.txt", [block for block in base if not CUDA.match(block)])


def resolve(*options: str) -> list[str]:
    """One block of text for each package: its requirement and its hashes."""
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes",
        "--python-version", "3.11", "--no-header", "--no-annotate", "--no-emit-index-url",
        "--upgrade", *options, "pyproject.toml", "requirements/lock.in",
    ]  # fmt: skip
    found = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return re.split(r"\n(?=\S)", found.stdout.strip())


def write(name: str, blocks: list[str]) -> None:
    """Write one file of requirements."""
    (FOLDER / name).write_text(HEADER + "\n".join(blocks) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
