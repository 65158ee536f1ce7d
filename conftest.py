"""Doctests of the package run in a folder of their own and share a cache that goes away with them."""

import pytest


@pytest.fixture(scope="session")
def doctest_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("doctest_cache")


@pytest.fixture(autouse=True)
def doctest_folder(request, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(request.getfixturevalue("doctest_cache")))
