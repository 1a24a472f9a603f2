"""Finished candidates kept by their fields are the list of rows that they were, however they are looked at."""

import json
import random
from dataclasses import replace

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.storage import json_lines
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows, in_columns, read_score_rows

BEST = ScoreRow(
    "space", "arch~0", "arch~0", 310.5, {"naswot": 310.5, "snip": -0.0}, 16384, 2**63 - 1, 0, 3, "probe", 0.25, "ok",
    None,
)  # fmt: skip
ROWS = [
    BEST,
    replace(BEST, architecture="é\n", canonical="", stds={"naswot": 0.5, "snip": None}),
    replace(BEST, score=None, scores={"naswot": None, "snip": 1e-300}, status="degenerate", reason="naswot: equal"),
    replace(BEST, scores={}, n_units=None, params=None, macs=None, probe="another"),
    replace(BEST, scores={"snip": 5e-324, "naswot": 1.7e308}, score=1.7e308, stds={}),
    replace(BEST, score=None, scores={"naswot": None, "snip": None}, seed=2**63 - 1, status="failed", reason="x" * 99),
    BEST,
]


@pytest.fixture(params=[0, 3, 100], ids="{} kept as objects".format)
def rows(request):
    return in_columns(ROWS, request.param)


def test_they_are_the_rows_that_were_added(rows):
    assert rows == ROWS
    assert list(rows) == ROWS
    assert len(rows) == len(ROWS)
    assert [json.dumps(row.to_json()) for row in rows] == [json.dumps(row.to_json()) for row in ROWS]
    assert rows != ROWS[:-1]
    assert rows != [*ROWS[1:], ROWS[1]]
    assert in_columns([]) == []
    assert not in_columns([])


def test_they_are_looked_at_as_a_list(rows):
    for place in range(-len(ROWS), len(ROWS)):
        assert rows[place] == ROWS[place]
    for place in (len(ROWS), -len(ROWS) - 1):
        with pytest.raises(IndexError):
            rows[place]
    assert list(reversed(rows)) == ROWS[::-1]
    assert ROWS[4] in rows
    assert rows.index(ROWS[3]) == 3
    assert rows.count(BEST) == 2


def test_slices_are_those_of_a_list_and_stay_as_they_are(rows):
    places = (None, -9, -2, 0, 1, 3, 99)
    slices = [slice(start, stop, step) for start in places for stop in places for step in (None, 1, 2, -1, -3)]
    for each in slices:
        assert rows[each] == ROWS[each], each
        assert rows[1:6][each] == ROWS[1:6][each], each
    tail = rows[-2:]
    rows.append(ROWS[1])
    assert tail == ROWS[-2:]
    assert rows == [*ROWS, ROWS[1]]


def test_others_may_be_chosen_in_any_order(rows):
    chosen = rows.choose([3, 3, 0, 5, 0])
    assert chosen == [ROWS[3], ROWS[3], ROWS[0], ROWS[5], ROWS[0]]
    chosen.extend([5, 1])
    assert chosen.distinct() == [ROWS[3], ROWS[0], ROWS[5], ROWS[1]]
    assert list(chosen.field("architecture")) == [row.architecture for row in chosen]
    assert list(chosen.field("scores")) == [row.scores for row in chosen]


def test_a_field_is_that_of_each_row(rows):
    for name in ROWS[0].to_json():
        assert list(rows.field(name)) == [getattr(row, name) for row in ROWS], name
    assert list(rows.field("stds")) == [row.stds for row in ROWS]
    assert rows.field("probe").distinct() == ["probe", "another"]
    assert rows.choose([3, 0]).field("probe").distinct() == ["another", "probe"]
    snip = rows.field("scores").values("snip").tolist()
    assert [None if value != value else value for value in snip] == [row.scores.get("snip") for row in ROWS]


def test_a_text_is_kept_once_where_two_fields_have_it(tmp_path):
    path = tmp_path / "scores.jsonl"
    path.write_text(json.dumps({**BEST.to_json(), "architecture": "a" * 99, "canonical": "a" * 99}) + "\n")
    with ScoreRows(path) as finished:
        assert finished.rows.field("canonical")[0] is finished.rows.field("architecture")[0]


