"""The code behind a figure: what moves its digest and what does not."""

import importlib
import re
import sys
import textwrap

import pytest

from privacy_exp.cache import sources as module
from privacy_exp.cache.keys import scientific
from privacy_exp.cache.sources import _closure, sources
from privacy_exp.types import UserError

MINE = '''
"""A method of one's own."""
from typing import TYPE_CHECKING

import mine_parts.steps as steps

if TYPE_CHECKING:
    import mine_shown


class Mine:
    """Explains nothing."""

    def score(self, x):
        # a comment
        from mine_late import LATE
        return steps.sign() * x + LATE
'''
FILES = {
    "mine.py": MINE,
    "mine_late.py": "LATE = 1\n",
    "mine_shown.py": "SHOWN = 1\n",
    "mine_parts/__init__.py": "",
    "mine_parts/steps.py": "from . import deep\n\ndef sign():\n    return deep.ONE\n",
    "mine_parts/deep.py": "ONE = 1\n",
}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A class of somebody's, with modules of theirs beside it; edits count as another process would see them."""
    monkeypatch.syspath_prepend(tmp_path)
    for known in [name for name in sys.modules if name.partition(".")[0].startswith("mine")]:
        monkeypatch.delitem(sys.modules, known)  # another test's, from another folder
    (tmp_path / "mine_parts").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    def digest(**edits: str) -> str:
        for name, text in edits.items():
            path = tmp_path / f"{name}.py"
            path.write_text(text)
        for known in (module._digest, module._code, module._tree, module._imports, module._file):
            known.cache_clear()
        importlib.invalidate_caches()
        return sources("mine.Mine")

    yield digest
    for known in (module._digest, module._code, module._tree, module._imports, module._file):
        known.cache_clear()


@pytest.mark.parametrize(
    "edit",
    [
        {"mine": MINE.replace("steps.sign()", "-steps.sign()")},
        {"mine_late": "LATE = 2\n"},
        {"mine_parts/steps": FILES["mine_parts/steps.py"].replace("deep.ONE", "-deep.ONE")},
        {"mine_parts/deep": "ONE = 2\n"},
        {"mine_parts/__init__": "HALF = 0.5\n"},
    ],
    ids=["its own module", "imported in a function", "imported", "imported by what it imports", "its package"],
)
def test_edited_code_is_other_code(mine, edit):
    before = mine()
    assert mine() == before
    assert mine(**edit) != before


@pytest.mark.parametrize(
    "edit",
    [
        {"mine": MINE.replace("# a comment", "# another one")},
        {"mine": MINE.replace("Explains nothing.", "Explains all.")},
        {"mine": MINE.replace("steps.sign() * x", "(steps.sign()  *  x)")},
        {"mine_shown": "SHOWN = 2\n"},
    ],
    ids=["a comment", "a docstring", "layout", "imported for types alone"],
)
def test_what_runs_no_otherwise_is_the_same_code(mine, edit):
    before = mine()
    assert mine(**edit) == before


def test_every_way_to_import_counts(mine):
    """Absolute and relative, one after the other, of a folder without `__init__.py` too; of a name alone nothing."""
    way = {
        "mine_parts/steps": "import os, mine_late\nfrom .deep import ONE\nfrom .. import no\nimport mine_bare.part\n",
        "mine_bare/part": "PART = 1\n",
        "mine_bare/other": "OTHER = 1\n",
    }
    (module.Path(sys.path[0]) / "mine_bare").mkdir()
    mine(**way)
    names = {"mine", "mine_late", "mine_bare.part", "mine_parts.steps", "mine_parts.deep", "mine_parts"}
    assert {name for name in _closure("mine") if not name.startswith("typing")} == names
    alone = MINE.replace("        from mine_late import LATE\n", "        LATE = 1\n")
    before = mine(mine=alone)
    assert mine(mine_late="LATE = 3\n") != before
    before = mine()
    assert mine(**{"mine_bare/other": "OTHER = 2\n"}) == before
    assert mine(**{"mine_bare/part": "PART = 2\n"}) != before


def test_this_package_counts_where_it_is_installed_among_the_libraries(monkeypatch):
    apart = _closure("privacy_exp.masking.saliency")
    root = str(module.Path(module.__file__).parents[2])
    monkeypatch.setattr(module, "LIBRARIES", (*module.LIBRARIES, root))
    assert _closure("privacy_exp.masking.saliency") == apart
    assert "privacy_exp.masking.base" in apart


