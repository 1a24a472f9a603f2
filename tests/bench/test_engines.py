import pytest

from bench.search import engine_rows


@pytest.mark.slow  # two whole searches
def test_two_engines_are_timed_where_their_rankings_are_equal():
    pytest.importorskip("ray")
    (local, _, one), (ray, _, ratio) = engine_rows(candidates=6, turns=1, sets=("digits",))
    assert local == "6 candidates, digits, 2 workers, --engine local"
    assert ray == "6 candidates, digits, 2 workers, --engine ray"
    assert one == "1"
    assert float(ratio.split()[0]) > 0
