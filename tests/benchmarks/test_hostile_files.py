"""Files that carry code, are damaged, or lie about their size: one line, and nothing is run."""

import bz2
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.errors import UserError
from tests.benchmarks.tables import FIRST, LONG, converted
from tests.conftest import ROOT


class Evil:
    def __reduce__(self):
        return (os.system, ("touch evil",))


class ForgedDtype:
    """Says that there is an object where bytes of the file are."""

    def __reduce__(self):
        return (np.dtype, ("V8", False, True), (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0))


class Forged:
    def __reduce__(self):
        return (np.float64(0).__reduce__()[0], (ForgedDtype(), b"A" * 8))


def zipped(content):
    return lambda path: torch.save(content, path)


def legacy(content):
    return lambda path: torch.save(content, path, _use_new_zipfile_serialization=False)


def pickled(content):
    return lambda path: path.write_bytes(pickle.dumps(content))


def packed(content):
    return lambda path: path.write_bytes(bz2.compress(pickle.dumps(content)))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.pth", zipped(Evil())),
        ("a.pth", legacy({"meta_archs": Evil()})),
        ("a.pkl", pickled({"a": Evil()})),
        ("a.pickle.pbz2", packed(OrderedDict(a=Evil()))),
        ("a.pkl", pickled(eval)),
        ("a.pkl", pickled(np.frombuffer)),
    ],
)  # fmt: skip
def test_code_is_refused_in_one_line(name, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name)
    with pytest.raises(UserError, match="is refused: it asks for") as caught:
        convert(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "evil").exists()
    assert not list(tmp_path.glob("*.npz"))


def test_code_in_a_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    packed({"meta_archs": [FIRST]})(folder / "meta.pickle.pbz2")
    packed({"12": Evil()})(folder / "000000.pickle.pbz2")
    with pytest.raises(UserError, match=r"is refused: it asks for posix\.system"):
        convert(folder)
    assert not (tmp_path / "evil").exists()


STATE = {"arch_str": FIRST, "all_results": {("cifar10", 777): {}}}


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.pth", zipped([1, 2]), "damaged, or no table of NAS-Bench-201"),
        ("a.pth", zipped({"meta_archs": [FIRST]}), "'arch2infos' is missing"),
        ("a.pth", zipped({"meta_archs": [FIRST], "arch2infos": {}}), "no figures"),
        ("a.pth", zipped({"meta_archs": [], "arch2infos": {0: {"full": STATE}}}), "list index out of range"),
        ("a.pth", zipped({"meta_archs": ["x"], "arch2infos": {0: {"full": STATE}}}), "stands at the index of x"),
        ("a.pth", zipped({"meta_archs": [FIRST], "arch2infos": {0: {"full": STATE}}}), "has no accuracies"),
        ("a.pth", zipped({"meta_archs": [FIRST], "arch2infos": {0: {"full": 3}}}), "damaged"),
        ("a.pth", lambda path: path.write_bytes(b"\x80\x02"), "damaged, or no table"),
        ("a.pth", lambda path: path.write_bytes(b""), "damaged, or no table"),
        ("a.pth", pickled(3), "no file of torch"),
        ("a.pth", lambda path: zipfile.ZipFile(path, "w").close(), "no file of torch"),
        ("a.pickle.pbz2", lambda path: path.write_bytes(b"nothing"), "damaged, or no table of NATS-Bench"),
        ("a.pickle.pbz2", lambda path: path.write_bytes(bz2.compress(b"x" * 99)[:-9]), "damaged, or no table"),
        ("a.pickle.pbz2", packed({"meta_archs": 3}), "no list of architectures"),
        ("a.pkl", pickled([1]), "no dictionary of cells"),
        ("a.pkl", pickled(np.array([Evil()], dtype=object)), "an array of 'O8'"),
        ("a.pkl", pickled(Forged()), "an array of 'V8'"),
        ("a.pth", legacy({"meta_archs": Forged()}), "an array of 'V8'"),
        ("a.pickle.pbz2", packed(np.zeros(1, [("a", "i4")])), "an array of 'V4'"),
        ("a.pkl", lambda path: path.write_bytes(pickle.dumps(np.zeros(9))[:-5]), "damaged, or no table"),
        ("a.bin", lambda path: path.write_bytes(b""), "none of the files that are known: "),
        ("a.json", lambda path: path.write_text('{"a": 1}'), "none of the files that are known: "),
        ("nasbench_full.tfrecord", lambda path: path.write_bytes(b"x"), "is not the official file .SHA-256"),
        ("NAS-Bench-201-v1_1-096897.pth", zipped(3), "MD5 .* expected one that ends with 096897"),
    ],
)  # fmt: skip
def test_damage_ends_in_one_line(name, write, message, tmp_path):
    write(tmp_path / name)
    with pytest.raises(UserError, match=message) as caught:
        convert(tmp_path / name, tmp_path / "table.npz")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.npz*"))


