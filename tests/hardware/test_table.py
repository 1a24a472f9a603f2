"""The table of operators: what is recorded, that the sum is right, and what predictions are worth."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from naswot_lightning.hardware.measure import Device
from naswot_lightning.hardware.table import OperatorTable, Regression, assess, record

CONV = "torch.nn.functional.conv2d(float32[2, 3, 8, 8], float32[4, 3, 3, 3], float32[4], (2, 2), (1, 1), (1, 1), 1)"
RELU = "torch.nn.functional.relu(float32[2, 4, 4, 4],){'inplace': False}"


class Small(nn.Module):
    """Two equal ReLUs, an addition in place, and a number that is no tensor."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, images):
        maps = F.relu(F.relu(self.conv(images)))
        maps += maps.dim()
        return maps.permute(0, 2, 3, 1)[:, 0] @ torch.ones(4, 5, device=maps.device)


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_calls_are_recorded_by_function_shapes_and_arguments(place):
    calls = record(Small().to(place), torch.zeros(2, 3, 8, 8, device=place))
    assert calls.counts[CONV] == 1
    assert calls.counts[RELU] == 2
    assert not any("dim(" in name for name in calls.counts)
    (product,) = (name for name in calls.counts if "matmul" in name)
    # The first row of maps whose channels lie last.
    assert "float32[2, 4, 4]@[64, 1, 16], float32[4, 5]" in product


def test_the_time_of_a_network_is_the_sum_of_its_operators_by_kind():
    calls = record(Small(), torch.zeros(2, 3, 8, 8))
    table = OperatorTable(Device(), dict.fromkeys(calls.counts, 1.0) | {CONV: 5.0, RELU: 0.25})
    assert not table.add([calls])
    times = table.times(calls)
    assert times["torch.nn.functional.conv2d"] == 5
    assert times["torch.nn.functional.relu"] == 0.5
    assert sum(times.values()) == 5.5 + calls.counts.total() - 3


def test_each_operator_is_measured_once_and_one_that_cannot_run_alone_is_nothing():
    class Picky(Small):
        def forward(self, images):
            # Of a tensor that has its memory in common, no values can be made.
            return super().forward(images.expand(2, 3, 8, 8)) + images.new_tensor([1.0]).expand(5)

    table = OperatorTable(Device())
    first, second = record(Small(), torch.zeros(2, 3, 8, 8)), record(Picky(), torch.zeros(1, 1, 8, 8))
    assert table.add([first])
    measured = dict(table.ms)
    assert table.ms.keys() == first.counts.keys()
    assert all(ms > 0 for ms in measured.values())
    assert table.add([second])
    assert measured.items() <= table.ms.items()
    assert 0 in table.ms.values()
    assert not table.add([first, second])


def networks(count, noise, rng):
    """Times by kind and calls of invented networks, and latencies that are a sum of them."""
    passes = [({"conv": rng.uniform(1, 9), "norm": rng.uniform(0, 1)}, int(rng.integers(5, 50))) for _ in range(count)]
    exact = [0.2 + 1.1 * times["conv"] + 3 * times["norm"] + 0.01 * calls for times, calls in passes]
    return passes, exact * rng.normal(1, noise, count)


def test_the_regression_finds_the_factor_of_each_kind_of_call():
    rng = np.random.default_rng(0)
    passes, latencies = networks(40, 0, rng)
    regression = Regression.fit(passes, latencies)
    assert regression.kinds == ("conv", "norm")
    assert regression.factors == pytest.approx([0.2, 0.01, 1.1, 3, 0])
    assert regression({"conv": 2.0, "unseen": 1.0}, 10) == pytest.approx(0.2 + 0.1 + 2.2)


def test_the_stated_errors_are_those_of_unseen_networks():
    rng = np.random.default_rng(1)
    passes, latencies = networks(400, 0.03, rng)
    # Of two rounds, the second is slower by 2 %.
    worth = assess(passes[:40], [(0.99 * ms, 1.01 * ms) for ms in latencies[:40]])
    regression = Regression.fit(passes[:40], latencies[:40])
    predicted = np.array([regression(*each) for each in passes[40:]])
    error = np.median(np.abs(predicted / latencies[40:] - 1))
    assert worth.error == pytest.approx(error, rel=0.5)
    assert worth.rank_correlation > 0.98
    assert worth.drift == pytest.approx(1.01 / 0.99 - 1)
    assert np.mean(latencies[40:] <= predicted * (1 + worth.margin)) > 0.9
