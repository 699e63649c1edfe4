"""`causalseg confounders`: build or show MCDRL's confounder dictionary."""

import argparse
from pathlib import Path

from causalseg.cli.dialect import Parser
from causalseg.terminal import say, show_table


def main(argv: list[str]) -> int:
    """Run `causalseg confounders build` or `show`."""
    parser = Parser(
        prog="causalseg confounders",
        description="The confounder dictionary: domain prompts through CLIP's text encoder, as "
        "readable JSON (prompt -> vector) with the encoder's fingerprint.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="encode the domain prompts of a modality")
    build.add_argument("--encoder", default="RN50", help="whose text encoder (RN50)")
    build.add_argument(
        "--weights", required=True, help="openai:RN50, a local file, or random (a control)"
    )
    build.add_argument(
        "--prompts", default="endoscopy", help="endoscopy, chest_xray, or a YAML file of your own"
    )
    build.add_argument(
        "--template",
        choices=("domain", "class-domain"),
        default="domain",
        help="a sentence for each domain, or for each class and domain",
    )
    build.add_argument("--seed", type=int, default=0, help="seed of random weights")
    build.add_argument("--out", type=Path, required=True, metavar="FILE")
    build.set_defaults(run=_build)
    show = commands.add_parser("show", help="list the prompts and how near they are to each other")
    show.add_argument("file", type=Path)
    show.set_defaults(run=_show)
    arguments = parser.parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _build(arguments: argparse.Namespace) -> int:
    import torch

    from causalseg.models.mcdrl.config import MCDRLConfig
    from causalseg.models.mcdrl.dictionary import build_dictionary, save_dictionary
    from causalseg.models.mcdrl.model import MCDRL

    config = MCDRLConfig(
        encoder=arguments.encoder, weights=arguments.weights, prompts=arguments.prompts
    )
    torch.manual_seed(arguments.seed)
    text_tower = MCDRL(config).initialise_towers()  # random weights are those of `build_model`
    dictionary = build_dictionary(
        config.encoder, config.weights, text_tower, config.prompt_table, arguments.template
    )
    save_dictionary(arguments.out, dictionary)
    say(f"{len(dictionary.prompts)} prompts are in {arguments.out}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    import torch

    from causalseg.models.mcdrl.dictionary import load_dictionary

    dictionary = load_dictionary(arguments.file)
    unit = torch.nn.functional.normalize(dictionary.vectors, dim=1)
    cosines = unit @ unit.T
    others = cosines - 2 * torch.eye(len(unit))
    rows = []
    for i, prompt in enumerate(dictionary.prompts):
        nearest = int(others[i].argmax())
        norm = float(dictionary.vectors[i].norm())
        rows.append(
            (prompt, f"{norm:.3f}", dictionary.prompts[nearest], f"{cosines[i, nearest]:.4f}")
        )
    say(
        f"encoder {dictionary.encoder}, weights {dictionary.weights}, "
        f"text encoder {dictionary.fingerprint}"
    )
    show_table(("prompt", "norm", "nearest other prompt", "cosine"), rows)
    if len(unit) > 1:
        mean = float((cosines.sum() - len(unit)) / (len(unit) * (len(unit) - 1)))
        say(f"mean cosine between prompts: {mean:.4f}")
    return 0
