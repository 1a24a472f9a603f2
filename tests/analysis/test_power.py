"""What n networks show, against the same question asked of many simulated studies."""

import pytest

from docs.scripts.simulate_power import simulate
from naswot_lightning.analysis.evidence import describe_power, detectable, networks_needed
from naswot_lightning.analysis.statistics import Estimate


def test_a_difference_that_networks_show_is_seen_in_four_fifths_of_simulated_studies():
    seen, shown = simulate(100, 0.67, 0.57, 0.65, studies=60)
    assert shown == pytest.approx(0.11, abs=0.02)
    # Of 60 studies, with a true difference of 0.10: one standard error is 5 %.
    assert 0.6 < seen < 0.92
    few, _ = simulate(20, 0.67, 0.57, 0.65, studies=60)
    assert few < 0.3


def test_power_without_interval_or_difference_is_not_said():
    assert detectable(Estimate(0.1, None, None, 8, 0)) is None
    assert describe_power(Estimate(0.1, None, None, 8, 0)) == ""
    assert networks_needed(Estimate(0.0, -0.1, 0.1, 50, 0)) is None
    assert "one of 0.00 needs more than 100,000" in describe_power(Estimate(0.0, -0.1, 0.1, 50, 0))
    # Two scores that are one: nothing is to be told apart.
    assert describe_power(Estimate(0.0, 0.0, 0.0, 50, 0)) == ""
