"""Architectures of the NDS cell spaces, for their tests."""

import random
from dataclasses import replace

import pytest
from hypothesis import strategies as st

from spaces import get_space
from spaces.nds.cells import GENOTYPES
from spaces.nds.genotype import format_architecture

CELL_SPACES = ("nds_nasnet", "nds_amoeba", "nds_pnas", "nds_enas", "nds_darts")
DARTS = get_space("nds_darts")
SMALL = f"C4-L3|{GENOTYPES['DARTS_V2']}"
any_space = pytest.mark.parametrize("name", CELL_SPACES)
seeds = st.integers(0, 2**32)


def resized(architecture, head="C2-L3"):
    """The same cells in a network that is quick to run: one normal and two reduction cells."""
    return "|".join([head, *architecture.split("|")[1:]])


@st.composite
def architectures(draw, concat_any=False):
    """(space, architecture) with any cells; with ``concat_any``, cells that leave nodes out of the output."""
    space = get_space(draw(st.sampled_from(CELL_SPACES)))
    parsed = space.parse(space.sample(random.Random(draw(seeds))))
    if concat_any:
        nodes = st.sets(st.sampled_from(list(parsed.normal.nodes)), min_size=1)
        normal, reduce = (tuple(sorted(draw(nodes))) for _ in range(2))
        parsed = replace(
            parsed, normal=replace(parsed.normal, concat=normal), reduce=replace(parsed.reduce, concat=reduce)
        )
    return space, format_architecture(parsed)
