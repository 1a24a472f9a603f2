"""The quickest rounds; the others are for ``make faults``."""

import sys

import pytest

from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from tests.conftest import slow
from tests.faults.__main__ import FAULTS, run_round
from tests.faults.rounds import QUIET, SEARCH, References

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """The undisturbed search, made here: that spares the start of a command."""
    folder = tmp_path_factory.mktemp("faults")
    words = (*SEARCH, *QUIET, "--workers", 1, "--run_dir", folder / "search")
    assert run_search(parse(SearchConfig, [str(word) for word in words], "naswot search")) == 0
    return References(folder)


@pytest.mark.parametrize(
    "name", ["search: SIGKILL of the command", *slow("train: SIGINT", "train: SIGKILL of the command")]
)
def test_a_round_finds_nothing_wrong(references, name):
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    assert run_round(fault, 0, 0, references) == []
