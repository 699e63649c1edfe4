"""`causalseg demo`: the whole tour in a few minutes, on phantoms, with nothing downloaded."""

import shutil
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time

from causalseg.cli.dialect import Parser
from causalseg.errors import InputError
from causalseg.terminal import say

COUNT, SEED, SIZE = 1000, 0, 128
MARK = ".causalseg-demo"
EPOCHS = 10
TRAINING = (
    "--data.size", SIZE, "--data.batch-size", 6, "--data.context-length", 24,
    "--data.rewrite.one-lung", 0.15,
    # A few of a thousand phantoms look alike; each is drawn on its own, so none is a copy.
    "--data.leaks", "keep",
    "--model.encoder", "tiny", "--model.dice-weight", 1, "--optimizer.lr", 1e-3,
    # Slow text: until the image tells left from right, a fast tower learns to ignore the words.
    "--optimizer.text-lr-factor", 0.1, "--optimizer.warmup-steps", 50,
    "--trainer.accelerator", "cpu",
)  # fmt: skip


def main(argv: list[str]) -> int:
    """Make phantoms, train, evaluate, segment from own and edited text, draw."""
    parser = Parser(
        prog="causalseg demo",
        description="Make a phantom data set, train a small CausalCLIPSeg on it, evaluate it, and "
        "segment held-out images from their text and from an edited text.",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder of the demo's files")
    parser.add_argument("--count", type=int, default=COUNT, help=f"phantoms to draw ({COUNT})")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"epochs of training ({EPOCHS})")
    args = parser.parse_args(argv)
    if args.out.exists():
        if not (args.out / MARK).is_file():
            raise InputError(
                f"{args.out} exists and was not made by the demo; choose another folder with --out."
            )
        shutil.rmtree(args.out)
    args.out.mkdir(parents=True)
    (args.out / MARK).write_text("Every `causalseg demo` replaces this folder.\n")

    from causalseg.experiments.demo import DemoReport, edited_scores, picture
    from causalseg.files import write_json
    from causalseg.training.environment import environment

    began, precision = (perf_counter(), process_time()), faster_precision()
    run_command(["data", "make-phantoms", "--out", args.out / "phantoms", "--count", args.count,
         "--seed", SEED, "--size", SIZE])  # fmt: skip
    run_command(["fit", "--data.root", args.out / "phantoms", "--out", args.out / "run",
         "--trainer.max-epochs", args.epochs, "--trainer.precision", precision,
         *TRAINING])  # fmt: skip
    checkpoint = args.out / "run" / "best.safetensors"
    run_command(["evaluate", "--model", checkpoint, "--data", args.out / "phantoms",
         "--leaks", "keep", "--out", args.out / "scores"])  # fmt: skip
    found = edited_scores(checkpoint, args.count, SEED, SIZE)
    picture(checkpoint, args.count, SEED, SIZE, args.out / "pictures.png")
    report = DemoReport(
        count=args.count,
        size=SIZE,
        seed=SEED,
        epochs=args.epochs,
        precision=precision,
        seconds=perf_counter() - began[0],
        cpu_seconds=process_time() - began[1],
        edited=found,
        environment=environment(),
    )
    write_json(args.out / "demo.json", asdict(report))
    say(
        f"\nHeld-out phantoms whose text names some of their opacities, macro Dice:\n"
        f"  with their own text                             {found.own:.3f}\n"
        f"  with another text, against that text's true mask {found.edited:.3f}\n"
        f"  with another text, against the first text's mask {found.blind:.3f}  (a mask that "
        f"ignores its text would keep the first score)\n\n"
        f"Pictures: {args.out / 'pictures.png'}\n"
        f"Report:   {args.out / 'scores' / 'report.html'}\n"
        f"Model:    {checkpoint}\n"
        f"Figures:  {args.out / 'demo.json'}"
    )
    return 0


def faster_precision() -> str:
    """Lightning's name of the precision in which this processor multiplies faster."""
    import torch

    def seconds(dtype: torch.dtype) -> float:
        a = torch.ones(512, 512, dtype=dtype)
        times = []
        for _ in range(5):
            start = perf_counter()
            for _ in range(8):
                a @ a
            times.append(perf_counter() - start)
        return min(times)

    return "bf16-mixed" if seconds(torch.bfloat16) < seconds(torch.float32) else "32-true"


def run_command(words: list[object]) -> None:
    """Print a command as a user would type it, and run it."""
    from causalseg.cli.main import main as causalseg

    line = [str(word) for word in words]
    say("\n$ causalseg " + " ".join(line))
    if causalseg(line) != 0:
        raise InputError(f"the demo stopped because 'causalseg {line[0]}' failed; see above.")
