"""The file of finished candidates: what was appended is read, whatever a crash cut off."""

import errno
import json
import resource
from dataclasses import replace

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.storage import files
from naswot_lightning.storage.files import JsonLines
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows, read_score_rows

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


def test_rows_are_written_in_one_call_each_and_after_a_crash_are_those_of_whole_lines(tmp_path, monkeypatch):
    calls = []

    class Counted(files.FileIO):
        def write(self, content):
            calls.append(bytes(content))
            return super().write(content)

    monkeypatch.setattr(files, "FileIO", Counted)
    path = tmp_path / "scores.jsonl"
    with ScoreRows(path) as finished:
        for row in ROWS:
            finished.append(row)
        assert finished.rows == ROWS
    content = path.read_bytes()
    assert content == b"".join(json.dumps(row.to_json()).encode() + b"\n" for row in ROWS)
    whole = content.splitlines(keepends=True)
    assert calls == whole
    for cut in (0, 1, len(whole[-1]) - 1, len(whole[-1]), len(whole[-1]) + 30):
        path.write_bytes(content[: len(content) - cut])
        kept = content[: len(content) - cut].count(b"\n")
        with ScoreRows(path) as again:
            assert again.rows == ROWS[:kept]
            assert path.read_bytes() == b"".join(whole[:kept])
            again.append(ROWS[2])
            assert again.rows == [*ROWS[:kept], ROWS[2]]
        assert path.read_bytes() == b"".join([*whole[:kept], whole[2]])
    path.write_bytes(b"x" * 3_000_000)
    with ScoreRows(path) as finished:
        assert finished.rows == []
    assert path.read_bytes() == b""


DAMAGED = [
    ("", "invalid JSON: EOF while parsing a value at line 1 column 0"),
    ("{}, {}", "invalid JSON: trailing characters at line 1 column 3"),
    ("3", "input should be an object"),
    (json.dumps({**BEST.to_json(), "macs": -1}), "macs: input should be greater than or equal to 0, got -1"),
    (json.dumps({**BEST.to_json(), "macs": 2**63}), "macs: input should be less than or equal to 922337"),
    (json.dumps({**BEST.to_json(), "score": None}), "status is ok, and score is null"),
    (json.dumps({**BEST.to_json(), "score": float("nan")}), "score: input should be a finite number, got nan"),
    (json.dumps({**BEST.to_json(), "more": 1}), "more: unexpected keyword argument, got 1"),
    ('{"space": "space"}', "architecture: field required"),
]


def test_damaged_line_is_named_by_its_number(tmp_path):
    path = tmp_path / "scores.jsonl"
    good = json.dumps(BEST.to_json())
    for number, (line, reason) in enumerate(DAMAGED, start=1):
        path.write_text("".join(each + "\n" for each in [good] * (number - 1) + [line] + [good] * 3))
        with pytest.raises(UserError) as error:
            ScoreRows(path)
        assert str(error.value).startswith(f"{path}, line {number}: not a finished candidate ({reason}")
        assert str(error.value).endswith("remove the line (it is scored again), or use --overwrite to start over")


def test_reading_a_growing_file_leaves_out_its_last_part(tmp_path):
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


def test_full_disk_loses_nothing_that_was_finished(tmp_path):
    path = tmp_path / "scores.jsonl"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with JsonLines(path) as rows:
        rows.append({"n": 1})
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20, limit[1]))
            with pytest.raises(OSError, match=r"scores\.jsonl") as caught:
                rows.append({"text": "x" * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert caught.value.errno == errno.EFBIG
        assert path.read_text() == '{"n": 1}\n'
        rows.append({"n": 2})
    with JsonLines(path) as again:
        assert list(again) == [b'{"n": 1}', b'{"n": 2}']


def test_text_that_is_no_unicode_is_refused_before_it_is_written(tmp_path):
    with JsonLines(tmp_path / "scores.jsonl") as rows:
        rows.append({"text": "\N{OWL}"})
        with pytest.raises(UserError, match=r"scores\.jsonl: .*n3\\udc80 is not valid Unicode"):
            rows.append({"text": "n3\udc80"})
    assert (tmp_path / "scores.jsonl").read_text() == '{"text": "\\ud83e\\udd89"}\n'
