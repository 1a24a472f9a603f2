import pytest

from bench import workers
from bench.workers import Span


def test_the_rate_leaves_out_the_first_item_of_each_worker():
    slow_first = [Span(1, 0.0, 5.0), Span(1, 5.0, 6.0), Span(1, 6.0, 7.0)]
    assert workers.rate([slow_first]) == pytest.approx(1.0)
    assert workers.rate([slow_first, slow_first]) == pytest.approx(2.0)


def test_what_a_task_costs_beside_its_seconds_is_a_share_of_them(monkeypatch):
    spans = [[Span(1, 0.0, 1.0), Span(1, 1.02, 2.02)], [Span(2, 0.5, 1.5), Span(2, 1.5, 2.5)]]
    monkeypatch.setattr(workers, "spans", lambda *_: (0.0, spans))
    assert workers.fan_out_row(4, 1.0) == ("4 tasks of 1 s, 2 workers", "5.00 ms a task", "0.500 %")
