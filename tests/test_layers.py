"""Imports go down only: a package imports what stands below it, never what is above."""

import ast
from collections.abc import Iterator
from pathlib import Path

import causalseg

ROOT = Path(causalseg.__file__).parent
LEVELS = (
    {"cli"},
    {"apps", "experiments"},
    {"training"},
    {"evaluation"},
    {"inference"},
    {"data"},
    {"models"},
    {"text", "encoders", "layers"},
    {"files", "hub", "inputs", "progress", "markdown", "scratch", "terminal"},
    {"errors", "version"},
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
DOORS = {"__init__", "__main__"}


def imports(path: Path) -> Iterator[str]:
    """First parts below causalseg of all that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "causalseg":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("causalseg."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            names = (alias.name.split(".") for alias in node.names)
            yield from (parts[1] for parts in names if parts[0] == "causalseg" and len(parts) > 1)


def test_imports_go_down_only() -> None:
    wrong = []
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] in DOORS:
            continue
        assert parts[0] in LEVEL, f"{parts[0]} has no place in the house yet"
        wrong += [
            f"{'.'.join(parts)} imports {name}"
            for name in imports(path)
            if name in LEVEL and LEVEL[name] < LEVEL[parts[0]]
        ]
    assert not wrong


def test_the_method_is_short_and_no_file_is_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}
    assert not [str(path) for path, length in lengths.items() if length > 300]
    method = ROOT / "models" / "causalclipseg"
    assert sum(lengths[path] for path in method.glob("*.py") if path.name != "fast.py") < 500


def public_names(path: Path) -> Iterator[str]:
    """What a module defines at its top level for others."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


# Every command's entry and its options, every grammar's words, a name that users' scripts import.
MANY = {"main", "COMMAND", "VOCABULARY", "read_table"}


def test_a_public_name_means_one_thing() -> None:
    """Except among the models, whose folders do not know each other."""
    homes: dict[str, list[tuple[str, ...]]] = {}
    for path in ROOT.rglob("*.py"):
        for name in set(public_names(path)) - MANY:
            homes.setdefault(name, []).append(path.relative_to(ROOT).parts)
    twice = {
        name: ["/".join(parts) for parts in found]
        for name, found in homes.items()
        if len(found) > 1 and not _each_a_model(found)
    }
    assert not twice


def _each_a_model(found: list[tuple[str, ...]]) -> bool:
    models = {parts[1] for parts in found if parts[0] == "models" and len(parts) > 2}
    return len(models) == len(found)
