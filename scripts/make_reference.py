"""Write docs/reference/{command-line,configuration,python-api}.md from the code.

A test fails where a page is out of date.

The command line comes from each command's own parser, configuration from the dataclasses and the
docstrings under their fields, Python from signatures and docstrings.
"""

import argparse
import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonargparse

from causalseg.cli import config_source
from causalseg.cli.main import COMMANDS, main
from causalseg.markdown import markdown_table
from causalseg.models.registry import MODELS, model_class

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"
NOTE = "<!-- Written by scripts/make_reference.py; edit the code instead. -->\n"

CONFIGS = (
    ("A run (`fit`)", "causalseg.training.config", "RunConfig", ""),
    ("data", "causalseg.data.datamodule", "DataConfig", "data."),
    *(
        (f"model: {name}", config.__module__, config.__qualname__, "model.")
        for name in MODELS
        for config in (model_class(name).config_class,)
    ),
    ("optimizer", "causalseg.training.config", "OptimizerConfig", "optimizer."),
    ("trainer", "causalseg.training.config", "TrainerConfig", "trainer."),
    ("Pre-training (`pretrain`)", "causalseg.training.pretrain", "PretrainConfig", ""),
    ("A grid (`ablate`), beside a run's", "causalseg.experiments.axes", "AblationConfig", ""),
    ("A leaderboard, beside a run's", "causalseg.experiments.leaderboard_config",
     "LeaderboardConfig", ""),
    ("Leave one domain out (`lodo`)", "causalseg.experiments.lodo_config", "LodoConfig", ""),
    ("data of `lodo`", "causalseg.experiments.lodo_config", "DomainsConfig", "data."),
)  # fmt: skip

PYTHON = {
    "Use a model": (
        "causalseg.inference.segmenter:Segmenter",
        "causalseg.inference.segmenter:Segmentation",
    ),
    "Build a model": (
        "causalseg.models.registry:build_model",
        "causalseg.text.tokenizer:tokenize",
        "causalseg.models.base:SegmentationModel",
        "causalseg.models.output:SegmentationOutput",
        "causalseg.models.causalclipseg.model:CausalCLIPSeg",
        "causalseg.models.mcdrl.model:MCDRL",
        "causalseg.models.checkpoint:save_checkpoint",
        "causalseg.models.checkpoint:load_checkpoint",
        "causalseg.models.checkpoint:Checkpoint",
        "causalseg.training.fit:fit",
        "causalseg.training.pretrain:pretrain",
    ),
    "Data": (
        "causalseg.data.lvit:read_lvit",
        "causalseg.data.manifest:Manifest",
        "causalseg.data.manifest:Record",
        "causalseg.data.preprocessing:Preprocessing",
        "causalseg.data.images:read_image",
        "causalseg.data.images:read_mask",
        "causalseg.data.phantom:draw_phantom",
    ),
    "Captions": (
        "causalseg.text.captions:parse",
        "causalseg.text.captions:mirror_caption",
        "causalseg.text.derive:derive_lung",
    ),
    "Evidence": (
        "causalseg.evaluation.metrics:dice",
        "causalseg.evaluation.metrics:iou",
        "causalseg.evaluation.statistics:cluster_bootstrap",
        "causalseg.evaluation.statistics:paired_test",
        "causalseg.evaluation.faithfulness.adapter:TextSegmenter",
    ),
    "Errors": ("causalseg.errors:InputError",),
}


