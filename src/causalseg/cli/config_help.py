"""What `--help` shows of a command whose options are the fields of dataclasses."""

import ast
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from causalseg.cli.config_source import Definition, Field, in_yaml

COMMON = (
    "data.root", "data.domains", "data.size", "data.batch_size", "architecture", "model.size",
    "optimizer.lr", "trainer.max_epochs", "trainer.accelerator", "seed", "seeds", "out",
)  # fmt: skip
"""Options that most runs set: they come first."""
_WIDTH = 80
_Options = dict[str, tuple[Field, ast.expr | None]]


def help_page(
    prog: str, description: str, config: Definition, model: Definition | None, skip: Sequence[str]
) -> str:
    """The text of `--help`.

    Args:
        prog: as in `causalseg fit`.
        description: what the command does, in words.
        config: its dataclass.
        model: that of `model`'s options; None where the config has no such field.
        skip: fields that are no options.

    """
    options = dict(_options(config, "", {}, skip))
    if model is not None:
        options |= _options(model, "model.", {}, ())
    common = [name for name in COMMON if name in options]
    groups: dict[str, list[str]] = {"common options": common}
    for name in options:
        if name not in common:
            group, dot, _ = name.rpartition(".")
            groups.setdefault(group if dot else "other options", []).append(name)
    # Last, though fields without a group may come first.
    groups["other options"] = [*groups.pop("other options", []), "print_config", "help"]
    lines = [f"usage: {prog} [--config FILE.yaml] [--OPTION VALUE ...]", ""]
    lines += [*textwrap.wrap(description, _WIDTH), ""]
    lines += ["Options come from a YAML file and the command line, which takes precedence:", ""]
    lines += ["  --config FILE.yaml"]
    for group, names in groups.items():
        lines += ["", f"{group}:"]
        for name in names:
            lines += _lines(name, options)
    return "\n".join(lines)


def _options(
    config: Definition, prefix: str, changed: Mapping[str, ast.expr], skip: Sequence[str]
) -> Iterator[tuple[str, tuple[Field, ast.expr | None]]]:
    """Each option's name with underscores, its field, and its default."""
    for name, field in config.fields().items():
        if prefix + name in skip:
            continue
        if (inner := field.config) is not None:
            yield from _options(inner, f"{prefix}{name}.", field.changed(), skip)
        else:
            yield prefix + name, (field, changed.get(name, field.value))


def _lines(name: str, options: _Options) -> Iterator[str]:
    own = {"print_config": "Print the complete config that a run would use, as YAML, and stop.",
           "help": "Show this."}  # fmt: skip
    dashed = "--" + name.replace("_", "-")
    if name in own:
        head, text = dashed, own[name]
    else:
        field, default = options[name]
        told = "required" if default is None else f"default: {in_yaml(default) or repr('')}"
        head, text = f"{dashed} {field.values} ({told})", field.text
    yield from textwrap.wrap(head, _WIDTH, initial_indent="  ", subsequent_indent="        ")
    yield from textwrap.wrap(text, _WIDTH, initial_indent="      ", subsequent_indent="      ")
