"""NAS-Bench-101: the official records as a dump, as JSON and as a tfrecord make one and the same table."""

import json
import pickle
import struct

import pytest

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.benchmarks.table import cell_hash
from naswot_lightning.errors import UserError
from naswot_lightning.spaces.nasbench101.graph import format_graph, live_graph, renumberings
from tests.benchmarks.nasbench101_files import WORDS, crc32c, described, frame, plain, row, tfrecord
from tests.conftest import shared_path

# The first record of the benchmark, and its key.
FIRST = "conv3x3~0+conv1x1~1+conv1x1~0,1,2+conv3x3~1+conv1x1~4+output~3,5"
HASH = "ff92c322c5d9d3d587d9c146a63d0807"


def made(epochs=(4, 108)):
    """Invented values of one cell."""
    trainings = [
        {
            f"{when}_{name}": share + repeat / 64
            for when, share in (("halfway", 0.25), ("final", 0.5))
            for name in ("training_time", *(f"{word}_accuracy" for word in WORDS))
        }
        for repeat in range(3)
    ]
    return {HASH: (described(FIRST), {each: trainings for each in epochs})}


def table_of(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return open_benchmark(convert(tmp_path / name, tmp_path / f"{name}.npz")[1])


@pytest.fixture(scope="module")
def official():
    with open(shared_path("nasbench101-30.pkl"), "rb") as file:
        return pickle.load(file)


def test_every_official_figure(official, tmp_path):
    files = {
        "pkl": pickle.dumps(official),
        "json": json.dumps(plain(official)).encode(),
        "tfrecord": tfrecord(official),
    }
    for kind, written in files.items():
        table = table_of(tmp_path, f"cells.{kind}", written)
        assert len(table.architectures) == len(official) == 30
        for architecture, (name, (fixed, computed)) in zip(table.architectures, official.items(), strict=True):
            assert cell_hash(architecture).hex() == name
            assert table.params(architecture) == fixed["trainable_parameters"]
            for repeat, training in enumerate(computed[108]):
                for word, split in WORDS.items():
                    final, half = (100 * training[f"{when}_{word}_accuracy"] for when in ("final", "halfway"))
                    assert table.accuracy(architecture, "cifar10", split, 108, repeat) == final
                    assert table.accuracy_at(architecture, "cifar10", split, 108, 54, repeat) == half
                found = [table.training_seconds(architecture, "cifar10", 108, repeat, epoch) for epoch in (54, 108)]
                assert found == [training["halfway_training_time"], training["final_training_time"]]
            mean = sum(training["final_training_time"] for training in computed[108]) / 3
            assert table.seconds(architecture, "cifar10") == pytest.approx(mean, rel=1e-12)


def test_any_string_of_an_equal_cell_is_found(tmp_path):
    table = table_of(tmp_path, "cells.tfrecord", tfrecord(made()))
    architecture = FIRST
    assert table.architectures[0] == architecture
    others = [format_graph(graph) for graph in renumberings(live_graph(architecture))]
    assert len(others) > 1
    for each in (architecture, *others, f" {architecture}"):
        assert each in table
        assert table.accuracies(each, "cifar10", "test", 4) == {0: 50.0, 1: 51.5625, 2: 53.125}
        assert [table.accuracy_at(each, "cifar10", "valid", 108, at, seed=0) for at in (54, 108)] == [25.0, 50.0]
    assert table.seconds(architecture, "cifar10", 4) == 0.515625
    for other in ("conv3x3~0+output~1", "no cell", "conv3x3~+output~1", ""):
        assert other not in table
        assert table.accuracy(other, "cifar10", "test") is None
    (tmp_path / "mine.csv").write_text('architecture,accuracy\n"conv3x3~0+conv1x1~0,1+maxpool3x3~+output~2",50\n')
    for path in (tmp_path / "mine.csv", convert(tmp_path / "mine.csv", tmp_path / "t.npz")[1]):
        assert list(open_benchmark(path).architectures) == ["conv3x3~0+conv1x1~0,1+output~2"]  # no dead vertex


RECORDS = tfrecord(made((4,)))


def replaced(place, value):
    fixed, computed = made((4,))[HASH]
    values = json.loads(row(HASH, fixed, computed[4][0], 4))
    values[place] = value
    return frame(json.dumps(values).encode())


def test_damaged_file_is_one_line(tmp_path):
    assert crc32c(b"123456789") == 0xE3069283  # of the standard
    too_large = made()
    too_large[HASH][1][108][0]["final_test_accuracy"] = 93.1
    for kind, content, message in (
        ("tfrecord", RECORDS[:-1], "cut short"),
        ("tfrecord", RECORDS[:60] + b"#" + RECORDS[61:], "record 1 is not what its checksum says"),
        ("tfrecord", struct.pack("<Q", 1 << 60) + b"\0\0\0\0", "not what its checksum says"),
        ("tfrecord", frame(b"{"), "is not a valid table of NAS-Bench-101"),
        ("tfrecord", replaced(0, "0" * 32), "another hash"),
        ("tfrecord", replaced(3, "input,output"), "adjacency matrix"),
        ("tfrecord", replaced(1, 0), "0 epochs"),
        ("tfrecord", replaced(4, "CgE="), "message|evaluations"),
        ("tfrecord", b"", "no accuracies"),
        ("json", json.dumps({HASH: 1}).encode(), "cells.json"),
        ("pkl", pickle.dumps(too_large), "expected a share"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            table_of(tmp_path, f"cells.{kind}", content)
        assert "\n" not in str(caught.value)