class Stopped(Exception):  # noqa: N818 - it is no error
    """A command has reached its parser, or passed it."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


@contextmanager
def stopping(*, after: bool) -> Iterator[None]:
    """Within, commands raise `Stopped` where they parse: before it, or after it succeeded."""
    classes = (argparse.ArgumentParser, jsonargparse.ArgumentParser)
    originals = [cls.parse_args for cls in classes]

    def replacement(original: Any) -> Any:
        def parse_args(self: Any, *args: Any, **kwargs: Any) -> Any:
            if after:
                original(self, *args, **kwargs)
            raise Stopped(self)

        return parse_args

    for cls, original in zip(classes, originals, strict=True):
        cls.parse_args = replacement(original)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for cls, original in zip(classes, originals, strict=True):
            cls.parse_args = original  # type: ignore[method-assign]


def parser_of(*words: str) -> argparse.ArgumentParser:
    """The parser that a command builds."""
    try:
        with stopping(after=False):
            main([*words, "--anything"])
    except Stopped as stopped:
        return stopped.parser
    raise SystemExit(f"causalseg {' '.join(words)} builds no parser.")


def command_line() -> str:
    """The page of all commands."""
    parts = [
        "# Commands\n\nExit codes: 0 done, 1 done with findings (problems in a data set, failed "
        "images), 2 an input cannot be used (one sentence says why), 130 interrupted.\n"
    ]
    for name, summary in COMMANDS.items():
        parts += _command(parser_of(name), f"## {name}", summary)
        if name == "lodo":
            parts += _command(parser_of("lodo", "mechanism"), "### lodo mechanism", "")
    return "\n".join(parts)


def _command(parser: argparse.ArgumentParser, heading: str, summary: str) -> Iterator[str]:
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    text = _one_line(parser.description or "").removeprefix(f"`{parser.prog}`: ") or summary
    yield f"{heading}\n\n`{parser.prog}`: {text}\n"
    rows, dotted = [], []
    for action in parser._actions:
        names = action.option_strings
        if action in groups or action.help == argparse.SUPPRESS or {"-h", "--config"} & {*names}:
            continue
        if any("." in option for option in names) or "--print_config" in names:
            dotted.append(action)
            continue
        if isinstance(parser, jsonargparse.ArgumentParser):
            continue  # typed options: the configuration page has them, with what they mean
        rows.append((_names(action), _default(action), _one_line(action.help or "")))
    if rows:
        yield markdown_table(("option", "default", ""), rows) + "\n"
    if dotted:
        yield (
            "Options come from `--config FILE.yaml` and the command line, which wins: "
            "[configuration](configuration.md). `--print-config` prints the complete config.\n"
        )
    if parser.epilog and "\n" not in parser.epilog:
        yield f"{_one_line(parser.epilog)}\n"
    elif parser.epilog:
        yield f"```text\n{parser.epilog.strip()}\n```\n"
    for group in groups:
        helps = {choice.dest: choice.help or "" for choice in group._choices_actions}
        for name, sub in group.choices.items():
            title = f"#{heading.partition(' ')[0]} {sub.prog.partition(' ')[2]}"
            yield from _command(sub, title, helps[name])


def _names(action: argparse.Action) -> str:
    value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    if isinstance(value, tuple):
        value = " ".join(value)
    if action.choices and not action.metavar:
        value = "{" + ", ".join(str(choice) for choice in action.choices) + "}"
    value = value.replace("|", "\\|")
    if not action.option_strings:
        return f"`{value}`"
    return ", ".join(f"`{option}`" for option in action.option_strings) + (
        f" {value}" if value and action.nargs != 0 else ""
    )


def _default(action: argparse.Action) -> str:
    if action.required and action.nargs not in ("*", "?"):
        return "required"
    nothing = (None, False, argparse.SUPPRESS)
    empty = any(action.default is value for value in nothing) or action.nargs == 0
    return "" if empty or action.default == [] else f"`{action.default}`"


def _one_line(text: str) -> str:
    text = re.sub(r" \((default:? )?%\(default\)s\)", "", text)  # it has its own column
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def configuration() -> str:
    """The page of all options of a config."""
    parts = [
        "# Configuration\n\nOptions come from the YAML file given by `--config` and from the "
        "command line, which takes precedence. YAML keys have underscores (`max_epochs: 3` under "
        "`trainer:`), the command line dashes (`--trainer.max-epochs 3`). Each run writes the "
        "complete config that it used into `run.json`. The package brings "
        "configs to start from, which `--config causalclipseg/qata.yaml` finds wherever it is "
        "installed; a file of that path comes first.\n"
    ]
    for title, module, name, prefix in CONFIGS:
        cls = getattr(import_module(module), name)
        parts.append(f"## {title}\n\n{inspect.getdoc(cls).splitlines()[0]}\n")
        rows = [(f"`{prefix}{n}`", d, t) for n, _, d, t in _fields(cls) if t]
        parts.append(markdown_table(("option", "default", ""), rows) + "\n")
    return "\n".join(parts)


def _fields(cls: type) -> Iterator[tuple[str, str, str, str]]:
    """(name, type, default, docstring) of the fields that a dataclass itself declares."""
    place = config_source.at(f"{cls.__module__}:{cls.__qualname__}")
    assert isinstance(place.node, ast.ClassDef)
    for field in config_source.declared(place.node, place.module):
        value = field.value
        default = "required" if value is None else f"`{config_source.in_yaml(value)}`"
        yield field.name, ast.unparse(field.annotation), default, _one_line(field.text)


def python_api() -> str:
    """The page of public names."""
    parts = [
        "# Python\n\n`from causalseg import Segmenter, build_model, tokenize`; the rest from the "
        "modules named. Sizes: B images, H x W pixels, S the model's side, L tokens.\n"
    ]
    for title, names in PYTHON.items():
        parts.append(f"## {title}\n")
        for path in names:
            module, _, name = path.partition(":")
            parts += _object(module, name, getattr(import_module(module), name))
    return "\n".join(parts)


def _object(module: str, name: str, thing: Any) -> Iterator[str]:
    yield f"### {name}\n\n`{module}.{name}`\n"
    if not inspect.isclass(thing):
        yield f"```text\n{_signature(name, thing)}\n\n{_indented(thing)}\n```\n"
        return
    lines = [inspect.getdoc(thing) or ""]
    for field, annotation, _, text in _fields(thing):
        about = textwrap.fill(text, 96, initial_indent="    ", subsequent_indent="    ")
        lines.append(f"{field}: {annotation}" + (f"\n{about}" if text else ""))
    for key, member in vars(thing).items():
        function = getattr(member, "__func__", member)
        shown = not key.startswith("_") or key == "__call__"
        if shown and inspect.isfunction(function) and inspect.getdoc(function):
            lines.append(f"{_signature(key, function)}\n{_indented(function)}")
    yield "```text\n" + "\n\n".join(lines) + "\n```\n"


def _signature(name: str, function: Any) -> str:
    node = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    node.args.args = [arg for arg in node.args.args if arg.arg not in ("self", "cls")]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{name}({ast.unparse(node.args)}){returns}"


def _indented(thing: Any) -> str:
    return "\n".join(f"    {line}".rstrip() for line in (inspect.getdoc(thing) or "").splitlines())


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    made = {
        "command-line.md": command_line(),
        "configuration.md": configuration(),
        "python-api.md": python_api(),
    }
    return {PAGES / name: NOTE + "\n" + text.rstrip() + "\n" for name, text in made.items()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
