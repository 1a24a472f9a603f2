"""The command: help, options, and mistakes that are one line."""

from naswot_lightning.cli.reproduce import main
from naswot_lightning.storage.files import lock_folder
from tests.commands.ends import refused
from tests.reproduce.tables import SIZE_COLUMNS, run, write_table


def mistake(capsys, name, table, out, *words):
    return refused(capsys, lambda _: run(name, table, out, *words))


def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, capsys):
    table, out = write_table(tmp_path / "mine.csv", 3), tmp_path / "out"
    for words, message in (
        ("--runs 0", "--runs 0: expected 1 to 10,000"),
        ("--runs many", "--runs"),
        ("--runs 20000", "--runs 20000: expected 1 to 10,000"),
        ("--budget 0", "--budget 0.0: expected 1 to"),
        ("--samples 0", "--samples 0: expected 1 to"),
        ("--batch_size 1", "--batch_size 1: expected 2 to"),
        ("--scores nosuch", "unknown score 'nosuch'"),
        ("--dataset nosuch", "unknown dataset 'nosuch'"),
        ("--rnus 5", "unknown option --rnus; did you mean --runs?"),
    ):
        assert message in mistake(capsys, "table2", table, out, *words.split())
    assert "unknown result 'tabel2'" in refused(capsys, main, "tabel2")
    assert "--benchmark is missing: give a table" in refused(capsys, main, "figure3")
    assert "none.npz" in refused(capsys, main, "figure3", "--benchmark", str(tmp_path / "none.npz"))
    assert "expected one table" in mistake(capsys, "table2", [table, table], out)
    words = ("--algorithms", "area", "bohb", "--searches", 2)
    assert "has no accuracy after 1 of 12 epochs" in mistake(capsys, "algorithms", table, out, *words)
    assert not out.exists()


def test_a_folder_that_cannot_be_used_is_named_with_the_option(tmp_path, capsys):
    table = write_table(tmp_path / "mine.csv", 3)
    before = table.read_bytes()
    assert "expected a folder, but this is a file" in mistake(capsys, "table2", table, table)
    assert table.read_bytes() == before
    folder = tmp_path / "out" / "scores-nasbench201-digits-naswot"
    folder.mkdir(parents=True)
    with lock_folder(folder):
        error = mistake(capsys, "figure3", table, tmp_path / "out")
    assert "is in use by another process; wait for it, or choose another --out" in error


def test_a_table_of_another_space_or_without_the_columns_is_named(tmp_path, capsys):
    cells = write_table(tmp_path / "cells.csv", 3, columns={("cifar10", "test"): 0.0})
    sizes = write_table(tmp_path / "sizes.csv", 3, "nats_size", SIZE_COLUMNS)
    nds = write_table(tmp_path / "PNAS.csv", 2, "nds_pnas:width=4,depth=3", {("cifar10", "test"): 0.0})
    for name, table, message in (
        ("table1", cells, "it is of nasbench201; expected a table of nasbench101"),
        ("figure3", sizes, "it is of nats_size; expected a table of nasbench201 or nasbench101 or"),
        ("figure9", cells, "it is of nasbench201; expected a table of nats_size"),
        ("figure10", cells, "expected a table of nds_darts or nds_enas or nds_pnas"),
        ("table2", cells, "knows none of the columns C10 val (cifar10-valid x-valid), C10 test"),
    ):
        assert message in mistake(capsys, name, table, tmp_path / "out")
    error = mistake(capsys, "figure10", nds, tmp_path / "out", "--space", "nds_pnas:width=4,depth=3")
    assert "expected one of fixed width and depth (fix-w-d)" in error
