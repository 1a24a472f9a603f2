"""Architectures of the NDS cell spaces, for their tests."""

import random
from dataclasses import replace

from naswot_lightning.spaces import get_space
from naswot_lightning.spaces.nds.genotype import format_architecture

_PNAS_CELL = (
    "sep_conv_5x5~0+max_pool_3x3~0;sep_conv_7x7~1+max_pool_3x3~1;sep_conv_5x5~1+sep_conv_3x3~1;"
    "sep_conv_3x3~4+max_pool_3x3~1;sep_conv_3x3~0+skip_connect~1->2,3,4,5,6"
)
# Published cells: f"C16-L8|{GENOTYPES['DARTS_V2']}" is an architecture.
GENOTYPES = {
    "NASNet": (  # Zoph et al., 2018; of nds_nasnet
        "normal:sep_conv_5x5~1+sep_conv_3x3~0;sep_conv_5x5~0+sep_conv_3x3~0;avg_pool_3x3~1+skip_connect~0;"
        "avg_pool_3x3~0+avg_pool_3x3~0;sep_conv_3x3~1+skip_connect~1->2,3,4,5,6"
        "|reduce:sep_conv_5x5~1+sep_conv_7x7~0;max_pool_3x3~1+sep_conv_7x7~0;avg_pool_3x3~1+sep_conv_5x5~0;"
        "skip_connect~3+avg_pool_3x3~2;sep_conv_3x3~2+max_pool_3x3~1->4,5,6"
    ),
    "AmoebaNet": (  # Real et al., 2019; of nds_amoeba
        "normal:avg_pool_3x3~0+max_pool_3x3~1;sep_conv_3x3~0+sep_conv_5x5~2;sep_conv_3x3~0+avg_pool_3x3~3;"
        "sep_conv_3x3~1+skip_connect~1;skip_connect~0+avg_pool_3x3~1->4,5,6"
        "|reduce:avg_pool_3x3~0+sep_conv_3x3~1;max_pool_3x3~0+sep_conv_7x7~2;sep_conv_7x7~0+avg_pool_3x3~1;"
        "max_pool_3x3~0+max_pool_3x3~1;conv_7x1_1x7~0+sep_conv_3x3~5->3,4,6"
    ),
    "PNASNet": f"normal:{_PNAS_CELL}|reduce:{_PNAS_CELL}",  # Liu et al., 2018; of nds_pnas
    "DARTS_V2": (  # Liu et al., 2019; of nds_darts
        "normal:sep_conv_3x3~0+sep_conv_3x3~1;sep_conv_3x3~0+sep_conv_3x3~1;sep_conv_3x3~1+skip_connect~0;"
        "skip_connect~0+dil_conv_3x3~2->2,3,4,5"
        "|reduce:max_pool_3x3~0+max_pool_3x3~1;skip_connect~2+max_pool_3x3~1;max_pool_3x3~0+skip_connect~2;"
        "skip_connect~2+max_pool_3x3~1->2,3,4,5"
    ),
}

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
