"""How many small changes of the code do its tests notice?

    pip install --no-deps mutmut libcst
    python scripts/mutations.py privacy_exp/masking/budget.py --tests tests/masking/test_budget.py --sample 30

mutmut's operators make the mutants. Tests are imported once; each mutant lives in a process forked from there, which
puts the changed code into the functions that exist already and runs the tests that reach the changed line, the quick
ones first, until one fails; one that computes for five times as long as they do counts as noticed. Left out are
annotations, decorators, docstrings, `__all__`, the arguments of `len` and `isinstance` (as mutmut does) and texts with
a blank in them: a test that holds each word of a message protects nobody.
"""

import argparse
import ast
import gc
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import types
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import libcst as cst
import pytest
from _pytest.runner import call_and_report
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

Mutant = tuple[int, cst.CSTNode, cst.CSTNode]


class Mutants(cst.CSTVisitor):
    """Collects (line, node, changed node) of all mutants of one file."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, module: cst.Module) -> None:
        super().__init__()
        self.module, self.found = module, []

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Asks every operator, and goes on below unless the node is left out."""
        words = isinstance(node, cst.SimpleString | cst.ConcatenatedString | cst.FormattedString)
        words = words and " " in self.module.code_for_node(node)
        called = isinstance(node, cst.Call) and getattr(node.func, "value", "") in ("len", "isinstance")
        listed = isinstance(node, cst.Assign) and getattr(node.targets[0].target, "value", "") == "__all__"
        if words or called or listed or isinstance(node, cst.Annotation | cst.Decorator | cst.ImportFrom):
            return False
        line = self.get_metadata(PositionProvider, node, None)
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                self.found += [(line.start.line, node, other) for other in operator(node)]
        return True


def codes(code: types.CodeType, prefix: str = "") -> dict[tuple[str, int], types.CodeType]:
    """All code objects below a module's, by qualified name and how many of that name stand before."""
    found: dict[tuple[str, int], types.CodeType] = {}
    waiting = [code]
    while waiting:
        for inner in (part for part in waiting.pop(0).co_consts if isinstance(part, types.CodeType)):
            count = sum(name == inner.co_qualname for name, _ in found)
            found[inner.co_qualname, count] = inner
            waiting.append(inner)
    return found


def innermost(function: types.FunctionType) -> types.FunctionType:
    """What decorators and a data class's checks have been put around."""
    while True:
        around = [cell.cell_contents for cell in function.__closure__ or () if cell.cell_contents is not function]
        own = [f for f in around if isinstance(f, types.FunctionType) and f.__name__ == function.__name__]
        inner = getattr(function, "__wrapped__", own[0] if own else None)
        if inner is None:
            return function
        function = inner


