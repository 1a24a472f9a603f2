"""The command: help, options, and mistakes that are one line."""

import pytest

from naswot_lightning.cli.reproduce import PROG, main
from naswot_lightning.registry import resolve
from naswot_lightning.reproduce import RESULTS
from naswot_lightning.storage import files
from naswot_lightning.storage.files import lock_folder
from tests.commands.test_imports import HEAVY, loaded_by
from tests.reproduce.invented import SIZE_COLUMNS, run, write_table


@pytest.mark.parametrize("words", [["--help"], ["table2", "--help"]])
def test_help_loads_neither_torch_nor_what_draws(words):
    loaded, printed = loaded_by("-m", "naswot_lightning.reproduce", *words)
    assert ("figure10" if words[0] == "--help" else "--runs") in printed
    assert "{datasets}" not in printed
    assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_has_its_function_and_its_help(name, capsys):
    assert callable(resolve("result", name, {name: RESULTS[name].function}))
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert "--benchmark" in capsys.readouterr().out


def mistake(capsys, code):
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith(PROG)
    assert error.count("\n") == 1
    return error


def test_an_unknown_name_is_one_line_with_the_nearest(capsys):
    error = mistake(capsys, main(["tabel2"]))
    assert "unknown result 'tabel2'" in error
    assert "did you mean 'table2'?" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runs", "0"], "--runs 0: expected 1 to 10,000"),
        (["--runs", "many"], "--runs"),
        (["--runs", "20000"], "--runs 20000: expected 1 to 10,000"),
        (["--budget", "0"], "--budget 0.0: expected 1 to"),
        (["--samples", "0"], "--samples 0: expected 1 to"),
        (["--batch_size", "1"], "--batch_size 1: expected 2 to"),
        (["--scores", "nosuch"], "unknown score 'nosuch'"),
        (["--dataset", "nosuch"], "unknown dataset 'nosuch'"),
        (["--rnus", "5"], "unknown option --rnus; did you mean --runs?"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, capsys, words, message):
    table = write_table(tmp_path / "mine.csv", 3)
    options = ["--benchmark", str(table), "--out", str(tmp_path / "out"), "--dataset", "digits"]
    assert message in mistake(capsys, main(["table2", *options, *words]))
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder_is_named(tmp_path, capsys):
    table = write_table(tmp_path / "mine.csv", 3)
    before = table.read_bytes()
    assert "there is a file of that name" in mistake(capsys, run("table2", table, table))
    assert table.read_bytes() == before


def test_a_folder_in_use_or_that_cannot_be_written_is_named_with_the_option(tmp_path, capsys, monkeypatch):
    table = write_table(tmp_path / "mine.csv", 3)
    folder = tmp_path / "out" / "scores-nasbench201-digits-naswot"
    folder.mkdir(parents=True)
    with lock_folder(folder):
        error = mistake(capsys, run("figure3", table, tmp_path / "out"))
    assert "is in use by another process; wait for it, or choose another --out" in error

    def refuse(path, descriptor):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(files, "_lock", refuse)
    error = mistake(capsys, run("figure3", table, tmp_path / "out"))
    assert "Permission denied; choose a folder that can be written" in error


def test_a_table_is_needed_and_must_be_there(tmp_path, capsys):
    assert "--benchmark: give a table" in mistake(capsys, main(["figure3"]))
    assert "none.npz" in mistake(capsys, main(["figure3", "--benchmark", str(tmp_path / "none.npz")]))


@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        ("table1", "nasbench201", "it is of nasbench201; expected a table of nasbench101"),
        ("figure3", "nats_size", "it is of nats_size; expected a table of nasbench201 or nasbench101 or"),
        ("figure9", "nasbench201", "it is of nasbench201; expected a table of nats_size"),
        ("figure10", "nasbench201", "expected a table of nds_darts or nds_enas or nds_pnas"),
    ],
)
def test_a_table_of_another_space_is_named(tmp_path, capsys, name, space, message):
    columns = SIZE_COLUMNS if space == "nats_size" else {("cifar10", "ori-test"): 0.0}
    table = write_table(tmp_path / "mine.csv", 3, space, columns)
    assert message in mistake(capsys, run(name, table, tmp_path / "out"))


def test_missing_columns_are_named(tmp_path, capsys):
    table = write_table(tmp_path / "mine.csv", 3, columns={("cifar10", "test"): 0.0})
    error = mistake(capsys, run("table2", table, tmp_path / "out"))
    assert "knows none of the columns C10 val (cifar10-valid x-valid), C10 test" in error
    tables = [table, table]
    assert "expected one table" in mistake(capsys, run("table2", tables, tmp_path / "out"))
