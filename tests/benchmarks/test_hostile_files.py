"""Files that carry code, are damaged, or lie about their size: one line, and nothing is run."""

import bz2
import json
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.benchmarks.convert import convert
from naswot_lightning.errors import UserError
from tests.benchmarks.tables import FIRST, LONG, converted

STATE = {"arch_str": FIRST, "all_results": {("cifar10", 777): {}}}


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


def raw(content):
    return lambda path: path.write_bytes(content)


def folder(path):
    path.mkdir()
    packed({"meta_archs": [FIRST]})(path / "meta.pickle.pbz2")
    packed({"12": Evil()})(path / "000000.pickle.pbz2")


def refusal(path):
    """Return the one line with which a file is refused; nothing is written."""
    with pytest.raises(UserError) as caught:
        convert(path, path.parent / "table.npz")
    assert "\n" not in str(caught.value)
    assert not list(path.parent.glob("table.npz*"))
    return str(caught.value)


def test_code_in_any_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {
        "zip.pth": zipped(Evil()),
        "legacy.pth": legacy({"meta_archs": Evil()}),
        "cells.pkl": pickled({"a": Evil()}),
        "one.pickle.pbz2": packed(OrderedDict(a=Evil())),
        "NATS-tss-v1_0-3ffb9-simple": folder,
        "buffer.pkl": pickled(np.frombuffer),
    }
    for name, write in files.items():
        write(tmp_path / name)
        assert "is refused: it asks for" in refusal(tmp_path / name), name
    assert not (tmp_path / "evil").exists()


def test_damaged_file_is_one_line(tmp_path):
    for number, (name, write, message) in enumerate((
        ("a.pth", zipped([1, 2]), "is not a valid table of NAS-Bench-201"),
        ("a.pth", zipped({"meta_archs": [FIRST], "arch2infos": {0: {"full": STATE}}}), "has no accuracies"),
        ("a.pth", raw(b"\x80\x02"), "is not a valid table"),
        ("a.pth", pickled(3), "not a file of torch"),
        ("a.pickle.pbz2", raw(bz2.compress(b"x" * 99)[:-9]), "is not a valid table of NAS-Bench-201 or NATS-Bench"),
        ("a.pickle.pbz2", packed({"meta_archs": 3}), "no list of architectures"),
        ("a.pbz2", raw(bz2.compress(b"(" + b"N" * 20_000_000 + b"l.")), "unpacks to more than 1,048,576 bytes"),
        ("a.pkl", pickled([1]), "no dictionary of cells"),
        ("a.pkl", pickled(Forged()), "an array of 'V8'"),
        ("a.bin", raw(b""), "unknown file format, expected one of: "),
        ("nasbench_full.tfrecord", raw(b"x"), "damaged, record 1 is cut short"),
        ("NAS-Bench-201-v1_1-096897.pth", zipped(3), "expected one that ends in 096897"),
    )):  # fmt: skip
        (tmp_path / str(number)).mkdir()
        write(tmp_path / str(number) / name)
        assert message in refusal(tmp_path / str(number) / name)


def test_missing_or_official_file_says_what_to_do(tmp_path):
    for ask in (convert, open_benchmark):
        with pytest.raises(UserError, match=r"no such file or folder; docs/benchmarks.md says where"):
            ask(tmp_path / "nasbench_full.tfrecord")
    (tmp_path / "a.pkl").write_bytes(b"")
    with pytest.raises(UserError, match=r"convert it once with naswot .* convert .*a\.pkl, then give .*a\.npz"):
        open_benchmark(tmp_path / "a.pkl")


def array(values, tmp_path):
    np.save(tmp_path / "array.npy", values, allow_pickle=True)
    return (tmp_path / "array.npy").read_bytes()


def with_header(members, tmp_path, **values):
    header = json.loads(members["header.npy"][members["header.npy"].index(b"{", 80) :]) | values
    return {"header.npy": array(np.frombuffer(json.dumps(header).encode(), np.uint8), tmp_path)}


def test_damaged_table_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(converted(tmp_path, LONG)) as archive:
        whole = {name: archive.read(name) for name in archive.namelist()}
    changes = [
        {"header.npy": None},
        {"architectures.npy": array(np.frombuffer(b"one", np.uint8), tmp_path)},
        {"column0.npy": None},
        {"column0.npy": array(np.array([Evil()], dtype=object), tmp_path)},
        {"column0.npy": array(np.zeros(3), tmp_path)},
        {"column0.npy": whole["column0.npy"][:-1]},
        {"column0.npy": whole["column0.npy"].replace(b"(2,)", b"(2000000000000,)")},
        with_header(whole, tmp_path, version=1),  # of an earlier version of this project
        with_header(whole, tmp_path, space="nasbench101"),
    ]
    for change in changes:
        with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
            for name, content in (whole | change).items():
                if content is not None:
                    archive.writestr(name, content)
        with pytest.raises(UserError, match=r"is not a valid table of .*; convert the official file again"):
            dict(open_benchmark(tmp_path / "bad.npz").columns)
    for content in (b"", b"PK", b"nothing at all", pickle.dumps(Evil())):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(UserError, match=r"is not a valid table of a benchmark; convert"):
            open_benchmark(tmp_path / "bad.npz")
    assert not (tmp_path / "evil").exists()