def test_names_that_are_no_modules_lead_nowhere():
    assert module._file("") is None
    assert module._file("json") is None, "Python's own"
    assert module._file("sys") is None
    assert module._file("privacy_exp") is None
    assert module._public("privacy_exp.nobody") is None
    assert module._public("json.dumps") is None
    assert module._public("privacy_exp.Saliency") == "privacy_exp.masking.saliency"
    assert module._public("privacy_exp.UserError") is None, "the front door itself"


def test_imports_of_packages_further_up(tmp_path):
    """One dot is the package itself, two are the one above; a package's own `__init__` is in itself."""
    path = tmp_path / "part.py"
    path.write_text("from . import a\nfrom .. import b\nfrom ..c import d\nimport e.f, g\n")
    assert module._imports(path, "top.mid.part") == (
        "e.f",
        "g",
        "top",
        "top.b",
        "top.c",
        "top.c.d",
        "top.mid",
        "top.mid.a",
    )
    first = tmp_path / "__init__.py"
    first.write_text("from .a import b\n")
    assert module._imports(first, "top.mid") == ("top.mid.a", "top.mid.a.b")


def test_a_part_of_what_keys_is_known_by_itself_alone():
    assert _closure("privacy_exp.cache.files") == {"privacy_exp.cache.files"}
    assert "privacy_exp.cache.files" not in _closure("privacy_exp.runs.folder")
    assert len(sources("privacy_exp.cache.files")) == 20


def test_a_method_stands_on_its_base_and_helpers_and_not_on_the_cache_or_the_report():
    known = _closure("privacy_exp.masking.saliency")
    assert {"privacy_exp.masking.base", "privacy_exp.masking.target", "privacy_exp.recognition.alignment"} <= known
    assert "privacy_exp.masking.rise" not in known
    assert not any(name.startswith(("privacy_exp.cache", "privacy_exp.report", "torch", "numpy")) for name in known)


def test_a_public_name_leads_to_its_module(monkeypatch):
    import privacy_exp
    from privacy_exp.masking.saliency import Saliency

    monkeypatch.setattr(privacy_exp, "Saliency", Saliency, raising=False)
    module._file.cache_clear()
    assert sources("privacy_exp.Saliency") == sources("privacy_exp.masking.saliency")
    assert sources(Saliency) == f"Saliency {sources('privacy_exp.masking.saliency')}"


def test_a_class_typed_into_a_notebook_is_known_by_what_it_does():
    def typed(text: str) -> str:
        space = {"__name__": "my.notebook"}
        exec(compile(textwrap.dedent(text), "<cell>", "exec"), space)  # noqa: S102  what a notebook does
        sys.modules["my.notebook"] = type(sys)("my.notebook")
        vars(sys.modules["my.notebook"]).update(space)
        return sources(space["Mine"])

    try:
        plus = typed("class Mine:\n    def score(self, x):\n        return x + 1")
        assert typed("class Mine:\n    def score(self, x):\n        return x + 1") == plus
        assert typed("class Mine:\n    def score(self, x):\n        return x - 1") != plus
        assert typed("class Mine:\n    def score(self, x):\n        return x + 2") != plus
        assert typed("class Mine:\n    def score(self, x):\n        return abs(x + 1)") != plus
        assert re.fullmatch("Mine [0-9a-f]{20}", plus)
        derived = "class Base:\n    step = {}\n    def of(self):\n        return {}\nclass Mine(Base):\n    pass"
        found = [typed(derived.format(*pair)) for pair in ((1, 2), (2, 2), (1, 3), (1, 2))]
        assert len(set(found)) == 3, "what a base does is part of it"
        assert found[0] == found[3]
    finally:
        del sys.modules["my.notebook"]


def test_a_target_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"_target_.*nowhere\.Mine"):
        sources("nowhere.Mine")


def test_keys_hold_the_code_of_every_part(mine):
    part = {"_target_": "mine.Mine", "inner": [{"_target_": "privacy_exp.masking.rise.Rise"}]}
    before = scientific(part)
    assert before["_source_"] == sources("mine.Mine")
    assert before["inner"][0]["_source_"] == sources("privacy_exp.masking.rise")
    mine(**{"mine_parts/deep": "ONE = 2\n"})
    assert scientific(part) != before
