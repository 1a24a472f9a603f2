import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from tests.searching.runs import QUICK


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert run_search(SearchConfig(run_dir=str(folder), **QUICK)) == 0
    return folder
