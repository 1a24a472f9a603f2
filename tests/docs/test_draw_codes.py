"""The picture of codes and kernel: its numbers are those that the library and the page give."""

import sys
from itertools import combinations

import pytest

from naswot_lightning.data.sources import load_dataset
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "how-the-score-works.md").read_text()


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "scripts")
    import draw_codes

    yield draw_codes
    sys.modules.pop("draw_codes")


@pytest.fixture
def example(script):
    return script.small_example(load_dataset("digits"))


def test_the_codes_that_are_drawn_are_those_of_the_kernel(example):
    codes = example.codes.int()
    assert codes.shape == (8, sum(example.widths))
    for one, other in combinations(range(8), 2):
        assert int(example.kernel.matrix[one, other]) == int((codes[one] == codes[other]).sum())
    assert example.kernel.n_units == codes.shape[1]
    # What the page says of them: two images each of 0, 1, 4, 7.
    matrix, page = example.kernel.matrix, " ".join(PAGE.split())
    between = matrix[:2, 2:4]
    assert f"network of {codes.shape[1]} rectifiers" in page
    assert f"two zeros share {matrix[0, 1]} of {codes.shape[1]} bits, a zero and a one {between.min()} to " in page