class Target:
    """One file whose mutants are tried."""

    def __init__(self, path: str) -> None:
        self.path, self.source = path, Path(path).read_text()
        self.name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.module = import_module(self.name)
        wrapper = MetadataWrapper(cst.parse_module(self.source))
        visitor = Mutants(wrapper.module)
        wrapper.visit(visitor)
        self.tree, self.mutants = wrapper.module, visitor.found
        functions = [node for node in ast.walk(ast.parse(self.source)) if isinstance(node, ast.FunctionDef)]
        self.statements = [n for n in ast.walk(ast.parse(self.source)) if isinstance(n, ast.stmt)]
        self.inside = {line for node in functions for line in range(node.body[0].lineno, node.end_lineno + 1)}
        file, by_name = self.module.__file__, defaultdict(list)
        for part in gc.get_objects():
            if isinstance(part, types.FunctionType) and part.__code__.co_filename == file:
                by_name[part.__code__.co_qualname].append(part)
        self.functions = defaultdict(list)
        for name, parts in by_name.items():
            lines = sorted({part.__code__.co_firstlineno for part in parts})
            for part in parts:
                self.functions[name, lines.index(part.__code__.co_firstlineno)].append(part)

    def label(self, line: int, node: cst.CSTNode, other: cst.CSTNode) -> str:
        """Place, code before and code after."""
        before, after = (" ".join(self.tree.code_for_node(part).split()) for part in (node, other))
        return f"{self.path}:{line} {before} → {after}"

    def statement(self, line: int) -> list[int]:
        """All lines of the smallest statement that holds a line of a function's body."""
        around = [range(n.lineno, n.end_lineno + 1) for n in self.statements if n.lineno <= line <= n.end_lineno]
        return list(min(around, key=len, default=[])) if line in self.inside else []

    def become(self, line: int, node: cst.CSTNode, other: cst.CSTNode) -> None:
        """Changes the functions of this process; constants, class attributes and defaults too."""
        code = compile(self.tree.deep_replace(node, other).code, self.module.__file__, "exec")
        for key, changed in codes(code).items():
            for function in self.functions.get(key, []):
                function.__code__ = changed
        if line not in self.inside:
            scratch = types.ModuleType(self.name)
            scratch.__dict__.update(__file__=self.module.__file__, __package__=self.module.__package__)
            exec(code, scratch.__dict__)  # noqa: S102
            self._carry(self.module, scratch)

    def _carry(self, old: object, new: object) -> None:
        for name, value in list(vars(new).items()):
            was = vars(old).get(name)
            if isinstance(value, type) and value.__module__ == self.name and isinstance(was, type):
                self._carry(was, value)
            elif isinstance(value, types.FunctionType) and isinstance(was, types.FunctionType):
                inner, other = innermost(was), innermost(value)
                inner.__defaults__, inner.__kwdefaults__ = other.__defaults__, other.__kwdefaults__
                new_cells = dict(zip(other.__code__.co_freevars, other.__closure__ or (), strict=True))
                for cell_name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
                    if cell_name.startswith("_dflt_"):  # a data class's factory
                        cell.cell_contents = new_cells[cell_name].cell_contents
            elif not name.startswith("__") and not callable(value) and repr(value) != repr(was):
                setattr(old, name, value)
                for module in list(sys.modules.values()) if isinstance(old, types.ModuleType) else ():
                    if was is not None and vars(module).get(name) is was:
                        setattr(module, name, value)


