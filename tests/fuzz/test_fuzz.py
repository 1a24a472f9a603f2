"""A sample of the fuzz (``make faults`` runs all of it): each input ends in a result, or in an error of one line."""

import random

import pytest

from tests.fuzz.inputs import MOST_CHARACTERS, _fault_of, hostile_files, run_input
from tests.fuzz.readers import READERS, inputs_of

SEED = 0
INPUTS = 400


@pytest.mark.parametrize("name", READERS)
def test_every_input_ends_in_a_result_or_in_one_line(name):
    reader = READERS[name]
    for number in range(inputs_of(reader, INPUTS)):
        ending = run_input(reader, number, SEED)
        assert ending.fault is None, f"number {number}: {ending.fault}\n{ending.details}"
        assert len((ending.message or "").splitlines()) <= 1


@pytest.mark.parametrize("name", READERS)
def test_a_valid_file_is_read(name, tmp_path):
    reader = READERS[name]
    for file, content in reader.make(random.Random(0)).items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(content)
    reader.read(tmp_path)


def test_an_input_is_a_function_of_reader_number_and_seed():
    for reader in READERS.values():
        assert hostile_files(reader, 3, SEED) == hostile_files(reader, 3, SEED)
        assert any(hostile_files(reader, 3, SEED) != hostile_files(reader, number, SEED) for number in (4, 5, 6))


def test_every_reader_has_its_share():
    counts = [inputs_of(reader, 10_000) for reader in READERS.values()]
    assert sum(counts) >= 10_000
    assert min(counts) >= 50


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("a line", None),
        ("", "no message"),
        ("two\nlines", "a message that cannot be printed as one line"),
        ("\x1b[2J", "a message that cannot be printed as one line"),
        ("\udcff", "a message that cannot be printed as one line"),
        ("x" * MOST_CHARACTERS, "a long message"),
    ],
)
def test_what_is_no_short_line_is_a_fault(message, fault):
    assert _fault_of(message) == fault
