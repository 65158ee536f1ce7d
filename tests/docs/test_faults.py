"""The table of faults is complete, and names tests that exist."""

import re
from pathlib import Path

import pytest
import yaml

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "results" / "faults.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if re.match(r"\| [A-Z]\d+ \|", line)
]
WANTED = {
    **{"F": range(1, 21), "G": range(1, 6), "S": range(1, 6), "C": range(1, 10), "T": range(1, 9)},
    **{"B": range(1, 14), "R": (5, 6, 7, 8, 9, 11, 13, 14, 15, 16, 17, 18, 19)},
}


def test_every_entry_has_a_row():
    assert {f"{letter}{n}" for letter, numbers in WANTED.items() for n in numbers} - {row[0] for row in ROWS} == set()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_tests_that_exist_or_says_that_it_is_open(row):
    entry, before, now, held = row
    assert before
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", held)
    assert named or "**open**" in now, entry
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in _text(file)]
    assert missing == []


def _text(file: str) -> str:
    path = TESTS / file
    return path.read_text() if path.is_file() else ""


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("README.md", "source .venv/bin/activate"),
        ("docs/your-photos.md", "**Aligned face crops.**"),
        ("docs/your-photos.md", "**One size.**"),
        ("docs/extending.md", "(Inpainter):"),
        ("docs/faq.md", "I pressed Ctrl-C"),
        ("docs/faq.md", "My path holds `=`"),
        ("docs/scoring-other-tools.md", "anonymized_name="),
    ],
)
def test_what_a_new_user_missed_stands_on_a_page(page, words):
    assert words in (TESTS.parent / page).read_text()


UNDONE = yaml.safe_load((TESTS.parent / "scripts" / "undo_fixes.yaml").read_text())


def test_every_row_has_its_fault_to_put_back():
    assert sorted(fix["entry"] for fix in UNDONE) == sorted(row[0] for row in ROWS)
    for fix in UNDONE:
        assert any(row[0] == fix["entry"] and fix["test"] in row[3] for row in ROWS), fix


@pytest.mark.parametrize("fix", UNDONE, ids=lambda fix: f"{fix['entry']} {fix['file']}")
def test_the_code_that_mends_a_fault_is_there_once(fix):
    """Else `scripts/undo_fixes.py` could not take it away."""
    assert (TESTS.parent / fix["file"]).read_text().count(fix["now"]) == 1