class Runner:
    """A pytest plugin that, in place of running the tests once, runs them against each mutant."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Prints each mutant that no test noticed, then the counts."""
        self.items, self.factory = session.items, session.config._tmp_path_factory
        self.base = self.factory.getbasetemp()
        again = self.options.again and set(Path(self.options.again).read_text().splitlines())
        targets = [Target(path) for path in self.options.files]
        gc.collect()
        gc.freeze()  # else the collector of each fork touches, and so copies, all that the parent holds
        self._reach({target.module.__file__ for target in targets})
        for target in targets:
            start, kept, mutants = time.monotonic(), 0, target.mutants
            if self.options.sample < len(mutants):
                mutants = random.Random(f"{target.path} {self.options.seed}").sample(mutants, self.options.sample)
            if again:
                mutants = [mutant for mutant in mutants if target.label(*mutant) in again]
            for line, node, _ in mutants[:1]:
                assert self._survives(target, (line, node, node)), "tests fail although nothing is changed"
            for mutant in sorted(mutants, key=lambda mutant: mutant[0]):
                if self._survives(target, mutant):
                    kept += 1
                    print(target.label(*mutant), flush=True)
            counts = f"{len(mutants) - kept} of {len(mutants)} noticed; there are {len(target.mutants)}"
            print(f"= {target.path}: {counts}; {time.monotonic() - start:.0f} s", flush=True)
        return True

    def _fork(self, work: Callable[[], None], seconds: int) -> int:
        """Runs `work` in a process and a folder of its own; not 0 if it raised or ran too long."""
        child, folder = os.fork(), self.base / "run"
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            shutil.rmtree(folder, ignore_errors=True)
            return status
        try:
            folder.mkdir()
            self.factory._basetemp = folder
            os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # what a mutant computes is for nobody else
            sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            signal.alarm(20 * seconds)  # where it waits without computing
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)

    def _survives(self, target: Target, mutant: Mutant) -> bool:
        items = self._items(target, mutant[0])
        if not items:
            return True
        seconds = 5 + int(5 * sum(self.seconds[self.items.index(item)] for item in items))
        return self._fork(lambda: self._try(target, mutant, items), seconds) == 0

    def _try(self, target: Target, mutant: Mutant, items: list[pytest.Item]) -> None:
        target.become(*mutant)
        for item, after in zip(items, [*items[1:], None], strict=True):
            for when, more in (("setup", {}), ("call", {}), ("teardown", {"nextitem": after})):
                assert not call_and_report(item, when, log=False, **more).failed

    def _reach(self, files: set[str]) -> None:
        """Notes which tests reach which lines, and how long each takes."""
        answer = self.base / "reached.json"
        assert self._fork(lambda: answer.write_text(json.dumps(self._trace(files))), 3000) == 0
        self.seconds, self.reached = {}, defaultdict(set)
        for index, seconds, passed, places in json.loads(answer.read_text()):
            self.seconds[index] = seconds
            if not passed:
                print("fails without any change:", self.items[index].nodeid)
            for file, line in places if passed else ():
                self.reached[file, line].add(index)

    def _trace(self, files: set[str]) -> list[tuple[int, float, bool, list[tuple[str, int]]]]:
        lines: set[tuple[str, int]] = set()
        built: dict[str, set[tuple[str, int]]] = defaultdict(set)  # what a fixture shared by several tests reached
        rows = []

        def local(frame: types.FrameType, *_: object) -> Callable:
            lines.add((frame.f_code.co_filename, frame.f_lineno))
            return local

        for item, after in zip(self.items, [*self.items[1:], None], strict=True):
            start, passed, found = time.process_time(), True, set()
            fixtures = getattr(item, "_fixtureinfo", None)
            shared = [n for n, f in fixtures.name2fixturedefs.items() if f[-1].scope != "function"] if fixtures else []
            for when, more in (("setup", {}), ("call", {}), ("teardown", {"nextitem": after})):
                lines.clear()
                sys.settrace(lambda frame, *_: local if frame.f_code.co_filename in files else None)
                passed &= not call_and_report(item, when, log=False, **more).failed
                sys.settrace(None)
                found |= lines
                for name in shared if when == "setup" else ():
                    built[name] |= lines
                    found |= built[name]
            rows.append((len(rows), time.process_time() - start, passed, sorted(found)))
        return rows

    def _items(self, target: Target, line: int) -> list[pytest.Item]:
        """The tests that reach a line, the quickest first, as far as `--budget` goes."""
        file = target.module.__file__
        places = [line] if line in target.inside else [number for name, number in self.reached if name == file]
        if (file, line) not in self.reached:  # a line in the middle of a statement
            places = target.statement(line) or places
        found = sorted({index for place in places for index in self.reached[file, place]}, key=self.seconds.get)
        total, items = 0.0, []
        for index in found:
            total += self.seconds[index]
            if items and total > self.options.budget:
                break
            items.append(self.items[index])
        return items


def main() -> None:
    """Collects the tests and hands them to `Runner`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="sources whose mutants are tried")
    parser.add_argument("--tests", nargs="+", required=True, help="files or folders of tests")
    parser.add_argument("--sample", type=int, default=10**9, help="mutants a file, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--budget", type=float, default=5, help="seconds of tests that a mutant meets at most")
    parser.add_argument("--again", help="a file with lines that this script printed: only those mutants")
    options = parser.parse_args()
    line = ["-q", "-p", "no:cacheprovider", "-p", "no:timeout", "-p", "no:xdist", "-o", "addopts=--doctest-modules"]
    sys.exit(pytest.main([*line, *options.tests], plugins=[Runner(options)]))


if __name__ == "__main__":
    main()
