"""Every score of one network of NAS-Bench-201, as it was when its formula was checked."""

import pytest
import torch

from naswot_lightning.scores.registry import REGISTERED, compute_scores
from tests.scores.networks import SPACE, probe_of

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
GOLDEN = {
    "naswot": 177.4505,
    "jacob_cov": -16.28114,
    "grad_norm": 35.9466,
    "snip": 75.30546,
    "fisher": 0.01230434,
    "grasp": 22.57364,
    "zico": 546.0401,
    "synflow": 82.82277,
    "nwot_normalised": -9.372005,
    "swap": 42230,
    "meco": 14.41432,
    "relu_entropy": 163.2984,
    "relu_rank": 1447.331,
    "relu_input_rank": 1311.460,
    "relu_volume": 1457.443,
    "relu_meco": 52.28220,
    "az_expressivity": 56.78897,
    "az_progressivity": -0.01336939,
    "az_trainability": -0.2933987,
    "zen": 162.6428,
    "vkdnw": 156.4553,
    "params": 587386,
    "macs": 20624010,
    "rectified_units": 117760,
    "log_width": 181.6046,
    "conv_depth": 35,
}


def test_golden_values():
    torch.manual_seed(0)
    found = compute_scores(SPACE.build(CELL), probe_of(count=16, size=16, classes=10), list(REGISTERED))
    del found["random"]  # of every bit of the weights
    assert found == pytest.approx(GOLDEN, rel=1e-3)
