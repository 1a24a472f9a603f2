"""Tables and sentences on terminals of any width, and in pipes."""

import re

import pytest
import rich.console
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from naswot_lightning.console import fold, print_table

COLUMNS = ["rank", "score at init", "parameters", "MACs", "rectified units", "architecture"]
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
ROWS = [[str(n), "1534.50", "1,073,466", "153,273,482", "1,048,576", CELL] for n in range(8, 12)]
OPTIONAL = ("rectified units", "MACs")


def test_table_any_width_numbers_stay_whole_and_columns_leave_in_order(terminal):
    left_out = {}
    for width in (200, 132, 120, 100, 81, 80, 70, 60, 40):
        printed = terminal(width)
        print_table("best 4 of 20", COLUMNS, ROWS, OPTIONAL, "ranking.csv")
        title, *lines = printed().splitlines()
        assert title == "best 4 of 20"
        assert "\x1b[1m" in lines[0]  # the headings are bold
        lines = [re.sub(r"\x1b\[\d*m", "", line) for line in lines]
        assert all(cell_len(line) <= width for line in lines)
        note = re.search(r"\(without (.*): see ranking.csv\)$", " ".join(lines))
        left_out[width] = note[1].split(", ") if note else []
        kept = [place for place, name in enumerate(COLUMNS[:-1]) if name not in left_out[width]]
        body = [line.split() for line in lines if "|nor" in line]
        assert [words[:-1] for words in body] == [[row[place] for place in kept] for row in ROWS]
        assert all(words[-1].endswith("~2|") for words in body)
    assert left_out[200] == left_out[81] == []
    assert left_out[70] == ["rectified units"]
    assert left_out[60] == ["rectified units", "MACs"]


@pytest.mark.parametrize("is_notebook", [False, True])
def test_table_in_a_pipe_or_a_notebook_is_whole_and_plain(is_notebook, capsys, monkeypatch):
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: is_notebook)
    print_table("", COLUMNS, ROWS, OPTIONAL, "ranking.csv")
    head, *body = capsys.readouterr().out.splitlines()
    assert head == "rank  score at init  parameters         MACs  rectified units  architecture"
    assert body[0] == f"   8        1534.50   1,073,466  153,273,482        1,048,576  {CELL}"
    assert len(body) == 4


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Mn", "Me", "Cf"])), st.integers(2, 30))
def test_a_folded_text_keeps_both_ends(text, width):
    found = fold(text, width)
    assert cell_len(found) <= width
    if cell_len(text) <= width:
        assert found == text
    else:
        assert "…" in found