def test_every_kind_of_damage_to_a_zip_file_is_one_line(tmp_path):
    zipped({"meta_archs": [FIRST] * 9, "arch2infos": {0: {}}})(tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as archive, zipfile.ZipFile(tmp_path / "a.pth", "w", 8) as packed_too:
        for name in archive.namelist():
            packed_too.writestr(name, archive.read(name))
    for path in (tmp_path / "whole.pth", tmp_path / "a.pth"):
        content, bad, said = path.read_bytes(), tmp_path / "bad.pth", set()
        places = [place for name in ("PK\1\2", "PK\3\4") for place in positions(content, name.encode())]
        for place, bits in ((place + k, bits) for place in places for k in range(46) for bits in (0x01, 0x48, 0xFF)):
            bad.write_bytes(content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :])
            with pytest.raises(UserError) as caught:
                convert(bad, tmp_path / "table.npz")
            assert "\n" not in str(caught.value)
            said.add(str(caught.value))
        assert len(said) > 8


def positions(content, part):
    return [place for place in range(len(content)) if content.startswith(part, place)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nasbench_full.tfrecord", "1.95 GB, look at storage.googleapis.com/nasbench"),
        ("NATS-sss-v1_0-50262-simple", "32,768 files"),
        ("NAS-Bench-201-v1_1-096897.pth", "D-X-Y/NAS-Bench-201"),
        ("DARTS_in.json", "nds_data.zip"),
        ("mine.csv", "docs/benchmarks.md"),
    ],
)
def test_what_is_missing_is_said_with_its_size_and_where_to_look(name, said, tmp_path):
    for ask in (convert, open_benchmark):
        with pytest.raises(UserError, match=f"no such file or folder.*{said}"):
            ask(tmp_path / name)


def test_an_official_file_is_opened_after_it_is_converted(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"")
    with pytest.raises(UserError, match=r"convert it once, with python -m .* convert .*a\.pkl, and give .*a\.npz"):
        open_benchmark(tmp_path / "a.pkl")


def changed(tmp_path, change):
    """Return a table whose members are those of a good one, after a change."""
    with zipfile.ZipFile(converted(tmp_path, LONG)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return tmp_path / "bad.npz"


def array(values, tmp_path):
    np.save(tmp_path / "array.npy", values, allow_pickle=True)
    return (tmp_path / "array.npy").read_bytes()


def header_with(members, tmp_path, **values):
    start = members["header.npy"].index(b"{", 80)
    header = json.loads(members["header.npy"][start:])
    header.update(values)
    members["header.npy"] = array(np.frombuffer(json.dumps(header).encode(), np.uint8), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m, t: m.clear(),
        lambda m, t: m.pop("header.npy"),
        lambda m, t: m.pop("architectures.npy"),
        lambda m, t: m.pop("column0.npy"),
        lambda m, t: m.update({"column0.npy": b"\x93NUMPY"}),
        lambda m, t: m.update({"column0.npy": array(np.array([Evil()], dtype=object), t)}),
        lambda m, t: m.update({"column0.npy": array(np.zeros(3), t)}),
        lambda m, t: m.update({"column0.npy": array(np.zeros(2, "M8[s]"), t)}),
        lambda m, t: m.update({"column0.npy": m["column0.npy"][:-1]}),
        lambda m, t: m.update({"column0.npy": m["column0.npy"].replace(b"(2,)", b"(2000000000000,)")}),
        lambda m, t: m.update({"architectures.npy": array(np.frombuffer(b"\xff", np.uint8), t)}),
        lambda m, t: m.update({"architectures.npy": array(np.frombuffer(b"one", np.uint8), t)}),
        lambda m, t: header_with(m, t, rows=3),
        lambda m, t: header_with(m, t, rows=10**9),
        lambda m, t: header_with(m, t, version=2),
        lambda m, t: header_with(m, t, kind="other"),
        lambda m, t: header_with(m, t, columns=3),
        lambda m, t: header_with(m, t, space="nasbench101"),
    ],
)  # fmt: skip
def test_damaged_tables_end_in_one_line(change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = changed(tmp_path, lambda members: change(members, tmp_path))

    def ask():
        table = open_benchmark(path)
        for key in table.columns.keys:
            table.columns.load(key)

    with pytest.raises(UserError, match=r"is damaged, or no table of a benchmark .*; convert the official file again"):
        ask()
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"nothing at all"])
def test_no_table(content, tmp_path):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match="is damaged, or no table"):
        open_benchmark(tmp_path / "a.npz")


def test_a_missing_table(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        open_benchmark(tmp_path / "a.npz")


def test_a_disk_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "mine.csv").write_text(LONG)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"directory|exists"):
        convert(tmp_path / "mine.csv", tmp_path / "file" / "table.npz")


def test_looking_up_loads_no_torch(tmp_path):
    program = (
        "import sys; from naswot_lightning.benchmarks import open_benchmark; table = open_benchmark(sys.argv[1]);"
        "print(table.accuracy(table.architectures[0], 'cifar10', 'test', 12));"
        "print([name for name in ('torch', 'numba', 'pyarrow', 'pandas') if name in sys.modules])"
    )
    for path in (converted(tmp_path, LONG), tmp_path / "mine.csv"):
        done = subprocess.run(
            [sys.executable, "-c", program, path], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == "91.0\n[]\n"
