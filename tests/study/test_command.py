"""Mistakes are one line with the cure, and leave nothing behind; --help is quick."""

import json
import os

import pytest
import yaml

from naswot_lightning.cli.study import PROG
from naswot_lightning.storage.files import lock_folder
from naswot_lightning.storage.run_folder import RunFolder
from tests.commands.ends import contents
from tests.commands.test_imports import HEAVY, loaded_by
from tests.runs import result, write_pick
from tests.study.invented import invented, run, write_accuracies, write_run


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, accuracies = invented(12)
    write_run(tmp_path / "run", rows)
    write_accuracies(tmp_path / "table.csv", rows, accuracies)
    return tmp_path, rows, accuracies


def refused(place, capsys, *words):
    before = contents(place)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{PROG}: error: ")
    assert error.count("\n") == 1
    assert contents(place) == before
    return error


def test_help_loads_neither_torch_nor_what_draws():
    loaded, printed = loaded_by("-m", "naswot_lightning.study", "--help")
    assert "--benchmark_dataset" in printed
    assert not loaded.intersection(HEAVY)


TABLE = ("--benchmark", "table.csv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--run_dir: give the run folder of a search"),
        (("--run_dir", "none", *TABLE), "none: no search in it; expected the run folder of search.py"),
        (("--run_dir", "run"), "run: no trained picks that compare; a study needs 5: run train.py"),
        (("--run_dir", "run", "run/../run", *TABLE), "--run_dir run/../run: it is there twice"),
        (("--run_dir", "run", "--benchmark", "none.csv"), "none.csv"),
        (("--run_dir", "run", "--benchmark_dataset", "cifar10"), "it is of a table; give --benchmark, too"),
        (("--run_dir", "run", *TABLE, "--benchmark_dataset", "svhn"), "knows accuracies on cifar10, not on svhn"),
        (("--run_dir", "run", *TABLE, "--score", "zen"), "--score zen is not in run, which holds naswot, jacob_cov"),
        (("--run_dir", "run", *TABLE, "--score", "naswot+zen"), "--score naswot+zen: its part zen is not in run"),
        (("--run_dir", "run", *TABLE, "--score", "nasvot"), "did you mean 'naswot'?"),
        (("--run_dir", "run", *TABLE, "--out", "table.csv"), "--out table.csv: there is a file of that name"),
        (("--run_dir", "run", *TABLE, "--scores", "naswot"), "unknown option --scores; did you mean --score?"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(place, capsys, words, message):
    assert message in refused(place[0], capsys, *words)


def test_other_architectures_or_the_same_run_again_are_refused(place, capsys):
    folder, rows, _ = place
    write_run(folder / "fewer", rows[:-2], seed=1)
    write_run(folder / "again", rows)
    write_run(folder / "elsewhere", rows, space="nats_size", seed=1)
    message = refused(folder, capsys, "--run_dir", "run", "fewer", *TABLE)
    assert "other architectures than run (2 of its 12 are missing, 0 are further ones)" in message
    assert f"--architectures {os.path.join('run', 'ranking.csv')} --seed 1" in message
    assert "--run_dir elsewhere: other architectures" in refused(
        folder, capsys, "--run_dir", "run", "elsewhere", *TABLE
    )
    assert "the same seed and mini-batch as run" in refused(folder, capsys, "--run_dir", "run", "again", *TABLE)


def test_fewer_accuracies_than_five_are_no_study(place, capsys):
    folder, rows, accuracies = place
    write_accuracies(folder / "four.csv", rows[:4], accuracies[:4])
    message = refused(folder, capsys, "--run_dir", "run", "--benchmark", "four.csv")
    assert "it knows 4 of the 12 candidates of run (nasbench201); a study needs 5" in message
    for number in range(1, 5):
        names = {"architecture": rows[number]["architecture"], "canonical": rows[number]["canonical"]}
        write_pick(folder / "run", result(number, **names))
    assert "run: 4 trained picks that compare; a study needs 5" in refused(folder, capsys, "--run_dir", "run")


def test_shares_in_place_of_percent_are_named(place, capsys):
    folder, rows, accuracies = place
    write_accuracies(folder / "shares.csv", rows, [each / 100 for each in accuracies])
    assert "give percent, not shares" in refused(folder, capsys, "--run_dir", "run", "--benchmark", "shares.csv")


def test_candidates_that_were_trained_have_no_scores(place, capsys):
    folder, rows, _ = place
    trained = [{**row, "scores": {"val_acc": 0.5}} for row in rows]
    write_run(folder / "trained", trained, evaluator="train")
    write_run(folder / "empty", [])
    message = refused(folder, capsys, "--run_dir", "trained", *TABLE)
    assert "no candidate in it has a score; search with --evaluator scores" in message
    assert "run its search first" in refused(folder, capsys, "--run_dir", "empty", *TABLE)


def test_of_a_search_that_began_with_scores_those_are_studied(place):
    folder, rows, _ = place
    begun = [{**row, "fidelity": 0.0} for row in rows]
    trained = [{**row, "scores": {"val_acc": 0.5}, "fidelity": 0.25} for row in rows]
    write_run(folder / "halving", [*begun, *trained], evaluator="train")
    assert run("--run_dir", "halving", *TABLE) == 0
    assert "val_acc" not in (folder / "halving/study/study.csv").read_text()


def test_a_damaged_line_is_named_and_one_that_is_being_written_is_left_out(place, capsys):
    folder, rows, _ = place
    scores = folder / "run" / "scores.jsonl"
    scores.write_text(scores.read_text() + json.dumps(rows[0])[:50])
    assert run("--run_dir", "run", *TABLE, "--out", "out") == 0
    assert scores.read_text().endswith(json.dumps(rows[0])[:50])  # it is only read
    scores.write_text(scores.read_text() + "\n")
    assert "line 13: not a finished candidate" in refused(folder, capsys, "--run_dir", "run", *TABLE)
    write_run(folder / "odd", rows, repeats="many", max_params="few", seed=[], samples={}, algorithm=None)
    assert run("--run_dir", "odd", *TABLE) == 0
    (folder / "run" / "config.yaml").write_text("[")
    assert "config.yaml is damaged" in refused(folder, capsys, "--run_dir", "run", *TABLE)


def test_a_study_is_not_written_through_a_link_nor_into_a_folder_in_use(place, capsys):
    folder, _, _ = place
    (folder / "elsewhere").mkdir()
    (folder / "run" / "study").symlink_to(folder / "elsewhere")
    assert run("--run_dir", "run", *TABLE) == 2
    assert "is a link where a run keeps a folder" in capsys.readouterr().err
    assert not list((folder / "elsewhere").iterdir())
    (folder / "run" / "study").unlink()
    with lock_folder(folder / "run"):
        assert run("--run_dir", "run", *TABLE) == 2
    assert "in use by another process" in capsys.readouterr().err
    assert not (folder / "run" / "study").exists()


def test_a_run_that_begins_anew_removes_what_a_study_wrote(place):
    folder, _, _ = place
    own = RunFolder(folder / "run")
    own.run_id()
    assert run("--run_dir", "run", *TABLE) == 0
    (folder / "run" / "study" / "notes.txt").write_text("mine")
    settings = yaml.safe_load(own.config.read_text())
    with own.open({**settings, "seed": 9}, {"seed": 9}, overwrite=True):
        assert [path.name for path in (folder / "run" / "study").iterdir()] == ["notes.txt"]


def test_a_file_in_place_of_the_folder_is_left_alone(place):
    folder, _, _ = place
    own = RunFolder(folder / "run")
    own.run_id()
    (folder / "run" / "study").write_text("mine")
    with own.open({"seed": 9}, {"seed": 9}, overwrite=True):
        assert (folder / "run" / "study").read_text() == "mine"
