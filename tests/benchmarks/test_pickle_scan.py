"""A pickle is looked at before it is unpickled: whatever is well-formed passes, what would take all memory does not."""

import bz2
import pickle
import random
import struct
from collections import OrderedDict

import numpy as np
import pytest

from naswot_lightning.benchmarks import pickle_scan
from naswot_lightning.benchmarks.trials import load_checked
from naswot_lightning.errors import UserError


def content():
    """Objects of all kinds, some of them again later, one that is within itself."""
    text, values = f"x-valid@{random.random()}", [1, 300, -70_000, 10**30, 2.5, None, True, b"bytes", ()]
    found = {
        "a": [text, text, values],
        "b": OrderedDict(z=values),
        "c": {1, 2},
        "d": np.arange(3.0),
        "e": np.float64(2),
        "f": np.array(["one", "two"], ">U3"),
    }
    found["many"] = [f"train@{number}" for number in range(500)]
    found["again"], found["self"] = found["many"][::7], found
    return found


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_plain_data_of_every_protocol_come_out_as_they_were(protocol, piece, tmp_path, monkeypatch):
    monkeypatch.setattr(pickle_scan, "_PIECE", piece)
    expected = content()
    path = tmp_path / "a.pkl"
    path.write_bytes(b"before" + pickle.dumps(expected, protocol) + b"behind")
    with open(path, "rb") as file:
        file.seek(len(b"before"))
        found = load_checked(file, path, "table")
    assert found.pop("self") is found
    assert found["a"][2] is found["b"]["z"]
    for name in "df":
        assert (found.pop(name) == expected.pop(name)).all()
    assert found == {name: each for name, each in expected.items() if name != "self"}


def memo(index):
    return b"\x80\x02}r" + struct.pack("<I", index) + b"."


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (memo(2**32 - 1), "at byte 3"),
        (b"}p99999999999\n.", "at byte 1"),
        (b"}p-1\n.", "at byte 1"),
        (b"}" + b"(u\x85" * 101 + b"Ns.", "at byte"),  # each in the next, what is between does nothing
        (b"})" + b"\x85" * 1_000_000 + b"Ns.", "at byte"),
        (b")" + b"q\x00h\x00\x85" * 101 + b".", "at byte"),
        (b"h\x05.", "at byte 0"),
        (b"X\xff\xff\xff\xff.", "at byte 0"),
        (b"\x82\x01.", "at byte 0"),
        (b"tu.", "at byte 0"),
        (pickle.dumps(content(), 4)[:-1], "ends early"),
        (b"", "ends early"),
    ],
)
def test_what_would_take_memory_or_stack_without_end_is_refused(raw, message, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(raw)
    with open(path, "rb") as file, pytest.raises(UserError, match=rf"a\.pkl is damaged, .*{message}.*; get it anew"):
        load_checked(file, path, "table")


def test_what_unpacks_to_more_than_100_times_its_size_is_refused(tmp_path):
    path = tmp_path / "a.pbz2"
    path.write_bytes(bz2.compress(b"(" + b"N" * 20_000_000 + b"l."))
    with bz2.open(path) as file, pytest.raises(UserError, match="unpacks to more than 1,048,576 bytes"):
        load_checked(file, path, "table")
