import shutil

import pytest

from tests.diagnostics.runs import FEW, report, search


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    return search(tmp_path_factory.mktemp("searched"))


@pytest.fixture(scope="session")
def once(searched, tmp_path_factory):
    run = shutil.copytree(searched, tmp_path_factory.mktemp("measured") / "run")
    assert report(run, "--figure", "figure1,jacobian_histograms") == 0
    assert report(run, *FEW) == 0
    return run


@pytest.fixture
def run(searched, tmp_path):
    """A copy of the run folder of a search."""
    return shutil.copytree(searched, tmp_path / "run")


@pytest.fixture
def measured(once, tmp_path):
    """The same, with all that figures measure."""
    return shutil.copytree(once, tmp_path / "measured")
