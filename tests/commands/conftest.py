"""The shards that the tests of merge begin with."""

import shutil

import pytest

from tests.commands.shards import PARTS, score


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    score(folder)
    return folder


@pytest.fixture
def place(scored, tmp_path, monkeypatch):
    """A copy of the shards to work in, merged by their names."""
    for number in range(1, PARTS + 1):
        shutil.copytree(scored / f"part{number}", tmp_path / f"part{number}")
    monkeypatch.chdir(tmp_path)
    return tmp_path
