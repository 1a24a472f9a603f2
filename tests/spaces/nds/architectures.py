"""Architectures of the NDS cell spaces, for their tests."""

import random
from dataclasses import replace

from spaces import get_space
from spaces.nds.cells import GENOTYPES
from spaces.nds.genotype import format_architecture

CELL_SPACES = ("nds_nasnet", "nds_amoeba", "nds_pnas", "nds_enas", "nds_darts")
DARTS = get_space("nds_darts")
SMALL = f"C4-L3|{GENOTYPES['DARTS_V2']}"


def resized(architecture, head="C2-L3"):
    """The same cells in a network that is quick to run: one normal and two reduction cells."""
    return "|".join([head, *architecture.split("|")[1:]])


def sampled(count, concat_any=False):
    """(space, architecture), ``count`` per space; with ``concat_any``, cells leave nodes out of the output."""
    for name, seed in ((name, seed) for name in CELL_SPACES for seed in range(count)):
        space, rng = get_space(name), random.Random(seed)
        parsed = space.parse(space.sample(rng))
        if concat_any:
            nodes = list(parsed.normal.nodes)
            normal, reduce = (tuple(sorted(rng.sample(nodes, rng.randint(1, len(nodes))))) for _ in range(2))
            cells = {"normal": replace(parsed.normal, concat=normal), "reduce": replace(parsed.reduce, concat=reduce)}
            parsed = replace(parsed, **cells)
        yield space, format_architecture(parsed)
