"""Fields of config dataclasses, read from their source: nothing is imported, so help is instant."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeGuard

import causalseg

_PACKAGE = Path(causalseg.__file__).parent


@dataclass(frozen=True)
class Definition:
    """A statement that defines a name, and the module that it stands in."""

    module: str
    node: ast.stmt

    def fields(self) -> dict[str, "Field"]:
        """Of a class, with those of its bases in the package first, as a dataclass has them."""
        assert isinstance(self.node, ast.ClassDef)
        found: dict[str, Field] = {}
        for base in self.node.bases:
            home = find(self.module, base.id) if isinstance(base, ast.Name) else None
            found |= home.fields() if home and isinstance(home.node, ast.ClassDef) else {}
        return found | {field.name: field for field in declared(self.node, self.module)}


@dataclass(frozen=True)
class Field:
    """One field of a class."""

    name: str
    annotation: ast.expr
    value: ast.expr | None
    """The default; None where the field is required."""
    text: str
    """Its docstring, on one line."""
    module: str

    @property
    def config(self) -> Definition | None:
        """The class of its type, where that is a config too."""
        home = self._named(self.annotation)
        return home if home and isinstance(home.node, ast.ClassDef) else None

    @property
    def values(self) -> str:
        """Its type as help shows it: names of types, and lists of the values that are allowed."""
        parts = []
        for part in _alternatives(self.annotation):
            home = self._named(part)
            alias = home.node if home else None
            parts.append(_shown(alias.value if isinstance(alias, ast.Assign) else part))
        return " | ".join(parts)

    def changed(self) -> dict[str, ast.expr]:
        """Defaults of a config's fields that this field's own default changes."""
        call = self.value
        if isinstance(call, ast.Call) and call.keywords:
            factory = call.keywords[0].value
            call = factory.body if isinstance(factory, ast.Lambda) else None
        keywords = call.keywords if isinstance(call, ast.Call) else []
        return {str(keyword.arg): keyword.value for keyword in keywords}

    def _named(self, node: ast.expr) -> Definition | None:
        return find(self.module, node.id) if isinstance(node, ast.Name) else None


def find(module: str, name: str) -> Definition | None:
    """Where a module of the package has a name from; None where that is outside the package."""
    for node in _tree(module).body:
        if name in _defined(node):
            return Definition(module, node)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("causalseg."):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return find(str(node.module), alias.name)
    return None


def at(path: str) -> Definition:
    """The class or value at `package.module:NAME`."""
    module, _, name = path.partition(":")
    home = find(module, name)
    assert home is not None, path
    return home


def names(path: str) -> list[str]:
    """The texts of a tuple, or the keys of a table, at `package.module:NAME`."""
    node = at(path).node
    assert isinstance(node, ast.Assign | ast.AnnAssign)
    value = node.value
    assert isinstance(value, ast.Dict | ast.Tuple)
    parts = value.keys if isinstance(value, ast.Dict) else value.elts
    return [str(part.value) for part in parts if _is_text(part)]


def config_of(architecture: str) -> Definition | None:
    """The config of a model in the registry; None where there is no such model."""
    table = at("causalseg.models.registry:MODELS").node
    assert isinstance(table, ast.Assign)
    path = ast.literal_eval(table.value).get(architecture)
    home = at(path) if path else None
    while home is not None and isinstance(home.node, ast.ClassDef):
        for node in home.node.body:
            if isinstance(node, ast.Assign) and "config_class" in _defined(node):
                return find(home.module, ast.unparse(node.value))
        home = find(home.module, ast.unparse(home.node.bases[0]))
    return None


def declared(node: ast.ClassDef, module: str) -> Iterator[Field]:
    """The fields that a class itself declares."""
    for own, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(own, ast.AnnAssign) or not isinstance(own.target, ast.Name):
            continue
        documented = isinstance(after, ast.Expr) and _is_text(after.value)
        text = " ".join(after.value.value.split()) if documented else ""  # type: ignore[union-attr]
        yield Field(own.target.id, own.annotation, own.value, text, module)


def in_yaml(node: ast.expr) -> str:
    """A default as YAML has it."""
    if isinstance(node, ast.Call):  # field(default_factory=lambda: ...)
        factory = node.keywords[0].value
        text = ast.unparse(factory.body if isinstance(factory, ast.Lambda) else factory)
        return {"dict": "{}", "list": "[]"}.get(text, text)
    constants = {"None": "null", "True": "true", "False": "false", "''": "''"}
    text = ast.unparse(node)
    if isinstance(node, ast.Constant) and text not in constants:
        return str(node.value)
    return constants.get(text, text)


@cache
def _tree(module: str) -> ast.Module:
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    file = path.with_suffix(".py")
    return ast.parse((file if file.is_file() else path / "__init__.py").read_text("utf-8"))


def _defined(node: ast.stmt) -> list[str]:
    """Names that a statement gives a value to."""
    if isinstance(node, ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [ast.unparse(target) for target in targets]
    return []


def _is_text(node: ast.expr | None) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _alternatives(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [*_alternatives(node.left), *_alternatives(node.right)]
    return [node]


def _shown(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return "{" + ", ".join(map(in_yaml, parts)) + "}"
    return {"bool": "{true, false}", "None": "null"}.get(ast.unparse(node), ast.unparse(node))
