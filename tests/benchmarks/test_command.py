"""``naswot benchmarks``: convert, show, export."""

import sys

import pytest

from naswot_lightning.cli.benchmarks import main
from tests.benchmarks.tables import FIRST, LONG, SECOND


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(LONG)
    return tmp_path


def output(capsys, *words, code=0):
    assert main(words) == code
    captured = capsys.readouterr()
    assert (captured.err == "") == (code == 0)
    assert captured.err.count("\n") <= 1
    return captured.out or captured.err


def test_convert_writes_beside_the_file_or_where_it_is_told(capsys, here, monkeypatch):
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    assert "../mine.npz: 2 architectures of nasbench201, " in output(capsys, "convert", "../mine.csv")
    assert "../out.npz: 2" in output(capsys, "convert", "../mine.csv", "--output", "../out.npz")
    assert {path.name for path in here.iterdir()} == {"elsewhere", "mine.csv", "mine.npz", "out.npz"}
    assert (here / "mine.npz").read_bytes() == (here / "out.npz").read_bytes()


def test_show_a_table_and_an_architecture(capsys):
    shown = output(capsys, "show", "mine.csv")
    assert "mine: 2 architectures of nasbench201, from mine.csv" in shown
    rows = [" ".join(line.split()) for line in shown.splitlines() if line.strip().startswith("cifar10")]
    assert rows == ["cifar10 test 12 2", "cifar10 test 200 1"]
    shown = output(capsys, "show", "mine.csv", FIRST)
    assert shown.splitlines()[0] == FIRST
    assert [" ".join(line.split()) for line in shown.splitlines() if line.strip().startswith("cifar10")] == [
        "cifar10 test 12 91.00 0.375 61.00 1,000 5,000 0: 90.50, 1: 91.50",
        "cifar10 test 200 94.00 - - 1,000 5,000 0: 94.00",
    ]


def test_show_columns_that_are_no_accuracies(capsys, here):
    (here / "hw.csv").write_text(f"architecture,pixel3_ms\n{FIRST},3.5\n{SECOND},4.5\n")
    assert output(capsys, "show", "hw.csv").splitlines()[-1].split() == ["2", "3.50", "4.00", "4.50", "-", "pixel3_ms"]
    assert output(capsys, "show", "hw.csv", FIRST).splitlines() == [FIRST, "pixel3_ms: 3.5"]
    assert "the table has no accuracies" in output(capsys, "export", "hw.csv", "--parquet", "out.parquet", code=2)


def test_export_writes_a_row_per_training(capsys, here, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert "out.parquet: 4 accuracies" in output(capsys, "export", "mine.csv", "--parquet", "out.parquet")
    lines = parquet.read_table(here / "out.parquet").to_pylist()
    assert lines[0] == {
        "architecture": FIRST, "index": None, "dataset": "cifar10", "split": "test", "epochs": 12, "epoch": 12,
        "seed": 0, "accuracy": 90.5, "loss": 0.25, "seconds": 60.0, "params": 1000, "macs": 5000,
    }  # fmt: skip
    found = [(line["architecture"], line["seed"], line["accuracy"]) for line in lines]
    assert found == [(FIRST, 0, 90.5), (SECOND, 0, 10.0), (FIRST, 1, 91.5), (FIRST, 0, 94.0)]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = output(capsys, "export", "mine.csv", "--parquet", "none.parquet", code=2)
    assert "pip install 'naswot-lightning[parquet]'" in message
    assert not (here / "none.parquet").exists()


def test_mistakes_end_in_one_line(capsys):
    messages = {
        "convert": "required: file",
        "convert there.pth": "there.pth: no such file or folder",
        "convert mine.csv --output out.csv": "expected a name that ends in .npz",
        "convert mine.csv --space nasbench101": "line 2: ",
        "show there.npz": "there.npz: no such file",
        "show mine.csv other": "other: not in the table mine",
        "look": "unknown command 'look', expected convert, show or export",
    }
    for words, message in messages.items():
        assert message in output(capsys, *words.split(), code=2)
    assert "export TABLE --parquet FILE" in output(capsys, "--help")
