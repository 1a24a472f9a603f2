"""python -m naswot_lightning.report of several runs."""

import re

import pytest

from naswot_lightning.cli.report import PROG, main
from naswot_lightning.report.compare_runs import RunsComparison
from naswot_lightning.report.show_runs import print_runs, render_comparison
from tests.commands.ends import contents
from tests.report.html.folders import HOSTILE
from tests.report.several.runs import write_ranked


@pytest.fixture
def two(tmp_path):
    return write_ranked(tmp_path / "a"), write_ranked(tmp_path / "b", 60.0, 20, seed=1)


def run(two, *words):
    return main(["--run_dir", *map(str, two), *map(str, words)])


def test_the_comparison_is_printed_and_written_beside_not_into_the_runs(two, tmp_path, monkeypatch, capsys):
    before = [contents(folder) for folder in two]
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    assert run(two) == 0
    assert [contents(folder) for folder in two] == before
    assert sorted(contents(place)) == ["comparison.html", "trajectories_of_runs.png"]
    printed = capsys.readouterr().out
    assert printed.endswith("\nReport: comparison.html\n")
    assert "seed  0  1\n" in printed
    assert "a and b: 0." in printed
    assert "n = 20 networks" in printed
    first = contents(place)
    assert run(two) == 0  # a page of ours is written anew, the same
    assert contents(place) == first


def test_formats_and_the_folder_are_chosen(two, tmp_path):
    assert run(two, "--out", tmp_path / "out", "--format", "svg", "pdf") == 0
    files = ["comparison.html", "trajectories_of_runs.pdf", "trajectories_of_runs.svg"]
    assert sorted(contents(tmp_path / "out")) == files


def test_without_trainings_there_is_no_figure(tmp_path, capsys):
    runs = [write_ranked(tmp_path / name, trained=0) for name in "ab"]
    assert run(runs, "--out", tmp_path / "out") == 0
    assert sorted(contents(tmp_path / "out")) == ["comparison.html"]
    assert "Figure:" not in capsys.readouterr().out


def test_mistakes_are_one_line(two, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "comparison.html").write_text("my own")
    for words, message in (
        ((two[0], two[0]), f"--run_dir {two[0]}: it is given twice"),
        ((two[0], tmp_path / "none"), f"--run_dir {tmp_path / 'none'}: no run in it"),
        ((*two, "--figure", "figure6"), "--figure figure6: figures are of one run"),
        ((*two, "--out", tmp_path / "mine"), "comparison.html is not a page of ours"),
    ):
        assert main(["--run_dir", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{PROG}: error: ")
        assert message in error
        assert error.count("\n") == 1
    assert (tmp_path / "mine" / "comparison.html").read_text() == "my own"


def test_tables_are_as_wide_as_the_terminal_at_most(terminal):
    names = ("first", "a-run-with-a-long-name", "third")
    rows = (("a setting with a long name of its own", ("12345.67 ± 0.12",) * 3), ("recipe", ("x" * 80,) * 3))
    for width in (40, 60, 80, 120):
        printed = terminal(width)
        print_runs(RunsComparison(names, (), rows, (), ()))
        lines = [re.sub(r"\x1b\[\d*m", "", line) for line in printed().splitlines()]
        assert all(len(line) <= width for line in lines)
        assert "\n".join(lines).count("12345.67 ± 0.12") == 3


def test_texts_of_files_are_escaped():
    hostile = RunsComparison((HOSTILE, "b"), (), ((HOSTILE, (HOSTILE, "-")),), (), (((((0.0, 1.0)),),), ()))
    page = render_comparison(hostile)
    assert "hacked=1</script>" not in page
    assert "<img" not in page
    assert page == render_comparison(hostile)
