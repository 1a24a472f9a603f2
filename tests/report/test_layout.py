import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from naswot_lightning.report import table
from naswot_lightning.report.layout import fit, fold

COLUMNS = ["rank", "score at init", "parameters", "MACs", "rectified units", "architecture"]
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
ROWS = [[str(n), "1534.50", "1,073,466", "153,273,482", "1,048,576", CELL] for n in range(8, 12)]
OPTIONAL = ("rectified units", "MACs")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 132])
def test_a_table_is_no_wider_than_the_terminal_and_numbers_stay_whole(width):
    found = fit(COLUMNS, ROWS, width, OPTIONAL)
    assert all(cell_len(line) <= width for line in (*found.head, *found.body))
    assert len(found.body) == len(ROWS)
    kept = [place for place, name in enumerate(COLUMNS[:-1]) if name not in found.left_out]
    for line, row in zip(found.body, ROWS, strict=True):
        words = line.split()
        assert words[: len(kept)] == [row[place] for place in kept]
        assert words[-1].startswith("|nor")
        assert words[-1].endswith("~2|")


def test_columns_are_left_out_in_their_order_and_only_where_there_is_no_room():
    left_out = [fit(COLUMNS, ROWS, width, OPTIONAL).left_out for width in (None, 200, 81, 70, 60)]
    assert left_out == [(), (), (), ("rectified units",), ("rectified units", "MACs")]


def test_without_a_limit_nothing_is_folded():
    found = fit(COLUMNS, ROWS, None, OPTIONAL)
    assert found.head == ("rank  score at init  parameters         MACs  rectified units  architecture",)
    assert found.body[0] == f"   8        1534.50   1,073,466  153,273,482        1,048,576  {CELL}"


def test_the_last_resort_is_a_table_that_is_too_wide():
    found = fit(["a", "b"], [["1" * 30, "2" * 30]], 20)
    assert found.body == ("1" * 30 + "  " + "2" * 30,)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Mn", "Me", "Cf"])), st.integers(2, 30))
def test_a_folded_text_keeps_both_ends(text, width):
    found = fold(text, width)
    assert cell_len(found) <= width
    if cell_len(text) <= width:
        assert found == text
    else:
        assert "…" in found


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of so many columns, as the output; returns what is printed."""

    def make(width, encoding="utf-8"):
        screen = io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)
        screen.isatty = lambda: True
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "stdout", screen)
        return lambda: screen.buffer.getvalue().decode(encoding)

    return make


def test_what_is_left_out_is_said_with_the_file_that_has_it(terminal):
    printed = terminal(60)
    table.print_table("best 4 of 20", COLUMNS, ROWS, OPTIONAL, "ranking.csv")
    told = printed().splitlines()
    assert told[0] == "best 4 of 20"
    assert told[-1] == "(without rectified units, MACs: see ranking.csv)"
    assert "\x1b[1m" in told[1]  # the headings are bold


def test_a_pipe_has_whole_rows_and_no_colours(capsys):
    table.print_table("best", COLUMNS, ROWS, OPTIONAL, "ranking.csv")
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert printed.count(CELL) == 4
    assert "without" not in printed
    assert not any(line != line.rstrip() for line in printed.splitlines())


def test_sentences_are_broken_between_words(terminal):
    printed = terminal(40)
    table.print_text(
        "settled:  less than 1% of change an epoch after epoch 1, see runs/a-very-long-name/of/a/folder", " " * 10
    )
    lines = printed().splitlines()
    assert lines == [
        "settled:  less than 1% of change an",
        "          epoch after epoch 1, see",
        "          runs/a-very-long-name/of/a/folder",
    ]


def test_letters_that_the_output_lacks_are_replaced(terminal):
    printed = terminal(80, "ascii")
    table.print_table("Mean ± deviation", ["a ± b", "architecture"], [["1 ± 2", CELL]])
    assert printed().splitlines()[0] == "Mean +- deviation"
    assert "1 +- 2  |nor" in printed()
    assert "~" in printed()