@pytest.mark.parametrize("block", [1, 7, 10**6])
def test_what_was_appended_is_read_whatever_a_crash_cut_off(tmp_path, monkeypatch, block):
    monkeypatch.setattr(json_lines, "_BLOCK", block)
    path = tmp_path / "scores.jsonl"
    with ScoreRows(path) as finished:
        for row in ROWS:
            finished.append(row)
        assert finished.rows == ROWS
    content = path.read_bytes()
    assert content == b"".join(json.dumps(row.to_json()).encode() + b"\n" for row in ROWS)
    whole = content.splitlines(keepends=True)
    for cut in (0, 1, len(whole[-1]) - 1, len(whole[-1]), len(whole[-1]) + 30):
        path.write_bytes(content[: len(content) - cut])
        kept = content[: len(content) - cut].count(b"\n")
        with ScoreRows(path) as again:
            assert again.rows == ROWS[:kept]
            assert path.read_bytes() == b"".join(whole[:kept])
            again.append(ROWS[2])
            assert again.rows == [*ROWS[:kept], ROWS[2]]
        assert path.read_bytes() == b"".join([*whole[:kept], whole[2]])


def test_a_file_without_an_end_of_line_is_emptied(tmp_path):
    path = tmp_path / "scores.jsonl"
    path.write_bytes(b"x" * 3_000_000)
    with ScoreRows(path) as finished:
        assert finished.rows == []
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "invalid JSON: EOF while parsing a value at line 1 column 0"),
        ("{}, {}", "invalid JSON: trailing characters at line 1 column 3"),
        ("3", "input should be an object"),
        (json.dumps({**BEST.to_json(), "macs": -1}), "macs: input should be greater than or equal to 0, got -1"),
        (json.dumps({**BEST.to_json(), "macs": 2**63}), "macs: input should be less than or equal to 922337"),
        (json.dumps({**BEST.to_json(), "score": None}), "status is ok, and score is null"),
        (json.dumps({**BEST.to_json(), "score": float("nan")}), "score: input should be a finite number, got nan"),
        (json.dumps({**BEST.to_json(), "more": 1}), "more: unexpected keyword argument, got 1"),
        ('{"space": "space"}', "architecture: field required"),
    ],
)
def test_a_damaged_line_is_named_wherever_it_is(tmp_path, line, reason):
    path = tmp_path / "scores.jsonl"
    good = json.dumps(BEST.to_json())
    place = random.Random(line).randrange(2_000)
    path.write_text("".join(each + "\n" for each in [good] * place + [line] + [good] * 10))
    with pytest.raises(UserError) as error:
        ScoreRows(path)
    assert str(error.value).startswith(f"{path}, line {place + 1}: not a finished candidate ({reason}")
    assert str(error.value).endswith("remove the line (it is scored again), or use --overwrite to begin anew")


def test_a_line_is_written_in_one_call(tmp_path, monkeypatch):
    calls = []

    class Counted(json_lines.FileIO):
        def write(self, content):
            calls.append(bytes(content))
            return super().write(content)

    monkeypatch.setattr(json_lines, "FileIO", Counted)
    with ScoreRows(tmp_path / "scores.jsonl") as finished:
        for row in ROWS:
            finished.append(row)
    assert calls == (tmp_path / "scores.jsonl").read_bytes().splitlines(keepends=True)


def test_a_file_that_grows_is_read_so_far_and_left_as_it_is(tmp_path):
    path = tmp_path / "scores.jsonl"
    written = "".join(json.dumps(row.to_json()) + "\n" for row in ROWS) + '{"space": "sp'
    path.write_text(written)
    assert read_score_rows(path) == ROWS
    assert path.read_text() == written
    path.write_text(written + "\n")
    with pytest.raises(UserError, match=f"line {len(ROWS) + 1}"):
        read_score_rows(path)
    with pytest.raises(FileNotFoundError):
        read_score_rows(tmp_path / "none")
