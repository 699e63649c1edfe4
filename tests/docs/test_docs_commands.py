"""Every command that README and docs show is run on tiny data, or parsed where it says so.

Console blocks of a page run in order, in a folder that holds what the pages name (`xray.png`,
`data/QaTa-COV19`, `runs/qata/best.safetensors`, ...), made of phantoms and a tiny checkpoint.
A block after `<!-- docs-test: parse (why) -->` is only parsed, by the command's own parser.
"""

import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from make_reference import Stopped, stopping

from causalseg.cli.main import COMMANDS
from causalseg.cli.main import main as causalseg

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "src" / "causalseg" / "configs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "reference"),
]
PACKAGED = ROOT / "src" / "causalseg" / "assets" / "default.safetensors"
MARK = re.compile(r"<!-- docs-test: parse \(.+\) -->\s*$")
PROMPT = re.compile(r"^[\w-]*\$ ")
# These make a page's training a matter of seconds; options given later win.
SHORT = shlex.split(
    "--model.encoder tiny --model.weights random --data.size 32 --data.batch_size 4 "
    "--data.train_limit 4 --data.val_limit 4 --trainer.max_epochs 1 --trainer.accelerator cpu "
    "--trainer.precision 32-true --optimizer.ema_decay 0"
)


# Never run here: they serve until they are stopped, or take minutes. Their own tests run them.
LONG = {"app", "serve", "demo", "ablate", "confound", "leaderboard", "lodo", "export", "ray"}


@dataclass(frozen=True)
class Command:
    line: int
    words: tuple[str, ...]
    parse: bool


def console_commands(text: str) -> Iterator[Command]:
    """The `$ ...` lines of console blocks, with continued lines joined and comments cut."""
    lines = text.splitlines()
    inside = parse = False
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.startswith("```"):
            parse = not inside and number > 1 and bool(MARK.search(lines[number - 2]))
            inside = not inside and line.startswith("```console")
        elif inside and PROMPT.match(line):
            start, command = number, PROMPT.sub("", line)
            while command.endswith("\\"):
                command = command[:-1] + lines[number]
                number += 1
            yield Command(start, tuple(shlex.split(command, comments=True)), parse)


def causalseg_words(words: tuple[str, ...]) -> list[str] | None:
    """The arguments of causalseg in a command line, be it started by torchrun; None without."""
    for start in (("causalseg",), ("-m", "causalseg"), ("-m", "causalseg.cli.main")):
        for i in range(len(words)):
            here = words[i : i + len(start)] == start
            if here and (i == 0 if len(start) == 1 else "torchrun" in words or "python" in words):
                return list(words[i + len(start) :])
    return None


def loose_commands(text: str) -> Iterator[str]:
    """`causalseg ...` in inline code, indented blocks and comments: a name and maybe options."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    yield from re.findall(r"`causalseg ([a-z-]+)\b[^`]*`", text)
    yield from re.findall(r"^(?:    |#\s+)causalseg ([a-z-]+)", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A folder with everything that the pages' commands read."""
    folder = tmp_path_factory.mktemp("docs")
    phantoms = folder / "data" / "QaTa-COV19"
    words = f"data make-phantoms --out {phantoms} --count 20 --size 48"
    assert causalseg(words.split()) == 0
    shutil.copytree(phantoms, folder / "my-data")
    test = phantoms / "Test_Folder"
    pictures = sorted((test / "img").iterdir())
    (folder / "xray.png").write_bytes(pictures[0].read_bytes())
    shutil.copytree(test / "img", folder / "images")
    shutil.copytree(test / "labelcol", folder / "masks")
    shutil.copytree(test / "labelcol", folder / "predictions")
    shutil.copy(test / "Test_text.csv", folder / "captions.csv")
    (folder / "prompts.csv").write_text('image,text\nxray.png,"lower left lung"\n')
    (folder / "slices.csv").write_text('image,text,slice\nvolume.nii.gz,"left lung",1\n')
    (folder / "runs" / "qata").mkdir(parents=True)
    shutil.copy(tiny_checkpoint, folder / "runs" / "qata" / "best.safetensors")
    shutil.copy(CONFIGS / "causalclipseg" / "qata.yaml", folder / "config.yaml")
    write_scans(folder)
    return folder


