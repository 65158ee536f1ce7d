"""A made sweep, its report, and a headless browser to look at it with."""

import os
import shutil
from pathlib import Path

import pytest

from privacy_exp.report.build import Options, build
from tests.report.sample import Sample, make_sweep


@pytest.fixture(scope="session")
def sweep(tmp_path_factory) -> Path:
    """27 cells of 96 photos of 24 people each."""
    return make_sweep(tmp_path_factory.mktemp("sweeps") / "study")


@pytest.fixture(scope="session")
def report(sweep, tmp_path_factory) -> Path:
    """The report of that sweep."""
    out = tmp_path_factory.mktemp("report") / "out"
    build([sweep], out, Options())
    return out


@pytest.fixture(scope="session")
def two_cells(tmp_path_factory) -> Path:
    """The smallest sweep that can be compared; tests copy it before they break it."""
    sample = Sample(methods=("random_patches", "saliency"), ratios=(0.25,), scales=(3.0,), people=4, photos=3)
    return make_sweep(tmp_path_factory.mktemp("small") / "study", sample)


@pytest.fixture
def small(two_cells, tmp_path) -> Path:
    """A copy of the smallest sweep."""
    return Path(shutil.copytree(two_cells, tmp_path / "study"))


@pytest.fixture
def without_charts(monkeypatch) -> None:
    """Charts take three quarters of a report's time; a test of words and tables does without."""
    monkeypatch.setattr("privacy_exp.report.build.write_chart", lambda *_: None)


@pytest.fixture
def open_page(browser):
    """Opens a page from the disk with the network off; an error in its console fails the test."""
    contexts, complaints = [], []

    def look(out: Path, width: int = 1400, **more):
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **more)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"could not load {request.url}"))
        page.goto((out / "index.html").as_uri())
        return page

    yield look
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which looks for barriers."""
    places = [os.environ.get("AXE_CORE", ""), Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"]
    for place in places:
        if place and Path(place).is_file():
            return Path(place).read_text()
    pytest.skip("needs axe-core: bash scripts/setup_browser.sh, or set AXE_CORE to the path of axe.min.js")
