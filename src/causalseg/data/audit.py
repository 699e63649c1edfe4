"""Everything that can be said about a data set before it is used."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from causalseg.data.checks import inspect_record
from causalseg.data.leaks import find_leaks
from causalseg.data.lvit import Scan, scan_split, splits_of
from causalseg.data.manifest import Problem, Split, check_subject_pattern
from causalseg.text.captions import mirror_caption
from causalseg.text.tokenizer import cut_text, token_lengths


@dataclass(frozen=True)
class SplitFacts:
    """What one split holds."""

    split: Split
    table: str
    rows: int
    """Rows of the text table that are not blank."""
    matched: int
    """Rows that have an image, a mask and a caption."""
    subjects: int | None
    """Distinct subjects, or None where the names do not tell."""
    sizes: dict[str, int]
    """Count of images of each size, "width x height"."""
    empty_masks: int
    foreground: float
    """Mean share of foreground pixels over the readable masks, 0..1."""
    distinct_captions: int
    token_lengths: dict[int, int]
    """Count of captions of each length in tokens, including start and end."""
    cut_captions: int
    """Captions longer than the context length."""


@dataclass(frozen=True)
class AuditReport:
    """The result of `audit`."""

    root: Path
    context_length: int
    splits: tuple[SplitFacts, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> list[Problem]:
        """What makes training and evaluation refuse the set."""
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def warnings(self) -> list[Problem]:
        """Problems that a careful user wants to know of."""
        return [problem for problem in self.problems if problem.severity == "warning"]

    def by_kind(self, severity: str) -> dict[str, list[Problem]]:
        """The problems of a severity, grouped by kind."""
        groups: dict[str, list[Problem]] = defaultdict(list)
        for problem in self.problems:
            if problem.severity == severity:
                groups[problem.kind].append(problem)
        return dict(groups)

    def table(self) -> list[tuple[str, list[str]]]:
        """Rows for people: a label and one value per split."""

        def row(label: str, value: Callable[[SplitFacts], object]) -> tuple[str, list[str]]:
            return label, [str(value(facts)) for facts in self.splits]

        return [
            row("text table", lambda f: Path(f.table).name),
            row("rows", lambda f: f.rows),
            row("complete rows", lambda f: f.matched),
            row("subjects", lambda f: "not told" if f.subjects is None else f.subjects),
            row("image sizes", lambda f: _sizes_text(f.sizes)),
            row("empty masks", lambda f: f.empty_masks),
            row("mean foreground", lambda f: f"{100 * f.foreground:.2f} %"),
            row("distinct captions", lambda f: f.distinct_captions),
            row("tokens per caption", lambda f: _range_text(f.token_lengths)),
            row(f"over {self.context_length} tokens", lambda f: f.cut_captions),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The whole report, as plain data for JSON."""
        return {
            "root": str(self.root),
            "context_length": self.context_length,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "splits": {facts.split: asdict(facts) for facts in self.splits},
            "problems": [asdict(problem) for problem in self.problems],
        }


def _sizes_text(sizes: dict[str, int]) -> str:
    if not sizes:
        return "none"
    most = max(sizes, key=lambda size: sizes[size])
    return most if len(sizes) == 1 else f"{most} and {len(sizes) - 1} more"


def _range_text(lengths: dict[int, int]) -> str:
    if not lengths:
        return "none"
    return f"{min(lengths)} to {max(lengths)}"


def audit(
    root: str | Path,
    *,
    context_length: int = 24,
    subject_pattern: str | None = None,
    start: Callable[[int], object] | None = None,
    advance: Callable[[], object] | None = None,
) -> AuditReport:
    """Read every file of a data set and report what it holds and what is wrong.

    Args:
        root: Folder in the LViT layout; splits may be missing.
        context_length: Captions longer than this many tokens will be cut.
        subject_pattern: How names tell the subject (see `manifest.subject_of`).
        start: Called with the count of records before they are read.
        advance: Called after each.

    Raises:
        InputError: `root` is not a data set at all, or a text table cannot be read.

    """
    root = Path(root)
    check_subject_pattern(subject_pattern)
    scans = {split: scan_split(root, split, subject_pattern) for split in splits_of(root)}
    if start is not None:
        start(sum(len(scan.records) for scan in scans.values()))
    problems = [problem for scan in scans.values() for problem in scan.problems]
    facts = []
    for split, scan in scans.items():
        sizes: Counter[str] = Counter()
        shares = []
        for record in scan.records:
            inspection = inspect_record(root, record)
            problems += inspection.problems
            if inspection.image is not None:
                height, width = inspection.image.shape[:2]
                sizes[f"{width} x {height}"] += 1
            if inspection.mask is not None:
                shares.append(float(inspection.mask.mean()))
            if advance is not None:
                advance()
        facts.append(_facts(root, split, scan, sizes, shares, context_length))
    problems += find_leaks(root, {split: scan.records for split, scan in scans.items()})
    problems += _cut(scans, context_length)
    problems += _unmirrored(scans)
    return AuditReport(root, context_length, tuple(facts), tuple(problems))


def _facts(
    root: Path,
    split: Split,
    scan: Scan,
    sizes: Counter[str],
    shares: list[float],
    context_length: int,
) -> SplitFacts:
    captions = Counter(record.caption for record in scan.records)
    lengths: Counter[int] = Counter()
    for length, count in zip(token_lengths(list(captions)), captions.values(), strict=True):
        lengths[length] += count
    subjects = {record.subject for record in scan.records} - {None}
    return SplitFacts(
        split=split,
        table=str(scan.table.relative_to(root)),
        rows=scan.rows,
        matched=len(scan.records),
        subjects=len(subjects) or None,
        sizes=dict(sizes.most_common()),
        empty_masks=sum(share == 0 for share in shares),
        foreground=float(np.mean(shares)) if shares else 0.0,
        distinct_captions=len(captions),
        token_lengths=dict(sorted(lengths.items())),
        cut_captions=sum(n for length, n in lengths.items() if length > context_length),
    )


def _cut(scans: dict[Split, Scan], context_length: int) -> list[Problem]:
    """One warning for each distinct caption of a split that will be cut."""
    found = []
    for split, scan in scans.items():
        captions = Counter(record.caption for record in scan.records)
        for caption, count in captions.items():
            lost = cut_text(caption, context_length)
            if lost:
                message = f"{count} row(s) lose {lost!r} at {context_length} tokens: {caption}"
                found.append(Problem("caption will be cut", "warning", split, message))
    return found


def _unmirrored(scans: dict[Split, Scan]) -> list[Problem]:
    """One warning for each distinct caption whose image training will not flip."""
    found = []
    for split, scan in scans.items():
        captions = Counter(record.caption for record in scan.records)
        for caption, count in captions.items():
            if mirror_caption(caption) is None:
                message = f"{count} row(s) name a side, or may, in words that are not mirrored; "
                message += f"their images are trained on unflipped: {caption}"
                found.append(Problem("caption cannot be mirrored", "warning", split, message))
    return found
