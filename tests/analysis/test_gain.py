"""What picks gain over random candidates."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from naswot_lightning.analysis.evidence import gain_of
from naswot_lightning.analysis.results import comparable
from tests.runs import training_result


def gain(picks, controls, selection="top"):
    chosen = [(value, selection, None) for value in picks] + [(value, "control", True) for value in controls]
    results = [
        training_result(number, test_acc=value, selections=(name,) if name else (), control=is_control)
        for number, (value, name, is_control) in enumerate(chosen, start=1)
    ]
    (group,) = comparable(results)
    return gain_of(group)


@pytest.mark.parametrize(
    ("picks", "controls", "outcome"),
    [
        ((0.97, 0.98, 0.99), (0.90, 0.91, 0.93), "beat"),
        ((0.90, 0.91, 0.93), (0.97, 0.98, 0.99, 0.98), "lose to"),
        ((0.97, 0.98, 0.99), (0.98, 0.90, 0.97), "cannot be told from"),
    ],
)
def test_gain_has_the_interval_of_welch(picks, controls, outcome):
    found = gain(picks, controls)
    expected = ttest_ind(100 * np.array(picks), 100 * np.array(controls), equal_var=False).confidence_interval()
    assert found.interval == pytest.approx(tuple(expected))
    assert found.outcome == outcome
    assert f"The picks {outcome} random candidates: test accuracy" in found.sentence
    assert f"{found.value:+.2f} points [{expected.low:+.2f}, {expected.high:+.2f}]" in found.sentence
    assert ("so few show a gain from" in found.sentence) == (outcome == "cannot be told from")


def test_gain_of_one_network_has_no_interval_and_of_none_is_none():
    one = gain((0.9,), (0.8, 0.7))
    assert (one.interval, one.outcome) == (None, "too little evidence")
    assert "(1 pick) against 75.00 % (2 random candidates), +15.00 points; one network" in one.sentence
    assert gain((0.9, 0.9), (0.8, 0.8)).interval == pytest.approx((10, 10))
    assert gain((), (0.8,)) is None
    assert gain((0.8,), ()) is None
    # A network that was chosen before selections were noted is a pick.
    assert gain((0.9, 0.8), (0.8, 0.7), selection=None).value == pytest.approx(10)