def write_scans(folder: Path) -> None:
    """`scan.dcm` and `volume.nii.gz`, where their packages are installed."""
    try:
        import nibabel
        import numpy as np
        import pydicom.data
    except ImportError:
        return
    shutil.copy(str(pydicom.data.get_testdata_file("CT_small.dcm")), folder / "scan.dcm")
    volume = np.random.default_rng(0).integers(0, 1000, (12, 12, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / "volume.nii.gz")


def shortened(words: list[str], checkpoint: Path) -> list[str]:
    """The same command, for a machine without time, weights or a packaged model."""
    if words[0] == "fit":
        return [*words, *SHORT]
    if not PACKAGED.exists():
        words = [str(checkpoint) if word == "default" else word for word in words]
        if words[0] == "predict" and "--model" not in words:
            words = [*words, "--model", str(checkpoint)]
    if words[0] == "faithfulness":
        words = [*words, *(["--limit", "2"] if "--data" in words else ["--phantoms", "2"])]
    if words[0] in ("evaluate", "score", "compare", "faithfulness"):
        words = [*words, "--resamples", "50"]
    return words


def parse_only(words: list[str]) -> None:
    """Let a command parse its arguments, and stop it there; SystemExit where they are wrong."""
    with pytest.raises(Stopped), stopping(after=True):
        causalseg(words)


def check(command: Command, checkpoint: Path) -> None:
    """Run or parse one command; anything that is not causalseg must at least exist here."""
    words = causalseg_words(command.words)
    if words is None:
        check_other(command.words)
    elif command.parse or (words[0] == "models" and not PACKAGED.exists()):
        parse_only(words)
    else:
        assert not {words[0], "ray" if "ray" in words else ""} & LONG, "mark the block as parsed"
        if {"scan.dcm", "volume.nii.gz", "slices.csv"} & {*words}:
            pytest.importorskip("highdicom")
            pytest.importorskip("nibabel")
        assert causalseg(shortened(words, checkpoint)) == 0, " ".join(command.words)


def check_other(words: tuple[str, ...]) -> None:
    """Make targets, extras and scripts that the pages name must be there."""
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
    if Path(words[0]).name == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for named in re.findall(r"\[([\w,]+)\]", " ".join(words)):
            assert {*named.split(",")} <= {*extras["optional-dependencies"]}, words
    if Path(words[0]).name.startswith("python") and words[1].endswith(".py"):
        assert (ROOT / words[1]).exists(), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_work(
    page: Path, bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = list(console_commands(page.read_text()))
    shutil.copytree(bench, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    checkpoint = bench / "runs" / "qata" / "best.safetensors"
    for command in commands:
        try:
            check(command, checkpoint)
        except SystemExit as stop:
            pytest.fail(f"{page.name}:{command.line}: {' '.join(command.words)}: exit {stop.code}")


@pytest.mark.parametrize(
    "page",
    [*PAGES, *sorted(CONFIGS.rglob("*.yaml"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_command_that_is_named_exists(page: Path) -> None:
    assert {*loose_commands(page.read_text())} <= {*COMMANDS}


def test_the_commands_of_configs_parse() -> None:
    found = 0
    for config in sorted(CONFIGS.rglob("*.yaml")):
        text = re.sub(r"\\\n#\s*", " ", config.read_text())
        for line in re.findall(r"^#  +causalseg (.+)$", text, flags=re.MULTILINE):
            parse_only(shlex.split(line))
            found += 1
    assert found


def test_a_console_block_is_read_as_a_shell_reads_it() -> None:
    text = "<!-- docs-test: parse (no GPU) -->\n```console\n"
    text += "$ causalseg fit \\\n  --seed 1  # so\n```\n"
    text += "```console\nhead$ make demo\noutput $ no\n```\n$ not in a block\n"
    assert list(console_commands(text)) == [
        Command(3, ("causalseg", "fit", "--seed", "1"), True),
        Command(7, ("make", "demo"), False),
    ]
