"""Python sources read without importing them: which modules there are, what they import, what they make public."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Module:
    """A source file and the dotted name that it is imported by."""

    path: Path
    name: str

    @property
    def file(self) -> str:
        """The path to show, relative to the project."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def is_package(self) -> bool:
        """Whether this is the face of a folder."""
        return self.path.name == "__init__.py"

    @property
    def room(self) -> str:
        """The room this module belongs to; the package itself is the room __init__."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else "__init__"

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.path.read_text("utf-8"), self.file)


@dataclass(frozen=True)
class Import:
    """One imported name: ``from source import name``, or ``import source`` where name is empty."""

    line: int
    source: str
    name: str = ""


def modules(folder: str, package: str) -> list[Module]:
    """The source files of a folder that is imported as `package`."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT / folder).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found.append(Module(path, ".".join((package, *parts))))
    return found


def imports(module: Module) -> Iterator[Import]:
    """Every import of a module: inside functions, relative, for type checking only, and by import_module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = absolute(module, node)
            yield from (Import(node.lineno, source, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (
                Import(node.lineno, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant)
            )


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """The full name of what ``from ... import`` imports from."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    return importlib.util.resolve_name("." * node.level + (node.module or ""), package)


def public_names(module: Module) -> list[str]:
    """The strings of ``__all__``; nothing when there is none."""
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(getattr(node, "value", None) or ast.List([])))
    return []


def public_bindings(module: Module) -> set[str]:
    """The names without a leading underscore that a module binds at its top level, imports for typing aside."""
    names: set[str] = set()
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            continue
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}
