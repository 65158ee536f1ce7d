"""The code behind a figure: digests of a module's source and of all modules of ours that it imports."""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from privacy_exp import UserError

OURS = "privacy_exp"

APART = tuple(f"{OURS}.{name}" for name in ("cache", "report", "sweep", "tracking"))
"""Packages that keep, show and start: no figure of a record depends on them."""

LIBRARIES = tuple(
    str(Path(path).resolve())
    for path in {*(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib")), *site.getsitepackages()}
)
"""Where Python and installed packages lie: those are known by their versions, not by their sources."""


def sources(part: type | str) -> str:
    """A digest of the code that a class, function or module runs: its module and those of ours that it imports.

    Comments, docstrings and layout do not count. Imports are followed through and through, in functions too; those
    for type checkers alone are not. Installed libraries are left out: their versions stand beside each stored thing.

    Args:
        part: a class, whose name then stands before the digest; the dotted name of one; or the name of a module.
    """
    if isinstance(part, type):
        return f"{part.__qualname__} {sources(f'{part.__module__}.{part.__qualname__}')}"
    module = _module_of(part) or _public(part)
    return _digest(module) if module else _without_file(part)


def _without_file(name: str) -> str:
    """A digest of a class that was typed into a notebook: its text, or its byte code where nobody kept the text.

    Raises:
        UserError: no such class.
    """
    module, _, own = name.rpartition(".")
    kind = getattr(sys.modules.get(module), own, None)
    if not isinstance(kind, type):
        raise UserError(f"`_target_` {name} names no class or function whose source can be found; check its spelling.")
    try:
        code = inspect.getsource(kind)
    except (OSError, TypeError):
        code = "".join(_byte_code(part) for _, part in sorted(vars(kind).items()))
    bases = [sources(base) for base in kind.__bases__ if base.__module__ != "builtins"]
    return hashlib.sha256("\n".join([code, *bases]).encode()).hexdigest()[:20]


def _byte_code(part: Any) -> str:
    code = getattr(part, "__code__", None)
    if code is None:
        return repr(part) if isinstance(part, int | float | str | tuple) else ""
    constants = [c for c in code.co_consts if not hasattr(c, "co_code")]
    return f"{code.co_code.hex()} {constants} {code.co_names}"


@cache
def _digest(module: str) -> str:
    total = hashlib.sha256()
    for name in sorted(_closure(module)):
        path = _file(name)
        if path is not None:
            total.update(f"{name}\0{_code(path)}\n".encode())
    return total.hexdigest()[:20]


def _closure(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if _file(name) is None:
            name = _public(name) or ""
        path = _file(name)
        if name in found or path is None or (name.startswith(APART) and name != module):
            continue
        if name.partition(".")[0] not in (OURS, module.partition(".")[0]) and str(path).startswith(LIBRARIES):
            continue
        found.add(name)
        waiting += [*_imports(path, name), name.rpartition(".")[0]]  # `import a.b` runs a/__init__.py and binds `a`
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


@cache
def _code(path: Path) -> str:
    """A digest of what the file does: its syntax tree without docstrings."""
    tree = _tree(path)  # without its docstrings from here on, which say nothing of imports either
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _imports(path: Path, module: str) -> tuple[str, ...]:
    """Names that the file imports and that may be modules of ours."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in _walk(_tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return tuple(sorted(found))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but what stands under `if TYPE_CHECKING`."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from _walk(child)


@cache
def _file(module: str) -> Path | None:
    """The source file of a module, found without importing it; None for what is no module with a source."""
    top, *rest = module.split(".")
    if not top or top in sys.stdlib_module_names or module == OURS:  # our own front door lists names and runs nothing
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        places = [] if spec is None else list(spec.submodule_search_locations or ())
        starts = [Path(place, *rest) for place in places] if rest else []
    else:
        starts = [Path(spec.origin).parent.joinpath(*rest) if rest else Path(spec.origin).with_suffix("")]
    for start in starts:
        for path in (start.with_suffix(".py"), start / "__init__.py"):
            if path.is_file():
                return path.resolve()
    return None


def _module_of(name: str) -> str | None:
    """The longest beginning of a dotted name that is a module."""
    while name and _file(name) is None:
        name = name.rpartition(".")[0]
    return name or None


def _public(name: str) -> str | None:
    """The module behind a public name such as `privacy_exp.Saliency`, which the front door hands out."""
    front, _, own = name.rpartition(".")
    kind = getattr(importlib.import_module(OURS), own, None) if front == OURS else None
    module: str | None = getattr(kind, "__module__", None)
    return None if module == OURS else module
