"""Doctests of the package run in a folder of their own and share a cache that goes away with them."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "tests"


def pytest_ignore_collect(collection_path):
    """Examples are collected from the package; of tests/, only the files named test_*."""
    helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if helper and TESTS in collection_path.parents else None


@pytest.fixture(scope="session")
def doctest_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("doctest_cache")


@pytest.fixture(autouse=True)
def doctest_folder(request, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(request.getfixturevalue("doctest_cache")))
