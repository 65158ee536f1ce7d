"""docs/reference/config.md says what the comments in conf/ say."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import config_reference  # noqa: E402


def test_the_page_is_up_to_date():
    page = config_reference.PAGE.read_text()
    assert page == config_reference.reference(ROOT / "conf"), "run python scripts/config_reference.py"


def test_a_tree_by_hand(tmp_path):
    for group in config_reference.GROUPS:
        (tmp_path / group).mkdir(parents=True)
    (tmp_path / "masking" / "plain.yaml").write_text(
        "_target_: a.B\nside: 8 # in pixels | or none\ndeep:\n  one: [1, 2]\n"
    )
    (tmp_path / "masking" / "other.yaml").write_text("# Wider.\ndefaults: [plain, _self_]\nside: 16\n")
    (tmp_path / "data" / "parts").mkdir()
    (tmp_path / "data" / "parts" / "split.yaml").write_text("seed: 0 # of the split\nsize: null # in pixels\n")
    (tmp_path / "data" / "folder.yaml").write_text("defaults:\n  - parts/split@_here_\n  - _self_\nsize: 64\n")
    (tmp_path / "judge" / "net.yaml").write_text("# @package judge.net\nseed: 3 # of its weights\n")
    page = config_reference.reference(tmp_path)
    assert "### masking=plain\n\nBuilds `a.B`.\n" in page
    assert "| `masking.side` | `8` | in pixels \\| or none |\n| `masking.deep.one` | `[1, 2]` |  |" in page
    assert "### masking=other\n\nWider.\n\nBased on `plain`.\n" in page
    assert "| `masking.side` | `16` | in pixels \\| or none |" in page
    assert "### data=folder\n\n| key" in page
    assert "| `data.seed` | `0` | of the split |\n| `data.size` | `64` | in pixels |" in page
    assert "| `judge.net.seed` | `3` | of its weights |" in page
