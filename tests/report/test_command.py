"""python -m naswot_lightning.report: files by their formats, mistakes, and that --help is quick."""

import re

import pytest

from naswot_lightning.cli.report import PROG, main
from tests.commands.ends import contents
from tests.commands.test_imports import HEAVY, loaded_by
from tests.report.run_folders import write_noisy


@pytest.fixture
def run(tmp_path):
    write_noisy(tmp_path / "run", 5, seeds=(0, 1))
    return tmp_path / "run"


def test_help_loads_neither_torch_nor_what_draws():
    loaded, printed = loaded_by("-m", "naswot_lightning.report", "--help")
    assert "score_vs_params" in printed
    assert not loaded.intersection(HEAVY)


def test_formats_carry_our_mark_and_are_the_same_again(run, tmp_path):
    words = ["--run_dir", str(run), "--figure", "figure6", "--format", "png", "svg", "pdf"]
    for folder in "ab":
        assert main([*words, "--out", str(tmp_path / folder)]) == 0
    first = contents(tmp_path / "a")
    assert sorted(first) == ["figure6.pdf", "figure6.png", "figure6.svg"]
    assert first == contents(tmp_path / "b")
    for name, content in first.items():
        assert b"naswot-lightning" in content[:2000] + content[-2000:], name
        assert not re.search(rb"20\d\d-\d\d-\d\d|D:20\d\d", content), name  # no date


def test_figure_that_has_nothing_to_show_is_said_and_left_out_by_default(run, capsys):
    assert main(["--run_dir", str(run), "--figure", "score_vs_params"]) == 1
    assert capsys.readouterr().out == f"score_vs_params: nothing to show in {run}\n"
    assert not (run / "figures").exists()
    assert main(["--run_dir", str(run)]) == 0
    drawn = sorted(path.stem for path in (run / "figures").iterdir())
    assert drawn == ["figure3", "figure4", "figure6", "score_vs_accuracy"]


def test_mistakes_are_one_line_and_write_nothing(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    for words, message in (
        ("", "--run_dir: give a run folder"),
        ("--run_dir none", "--run_dir none: no run in it"),
        ("--run_dir run --figure score_vs_param", "did you mean 'score_vs_params'?"),
        ("--run_dir run --format gif", "unknown format 'gif', expected one of png, svg, pdf"),
        ("--run_dir run --samples 1", "--samples 1: expected 2 to 1,000"),
        ("--run_dir run --batch_sizes 32 1", "--batch_sizes 1: expected 2 to 10,000"),
    ):
        assert main(words.split()) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{PROG}: error: ")
        assert message in error
        assert error.count("\n") == 1
    assert contents(tmp_path) == before
    (tmp_path / "mine").mkdir()
    for name in ("figures", "measured"):  # nothing is written through a link
        (run / name).symlink_to(tmp_path / "mine")
        assert main(["--run_dir", str(run)]) == 2
        assert "is a link where a run keeps a folder" in capsys.readouterr().err
        (run / name).unlink()
    assert not list((tmp_path / "mine").iterdir())
