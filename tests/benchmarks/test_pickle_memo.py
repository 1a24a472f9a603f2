"""A pickle whose memo is rewritten: the same objects, and little that is remembered."""

import io
import pickle
import pickletools
import random
from collections import OrderedDict

import numpy as np
import pytest

from naswot_lightning.benchmarks import pickle_memo
from naswot_lightning.benchmarks.pickle_memo import forgetful

PROTOCOLS = (1, 2, 4, 5)


def content():
    """Objects of all kinds, some of them again later, one that is within itself."""
    text, values = f"x-valid@{random.random()}", [1, 300, -70_000, 10**30, 2.5, None, True, b"bytes", ()]
    found = {
        "a": [text, text, values],
        "b": OrderedDict(z=values),
        "c": {1, 2},
        "d": np.arange(3.0),
        "e": np.float64(2),
    }
    found["many"] = [f"train@{number}" for number in range(500)]
    found["again"], found["self"] = found["many"][::7], found
    return found


def rewritten(raw):
    file = io.BytesIO(b"before" + raw + b"behind")
    file.seek(len(b"before"))
    return forgetful(file)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_the_same_objects_come_out(protocol, piece, monkeypatch):
    monkeypatch.setattr(pickle_memo, "_PIECE", piece)
    expected = content()
    found = pickle.load(rewritten(pickle.dumps(expected, protocol)))
    assert found.pop("self") is found
    assert all(one is other for one, other in zip(found["again"], found["many"][::7], strict=True))
    assert found["a"][2] is found["b"]["z"]
    assert found["a"][0] is found["a"][1]
    assert (found.pop("d") == expected.pop("d")).all()
    assert found == {name: each for name, each in expected.items() if name != "self"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_not_read_again_is_not_remembered_and_numbers_are_used_again(protocol):
    pairs = [[text, text] for text in (f"x-valid@{number}" for number in range(200))]
    opcodes = list(pickletools.genops(rewritten(pickle.dumps(pairs, protocol)).read()))
    numbers = [argument for opcode, argument, _ in opcodes if opcode.name.endswith("PUT")]
    assert len(numbers) == 200
    assert set(numbers) == {0}


@pytest.mark.parametrize(
    "raw",
    [
        pickle.dumps(content(), 0),  # its memo is in digits
        pickle.dumps(content(), 4)[:-1],
        pickle.dumps(content(), 2)[:1000],
        b"",
        b"h\x05.",  # what was not put there
        b"\x80\x02}q\x05.",  # a number that is not the next
        b"X\xff\xff\xff\xff.",
        b"\x82\x01.",
        b"\xff.",
    ],
)
def test_what_is_damaged_or_unusual_is_left_as_it_is(raw):
    file = io.BytesIO(raw)
    assert forgetful(file) is file
    assert file.read() == raw
