"""A leaderboard in words: the rows of its tables, its notes, and the whole in Markdown."""

from dataclasses import replace
from itertools import chain

from causalseg.evaluation.comparison import LEVEL, Comparison, few_subjects
from causalseg.evaluation.statistics import Interval
from causalseg.experiments.leaderboard_table import MEASURES, LeaderboardRow, LeaderboardTable
from causalseg.experiments.published import LEADERBOARD
from causalseg.markdown import markdown_table

ACCURACY = ("system", "reads the text", "seeds", "macro Dice [95 %]", "SD of seeds",
            "macro IoU [95 %]", "micro Dice [95 %]", "micro IoU [95 %]")  # fmt: skip
TEXT = ("system", "Dice, own text", "Dice, another image's text", "side swap [95 %]",
        "absent finding [95 %]")  # fmt: skip
COSTS = ("system", "parameters", "GFLOP", "images/s", "training, s", "of CPU, s", "steps",
         "initial weights")  # fmt: skip
CLAIMED = ("system", "Dice", "mIoU", "")
TITLES = {
    "accuracy": "Masks",
    "pairs": "Against the references",
    "text": "Does the mask follow the text?",
    "costs": "Cost",
    "claimed": "What papers claim",
}


def accuracy_rows(table: LeaderboardTable) -> list[list[str]]:
    """Rows of text under `ACCURACY`, best macro Dice first; unfinished rows last."""
    rows = [
        [row.name, _reads(row), _seeds(row)]
        + [_words(row.dice), _number(row.seed_standard_deviation)]
        + [_words(value) for value in (row.iou, row.micro_dice, row.micro_iou)]
        for row in table.finished
    ]
    empty = [""] * (len(ACCURACY) - 2)
    return rows + [[row.name, _reads(row), *empty] for row in table.rows if row.dice is None]


def pairs_header(table: LeaderboardTable) -> tuple[str, ...]:
    """Names of the columns of `pair_rows`."""
    named = (
        (f"Dice minus {name}'s [95 %]", "p (Holm)", "over seeds [95 %]")
        for name in table.references
    )
    return ("system", *chain(*named))


def pair_rows(table: LeaderboardTable) -> list[list[str]]:
    """Rows of text under `pairs_header`."""
    rows = []
    for row in table.finished:
        words = [row.name]
        for name in table.references:
            compared = _against(table, row, name)
            if compared is None:
                words += ["-"] * 3
            else:
                words += [f"{compared.difference:+.3f}", f"{compared.p_holm:.4f}"]
                words += [_ends(compared.over_seeds)]
        rows.append(words)
    return rows


def _against(table: LeaderboardTable, row: LeaderboardRow, reference: str) -> Comparison | None:
    """Row minus reference; two references are compared once, and read from either side."""
    if (found := row.against.get(reference)) is not None:
        return found
    other = next((r for r in table.rows if r.name == reference), None)
    mirrored = other and other.against.get(row.name)
    return _turned(mirrored) if mirrored else None


def _turned(pair: Comparison) -> Comparison:
    """A minus B as B minus A."""
    return replace(
        pair,
        a=pair.b,
        b=pair.a,
        mean_a=pair.mean_b,
        mean_b=pair.mean_a,
        difference=-pair.difference,
        over_seeds=pair.over_seeds and -pair.over_seeds,
        difference_by_seed=tuple(-d for d in pair.difference_by_seed),
    )


def text_rows(table: LeaderboardTable) -> list[list[str]]:
    """Rows of text under `TEXT`."""
    return [
        [row.name, _number(row.dice_at_model_size), _number(row.dice_with_other_text)]
        + [_words(row.probes.get(test)) for test in MEASURES]
        for row in table.finished
        if not row.entry
    ]


def cost_rows(table: LeaderboardTable) -> list[list[str]]:
    """Rows of text under `COSTS`."""
    return [
        [
            row.name,
            f"{row.cost.parameters:,}",
            f"{row.cost.gflop:.2f}",
            f"{row.cost.images_per_second:.1f}",
            f"{row.cost.training_seconds:.0f}",
            f"{row.cost.training_cpu_seconds:.0f}",
            str(row.cost.steps),
            row.cost.weights,
        ]
        for row in table.finished
        if row.cost is not None
    ]


def claimed_rows(table: LeaderboardTable) -> list[list[str]]:
    """Rows of text under `CLAIMED` for the table's data set, in percent."""
    root = table.data.root.lower()
    return [
        [p.method, f"{p.dice:.2f}", f"{p.iou:.2f}", p.note]
        for p in LEADERBOARD
        if p.data.lower() == root
    ]


def lead(table: LeaderboardTable) -> str:
    """The whole table in a few sentences."""
    best = next((row for row in table.finished if not row.entry), table.finished[0])
    text = (
        f"Of {len(table.finished)} systems {best.name} has the highest macro Dice "
        f"({_words(best.dice)})"
    )
    texts = [row for row in table.finished if row.reads_text]
    if not table.references or not texts:
        return text + "."
    base = table.references[0]
    found = [(row, _against(table, row, base)) for row in texts if row.name != base]
    known = [(row, pair) for row, pair in found if pair is not None]
    surely = [pair for _, pair in known if pair.p_holm < LEVEL]
    better = sum(pair.difference.estimate > 0 for pair in surely)
    worse = len(surely) - better
    text += (
        f". Of {len(known)} that read the text, {better} are better than {base} on these "
        f"runs, {worse} worse, and {len(known) - better - worse} cannot be told from it."
    )
    return " ".join([text, *(_lasting(table, name) for name in table.references)]).rstrip()


