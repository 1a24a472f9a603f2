"""When the comparison in wandb is updated, and what becomes of it where that fails or training is cut off."""

import threading
import time

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.report import comparison_run
from naswot_lightning.report.comparison_run import ComparisonRun, updates
from naswot_lightning.report.wandb_runs import WandbSettings
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.run_folders import write_noisy
from tests.report.tracking.server import serving
from tests.runs import result, write_pick


class Comparison:
    """Counts its updates, each of which waits to be let go."""

    def __init__(self, error=None):
        self.begun, self.abandoned, self._error = 0, 0, error
        self.let_go = threading.Event()

    def update(self):
        self.begun += 1
        assert self.let_go.wait(10)
        if self._error:
            raise self._error

    def abandon(self):
        self.abandoned += 1


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_picks_that_end_during_an_update_wait_for_nothing_and_share_the_next(monkeypatch):
    monkeypatch.setattr(comparison_run, "_REST", 0)
    comparison = Comparison()
    with updates(comparison) as shown:
        shown.pick_ended()
        until(lambda: comparison.begun == 1)
        for _ in range(5):
            shown.pick_ended()
        comparison.let_go.set()
        until(lambda: comparison.begun == 2)
    assert (comparison.begun, comparison.abandoned) == (2, 0)


def test_from_the_second_update_on_is_a_rest_that_the_end_of_the_command_does_not_wait_for(monkeypatch):
    monkeypatch.setattr(comparison_run, "_REST", 1e9)  # of some microseconds
    comparison = Comparison()
    comparison.let_go.set()
    start = time.monotonic()
    with updates(comparison) as shown:
        for number in (1, 2):
            shown.pick_ended()
            until(lambda number=number: comparison.begun == number)
        shown.pick_ended()
    assert comparison.begun == 2
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("error", "reason"),
    [(UserError("run/x is damaged"), "run/x is damaged"), (ConnectionError("lost\nand more"), "ConnectionError: lost")],
)
def test_an_update_that_fails_is_one_line_and_the_last(caplog, error, reason):
    comparison = Comparison(error)
    comparison.let_go.set()
    with updates(comparison) as shown:
        shown.pick_ended()
        until(lambda: caplog.messages)
        shown.pick_ended()
    assert caplog.messages == [f"the comparison in wandb is not updated before the end ({reason})"]
    assert comparison.begun == 1


def test_a_training_that_is_interrupted_abandons_the_comparison():
    comparison = Comparison()
    with pytest.raises(KeyboardInterrupt), updates(comparison):
        raise KeyboardInterrupt
    assert comparison.abandoned == 1


def test_without_wandb_nothing_is_read(tmp_path):
    (tmp_path / "ranking.json").write_text("damaged")
    ComparisonRun(RunFolder(tmp_path), WandbSettings("disabled")).update()


@pytest.mark.slow
def test_what_was_abandoned_is_on_the_server_and_is_taken_up(tmp_path, monkeypatch):
    write_noisy(tmp_path, 5)
    with serving() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        for picks in (5, 6):
            comparison = ComparisonRun(RunFolder(tmp_path), WandbSettings("online"))
            comparison.update()
            comparison.abandon()
            (kept,) = server.runs.values()
            assert kept.summary["picks"] == picks
            if picks == 5:
                write_pick(tmp_path, result(6))
        assert [row["comparison"]["nrows"] for row in kept.history] == [5, 6]
