"""The quickest rounds; the others are for ``make faults``."""

import sys

import pytest

from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from tests.faults.__main__ import FAULTS, run_fault
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
    "name", ["candidate: is-nan, --workers 1", pytest.param("search: two on one run folder", marks=pytest.mark.slow)]
)
def test_a_round_finds_nothing_wrong(references, name):
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    (verdict,) = run_fault(fault, 1, 0, references)
    assert verdict.wrong == []
    assert (verdict.lost, verdict.twice, verdict.left) == (0, 0, 0)
    assert verdict.identical
    assert verdict.one_line