def _lasting(table: LeaderboardTable, reference: str) -> str:
    """Which differences to a reference other training runs keep; "" where none has two seeds."""
    found = [(row.name, _against(table, row, reference)) for row in table.finished]
    repeated = [(name, pair) for name, pair in found if pair and pair.over_seeds]
    if not repeated:
        return ""
    lasting = [(name, pair.difference.estimate) for name, pair in repeated if pair.holds]
    better = ", ".join(name for name, difference in lasting if difference > 0)
    worse = ", ".join(name for name, difference in lasting if difference < 0)
    return (
        f"For other patients and other training runs alike, better than {reference}: "
        f"{better or 'none'}; worse: {worse or 'none'}; {len(repeated) - len(lasting)} of "
        f"{len(repeated)} with several seeds cannot be told from it."
    )


def notes(table: LeaderboardTable) -> list[str]:
    """What a reader must know to read the table."""
    data, budget = table.data, table.budget
    limit = "all images" if budget.train_limit is None else f"{budget.train_limit} images"
    steps = sorted({row.cost.steps for row in table.rows if row.cost})
    machine = table.machine
    once = [row.name for row in table.rows if len(row.seeds) == 1]
    every = len(once) == sum(bool(row.seeds) for row in table.rows)
    found = [
        f"{data}. {table.runs} of {table.runs_planned} runs are finished.",
        f"Every system: size '{budget.model_size}' at {budget.size} px, trained on {limit} in "
        f"batches of {budget.batch_size}, {budget.epochs} epochs ({_list(steps)} optimiser steps), "
        f"{'with' if budget.augment else 'without'} augmentation that swaps the words when it "
        f"flips, learning rate {budget.learning_rate:g}, epoch and threshold chosen on validation. "
        "It says what each architecture makes of this budget, and not what its authors' recipe, "
        "weights and training time make of it.",
        "All scores are of the masks' native size. Macro is the mean over images, micro sums "
        f"pixels first. Brackets: subjects drawn with replacement, {table.resamples} times. Pairs "
        "are compared image by image (sign flips by subject), on the seeds that both have; Holm's "
        "correction runs over all pairs of the table. Over seeds: Student's t interval of the "
        "difference over training runs; a difference is of the systems, and not only of these "
        "runs, where it leaves out 0 too." + few_subjects(data.subjects),
        "Own text and another image's: macro Dice at the model's size; a system that reads no "
        "text has the same twice. Side swap: the share of the area that left the lung that is no "
        "longer named (1 follows the text, 0 ignores it). Absent finding: the share of empty masks "
        "where the text says that there is nothing; a system that reads no text has some only "
        "where it finds nothing anyway. Subjects behind them, at most: "
        + ", ".join(f"{test} {_asked(table, test)}" for test in MEASURES)
        + ".",
        f"Times are of {machine.cores} cores"
        + (f" and {machine.gpu}" if machine.gpu else " without a GPU")
        + f", torch {machine.versions['torch']}; by the clock they grow when the machine "
        "has other work, of the CPU they do not.",
    ]
    if once:
        rows = "each row" if every else f"each of these rows: {', '.join(once)}"
        found.insert(
            2,
            f"There is one training run for {rows}. Their intervals say how a score would vary "
            "with other patients, and nothing about another training run, and their differences "
            "hold of these runs only.",
        )
    return found


def leaderboard_markdown(table: LeaderboardTable) -> str:
    """All tables and the notes."""
    parts = [lead(table), markdown_table(ACCURACY, accuracy_rows(table))]
    if table.references:
        parts += [f"**{TITLES['pairs']}**", markdown_table(pairs_header(table), pair_rows(table))]
    parts += [f"**{TITLES['text']}**", markdown_table(TEXT, text_rows(table))]
    parts += [f"**{TITLES['costs']}**", markdown_table(COSTS, cost_rows(table)), *notes(table)]
    if claimed := claimed_rows(table):
        words = f"**{TITLES['claimed']}**, in percent, not measured here"
        parts += [words, markdown_table(CLAIMED, claimed)]
    return "\n\n".join(parts) + "\n"


def _asked(table: LeaderboardTable, test: str) -> int:
    """Subjects behind the answers to a probe, of the row with most."""
    found = [row.probes[test] for row in table.rows if test in row.probes]
    return max((interval.clusters for interval in found), default=0)


def _reads(row: LeaderboardRow) -> str:
    return "not known" if row.reads_text is None else "yes" if row.reads_text else "no"


def _seeds(row: LeaderboardRow) -> str:
    return "entry" if row.entry else str(len(row.seeds))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _words(value: Interval | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _ends(value: Interval | None) -> str:
    return "-" if value is None else f"[{value.low:+.3f}, {value.high:+.3f}]"


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "no"
