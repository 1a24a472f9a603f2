from itertools import pairwise

import pytest

from bench import workers
from bench.workers import Sleep, Span


def test_every_item_is_run_once_by_one_of_two_workers():
    start, found = workers.spans(Sleep(0.3), range(6), 2)
    assert len(found) == 2
    assert sum(map(len, found)) == 6
    for spans in found:
        assert len({span.worker for span in spans}) == 1
        assert start < spans[0].start
        assert all(a.end <= b.start for a, b in pairwise(spans))
        assert all(span.end - span.start >= 0.3 for span in spans)


def test_the_rate_leaves_out_the_first_item_of_each_worker():
    slow_first = [Span(1, 0.0, 5.0), Span(1, 5.0, 6.0), Span(1, 6.0, 7.0)]
    assert workers.rate([slow_first]) == pytest.approx(1.0)
    assert workers.rate([slow_first, slow_first]) == pytest.approx(2.0)


def test_what_a_task_costs_beside_its_seconds_is_a_share_of_them(monkeypatch):
    spans = [[Span(1, 0.0, 1.0), Span(1, 1.02, 2.02)], [Span(2, 0.5, 1.5), Span(2, 1.5, 2.5)]]
    monkeypatch.setattr(workers, "spans", lambda *_: (0.0, spans))
    assert workers.fan_out_row(4, 1.0) == ("4 tasks of 1 s, 2 workers", "5.00 ms a task", "0.500 %")


def test_results_of_a_task_that_takes_no_time_are_all_taken():
    figure, a_second, _ = workers.result_row("local", 300)
    assert "2 workers" in figure
    assert float(a_second.removesuffix(" a second").replace(",", "")) > 0
