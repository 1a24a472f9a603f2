"""The picture of codes and kernel: its numbers are those that the library and the page give."""

import re
import sys
from itertools import combinations

import pytest
import torch

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


def test_the_caption_says_what_is_drawn(example):
    matrix = example.kernel.matrix  # two images each of 0, 1, 4, 7
    between = matrix[:2, 2:4]
    said = f"network of {example.kernel.n_units} rectifiers"
    assert said in " ".join(PAGE.split())
    shares = f"two zeros share {matrix[0, 1]} of {example.kernel.n_units} bits"
    assert f"{shares}, a zero and a one {between.min()} to {between.max()}" in " ".join(PAGE.split())


def test_the_axes_show_them(script, example):
    kernels = [example.kernel] * 3
    axes = script.draw(example, kernels).axes
    assert len(axes) == 6
    assert torch.as_tensor(axes[1].images[0].get_array()).bool().equal(example.codes)
    assert [int(text.get_text()) for text in axes[2].texts] == example.kernel.matrix.flatten().tolist()
    assert f"{example.kernel.logdet():.2f}" in axes[2].get_title()


@pytest.mark.slow  # half a minute: thirty networks of NAS-Bench-201
def test_the_picture_of_the_page_is_drawn_by_the_command(script, tmp_path):
    kernels = script.kernels_of_candidates(load_dataset("digits"))
    assert f"three of {len(kernels)} random networks" in " ".join(PAGE.split())
    scores = [kernel.logdet() for kernel in kernels]
    assert scores == sorted(scores)
    drawn = tmp_path / "codes-and-kernel.png"
    script.main(drawn)
    assert re.search(r"`python docs/scripts/draw_codes.py codes-and-kernel.png`", PAGE)
    assert 50_000 < drawn.stat().st_size < 120_000
