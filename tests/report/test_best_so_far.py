import numpy as np
import pytest

from naswot_lightning.analysis.trajectory import Curve, band_of
from naswot_lightning.report.figures.curves import draw_best_so_far


def curve(values, seconds=2.0, step=1.0):
    places = range(1, len(values) + 1)
    return Curve(tuple(step * n for n in places), tuple(seconds * n for n in places), tuple(values))


def test_a_curve_is_a_staircase_that_goes_on_when_it_has_ended():
    band = band_of([curve([None, 1.0, 3.0]), curve([2.0, 2.0, 2.0, 4.0, 4.0])], "evaluations")
    assert (band.effort[0], band.effort[-1], band.seeds) == (2, 5, 2)
    for effort, mean in ((2.5, 1.5), (3.5, 2.5), (4.5, 3.5), (5.0, 3.5)):
        assert band.mean[np.searchsorted(band.effort, effort)] == mean


def test_the_band_holds_eight_of_ten_seeds():
    band = band_of([curve([float(seed)] * 3) for seed in range(11)], "seconds")
    assert band.low == pytest.approx(1)
    assert band.high == pytest.approx(9)
    assert band.mean == pytest.approx(5)
    assert (band.effort[0], band.effort[-1]) == (2, 6)


def test_without_values_there_is_no_band():
    assert band_of([], "evaluations") is None
    assert band_of([curve([None, None]), curve([1.0])], "evaluations") is None
    assert draw_best_so_far({"rea": [curve([None])]}, "accuracy (%)", "cells") is None


def test_a_panel_of_evaluations_and_one_of_seconds():
    searches = {name: [curve([1.0 + n, 2.0 + n, 3.0]) for n in range(4)] for name in ("random", "rea", "$x")}
    figure = draw_best_so_far(searches, "accuracy (%)", "cells")
    assert [axis.get_xlabel() for axis in figure.axes] == ["evaluations (whole trainings)", "simulated time (s)"]
    assert {axis.get_ylabel() for axis in figure.axes} == {"accuracy (%), best so far"}
    assert "n = 4 seeds" in figure.get_suptitle()
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["random", "rea", r"\$x"]
    assert len({line.get_linestyle() for line in lines}) == 3
    figure.canvas.draw()


def test_seconds_that_are_not_known_are_left_out():
    timed, untimed = curve([1.0, 2.0]), curve([1.0, 2.0, 3.0], seconds=0.0)
    figure = draw_best_so_far({"rea": [timed] * 3, "bohb": [untimed] * 2}, "accuracy (%)", "cells")
    assert len(figure.axes) == 1
    assert "n = 2 to 3 seeds" in figure.get_suptitle()


def test_the_spread_of_many_is_a_bar_at_the_end_and_of_few_a_band():
    searches = {name: [curve([1.0 + n, 2.0 + n, 3.0 + n]) for n in range(11)] for name in ("a", "b", "c", "d")}
    few = draw_best_so_far({name: searches[name] for name in ("a", "b", "c")}, "accuracy (%)", "cells").axes[0]
    assert len(few.collections) == len(few.get_lines()) == 3
    figure = draw_best_so_far(searches, "accuracy (%)", "cells")
    axis = figure.axes[0]
    assert len(axis.collections) == 0
    bars = [line for line in axis.get_lines() if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
    assert [bar.get_ydata() for bar in bars] == [pytest.approx([4, 12])] * 4
    assert len({bar.get_linestyle() for bar in bars}) == 4
    assert all(bar.get_xdata()[0] > 3 for bar in bars)
    assert axis.get_ylim()[0] < 4
    assert axis.get_ylim()[1] > 12
    assert "bars: at the end, 10 to 90 %" in figure.get_suptitle().replace("\n", " ")
