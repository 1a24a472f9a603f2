import shutil

import pytest

from naswot_lightning.report import figures
from tests.diagnostics.runs import FEW, report, search


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """The run folder of a search with the scores of Figure 5; tests read it, and change a copy."""
    run = search(tmp_path_factory.mktemp("searched"))
    assert report(run, *FEW) == 0
    return run


@pytest.fixture
def unsaved(monkeypatch):
    """Figures are not written: that takes longer than all else."""
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: None)


@pytest.fixture
def copy(measured, tmp_path):
    return shutil.copytree(measured, tmp_path / "copy")
