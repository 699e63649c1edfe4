"""`--help` of the commands that take configs: instant, whole, and explained."""

import re
import subprocess
import sys
from importlib import import_module

import pytest

from causalseg.cli.main import main
from causalseg.models.registry import MODELS, model_class

COMMANDS = ("fit", "pretrain", "ablate", "confound", "lodo", "leaderboard")
HEAVY = ("torch", "lightning", "jsonargparse", "numpy", "PIL", "rich", "yaml", "ftfy")


def shown(*words: str) -> str:
    """What `causalseg WORDS --help` prints."""
    command = import_module(f"causalseg.cli.{words[0]}").COMMAND
    text: str = command.help(words[1:])
    return text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option_that_the_parser_takes(name):
    taken = set()
    for action in import_module(f"causalseg.cli.{name}").COMMAND.parser()._actions:
        # `--data FILE` and its like take a whole group from YAML.
        if type(action).__name__ not in ("_ActionConfigLoad", "_HelpAction"):
            names = (o.replace("_", "-") for o in action.option_strings)
            taken |= {o for o in names if o.startswith("--") and not o.endswith("+")}
    named = re.findall(r"^  (--[a-z][\w.-]*)", shown(name), re.MULTILINE)
    assert sorted(named) == sorted({*taken, "--help"})


def test_help_has_the_options_of_the_model_that_is_named_with_their_docstrings():
    for name in MODELS:
        text = shown("fit", f"--architecture={name}")
        assert "--model.size" in text
        if name not in ("mcdrl", "unetplusplus", "causalclipseg"):
            continue  # the others' libraries take seconds to load
        for option in model_class(name).config_class.__dataclass_fields__:
            dashed = re.escape(option.replace("_", "-"))
            assert re.search(rf"^  --model\.{dashed} .*\n(?:        .*\n)?      \S", text, re.M)


def test_help_tells_defaults_and_choices_and_puts_common_options_first():
    text = shown("fit")
    assert "--data.root str | Path (required)" in text
    assert "--data.leaks {refuse, leave_out, keep} (default: refuse)" in text
    assert "--model.masker {true, false} | {additive, random} (default: true)" in text
    assert "default: 0.001" in shown("lodo"), "a grid's default changes its optimiser's"
    assert text.index("common options:") < text.index("--data.root") < text.index("data:\n")


def test_help_and_reading_load_nothing_heavy():
    script = (
        "import sys\nfrom causalseg.cli.main import main\n"
        f"for name in {COMMANDS}:\n"
        "    try:\n        main([name, '--help'])\n"
        "    except SystemExit as stop:\n        assert stop.code == 0\n"
        "assert main(['caption', 'read', 'left lower lobe opacity']) == 0\n"
        f"assert not set({HEAVY}) & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_an_unknown_architecture_does_not_stop_the_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--architecture", "none-such", "--help"])
    assert stop.value.code == 0
    assert "--data.root" in capsys.readouterr().out
