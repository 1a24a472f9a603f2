"""What picks gain over random candidates."""

import pytest

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


def test_gain_has_the_interval_of_welch():
    for picks, controls, outcome, interval in (
        ((0.97, 0.98, 0.99), (0.90, 0.91, 0.93), "beat", (3.546, 9.788)),
        ((0.90, 0.91, 0.93), (0.97, 0.98, 0.99, 0.98), "lose to", (-9.846, -3.487)),
        ((0.97, 0.98, 0.99), (0.98, 0.90, 0.97), "cannot be told from", (-7.157, 13.157)),
    ):
        found = gain(picks, controls)
        assert found.interval == pytest.approx(interval, abs=1e-3)
        assert found.outcome == outcome
        assert f"The picks {outcome} random candidates: test accuracy" in found.sentence
        assert found.short in found.sentence
        assert ("this few detect only a gain of" in found.sentence) == (outcome == "cannot be told from")


def test_gain_of_one_network_has_no_interval_and_of_none_is_none():
    one = gain((0.9,), (0.8, 0.7))
    assert (one.interval, one.outcome) == (None, "too little evidence")
    assert "(1 pick) against 75.00 % (2 random candidates), +15.00 points; a single network" in one.sentence
    assert gain((0.9, 0.9), (0.8, 0.8)).interval == pytest.approx((10, 10))
    assert gain((), (0.8,)) is None
    assert gain((0.8,), ()) is None
    # A network that was chosen before selections were noted is a pick.
    assert gain((0.9, 0.8), (0.8, 0.7), selection=None).value == pytest.approx(10)
