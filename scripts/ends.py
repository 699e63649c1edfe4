"""Test both ends of what pyproject.toml admits: the oldest versions allowed, and the newest.

Makes an environment for each under build/, installs the package with its extras, and runs the tests
of models, inference and tables there. Words after the script's name go to `uv pip install`, such as
a constraint. Run by `make ends`; it takes some GB and half an hour.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ".[dicom,pacs,app,export]"
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "scikit-image", "httpx")
TESTS = (
    "tests/models",
    "tests/inference",
    "tests/data/test_tables.py",
    "tests/test_requirements.py",
)
UV = (sys.executable, "-m", "uv")


def main() -> int:
    """Exit code 1 where the tests of an end fail."""
    failed = []
    for end, resolution in (("oldest", "lowest-direct"), ("newest", "highest")):
        folder = ROOT / "build" / end
        python = str(folder / "bin" / "python")
        run(*UV, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        install = (*UV, "pip", "install", "--quiet", "--python", python)
        run(*install, f"--resolution={resolution}", *sys.argv[1:], EXTRAS)
        run(*install, *TOOLS)
        run(*UV, "pip", "list", "--python", python)
        print(f"the {end} versions:", flush=True)
        tests = [python, "-m", "pytest", "-q", "-n", "2", *TESTS]
        if subprocess.run(tests, cwd=ROOT, check=False).returncode:
            failed.append(end)
    if failed:
        print(f"failed with the {' and the '.join(failed)} versions")
    return 1 if failed else 0


def run(*words: str) -> None:
    """Run a command in the repository; its failure ends the script."""
    subprocess.run(words, cwd=ROOT, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
