"""NAS-Bench-101 (Ying et al., 2019): the ``.tfrecord`` files, and the dumps of the same as pickle or JSON."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c

from naswot_lightning.benchmarks.records import TRAINING, Format, Key, Reading, Record, cell_hash
from naswot_lightning.errors import UserError
from naswot_lightning.storage.foreign import damaged, load_plain, reading
from spaces.nasbench101.graph import format_graph, graph_from_matrix

SPACE, DATASET = "nasbench101", "cifar10"
# The words of the dumps, and of the table.
SPLITS = {"train": "train", "validation": "valid", "test": "test"}
_CONTENT = "table of NAS-Bench-101"
_JSON_HEAD = re.compile(rb'\s*\{\s*"[0-9a-f]{32}"')
_PICKLES = (".pkl", ".pickle")
# Numbers of the fields of a message ModelMetrics, and of each evaluation in it.
_EVALUATION, _PARAMS = 1, 2
_SECONDS = 2
_ACCURACIES = {3: "train", 4: "valid", 5: "test"}
# A record is its length and the checksum of that, its content and the checksum of it.
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
# Bytes; those of NAS-Bench-101 are of a few hundred.
_LONGEST_RECORD = 1 << 24
# The kinds of fields of a protobuf message.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: struct.Struct("<d"), _FIXED32: struct.Struct("<f")}
_LONGEST_VARINT = 10
# Evaluations of a training: before it begins, halfway, and at its end.
_EVALUATIONS = 3

_Values = dict[Key, float]


class _NASBench101(Format):
    title = "NAS-Bench-101 (.tfrecord), or a dump of it (.pkl, .json)"

    def recognises(self, path: Path) -> bool:
        if not path.is_file():
            return False
        if path.suffix != ".json":
            return path.suffix in (".tfrecord", *_PICKLES)
        with open(path, "rb") as file:
            return _JSON_HEAD.match(file.read(100)) is not None

    def read(self, path: Path, space: str | None) -> Reading:
        name, space = "NAS-Bench-101", space or SPACE
        if path.suffix == ".tfrecord":
            return Reading(name, space, _records_of_rows(path))
        with reading(path, _CONTENT), open(path, "rb") as file:
            content = load_plain(file, path, _CONTENT) if path.suffix in _PICKLES else json.load(file)
        if not isinstance(content, dict):
            raise damaged(path, _CONTENT, ValueError("no dictionary of cells"))
        return Reading(name, space, _records_of_dump(path, content), len(content))


FORMAT = _NASBench101()


def _records_of_rows(path: Path) -> Iterator[Record]:
    """Yield one training per row; those of one cell and recipe are its repeats, in the order of the file."""
    repeats: defaultdict[int, Counter[str]] = defaultdict(Counter)
    number = 0
    with reading(path, _CONTENT), open(path, "rb") as file:
        while head := file.read(_LENGTH.size + _CHECKSUM.size):
            number += 1
            (length,) = _LENGTH.unpack(_checked(path, number, head, _LENGTH.size))
            if length > _LONGEST_RECORD:
                raise _damaged_record(path, number, f"{length:,} bytes long, more than {_LONGEST_RECORD:,}")
            row = _checked(path, number, file.read(length + _CHECKSUM.size), length)
            name, epochs, entries, labels, metrics = json.loads(row)
            # The adjacency matrix is a text of 0 and 1, the metrics are a protobuf message in base64.
            architecture = _cell_of_row(name, entries, labels)
            end = _end(int(epochs), repeats[epochs][name])
            repeats[epochs][name] += 1
            yield Record(architecture, _values_of_metrics(base64.b64decode(metrics, validate=True), end))


@lru_cache(maxsize=1 << 16)
def _cell_of_row(name: str, entries: str, labels: str) -> str:
    size = labels.count(",") + 1
    if len(entries) != size * size or set(entries) > set("01"):
        raise ValueError(f"cell {name[:32]} has an adjacency matrix of other entries")
    matrix = [[int(entry) for entry in entries[row * size : (row + 1) * size]] for row in range(size)]
    return _cell(name, matrix, labels.split(","))


def _cell(name: str, matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Return the architecture string, whose hash must be that of the file."""
    architecture = format_graph(graph_from_matrix(matrix, labels))
    if cell_hash(architecture).hex() != name:
        raise ValueError(f"the cell under {str(name)[:32]} has another hash")
    return architecture


def _end(epochs: int, repeat: int) -> Key:
    if epochs < 1:
        raise ValueError(f"a training of {epochs} epochs")
    return Key("accuracy", DATASET, TRAINING, epochs, repeat, epochs)


def _values_of_metrics(message: bytes, end: Key) -> _Values:
    values: _Values = {}
    evaluations = []
    for number, value in _fields_of(message):
        if number == _EVALUATION and isinstance(value, bytes):
            evaluations.append(dict(_fields_of(value)))
        elif number == _PARAMS:
            values[Key("params", DATASET)] = float(value)
    if len(evaluations) != _EVALUATIONS:
        raise ValueError(f"a training of {len(evaluations)} evaluations, expected {_EVALUATIONS}")
    for epoch, found in zip((end.epochs // 2, end.epochs), evaluations[1:], strict=True):
        # A double of 0 is not written.
        accuracies = {split: found.get(field, 0.0) for field, split in _ACCURACIES.items()}
        values |= _values_at(end, epoch, accuracies, found.get(_SECONDS, 0.0))
    return values


def _records_of_dump(path: Path, content: Mapping[str, Any]) -> Iterator[Record]:
    with reading(path, _CONTENT):
        for name, (fixed, computed) in content.items():
            architecture = _cell(name, fixed["module_adjacency"], fixed["module_operations"])
            values = {Key("params", DATASET): float(fixed["trainable_parameters"])}
            for epochs, trainings in computed.items():
                for repeat, training in enumerate(trainings):
                    end = _end(int(epochs), repeat)
                    # Each training was evaluated twice.
                    for when, epoch in {"halfway": end.epochs // 2, "final": end.epochs}.items():
                        shares = {split: training[f"{when}_{word}_accuracy"] for word, split in SPLITS.items()}
                        values |= _values_at(end, epoch, shares, training[f"{when}_training_time"])
            yield Record(architecture, values)


def _values_at(end: Key, epoch: int, accuracies: Mapping[str, Any], seconds: Any) -> _Values:
    """Return the values after ``epoch`` of the epochs; the benchmark's accuracies are shares."""
    at = end._replace(epoch=epoch)
    values = {at._replace(split=split): 100 * float(share) for split, share in accuracies.items()}
    for key, accuracy in values.items():
        if not 0 <= accuracy <= 100:
            raise ValueError(f"{key.split} accuracy {accuracy / 100:g}, expected a share")
    return {**values, at._replace(measure="seconds"): float(seconds)}


def _checked(path: Path, number: int, written: bytes, length: int) -> bytes:
    """Return the first ``length`` bytes where the checksum behind them is theirs."""
    if len(written) != length + _CHECKSUM.size:
        raise _damaged_record(path, number, "cut short")
    crc = google_crc32c.value(written[:length])
    # The format stores the CRC-32C rotated by 15 bits, plus a constant.
    if _CHECKSUM.unpack(written[length:])[0] != (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF:
        raise _damaged_record(path, number, "not what its checksum says")
    return written[:length]


def _damaged_record(path: Path, number: int, reason: str) -> UserError:
    return UserError(f"{path}: damaged, record {number:,} is {reason}; get it anew")


def _fields_of(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield number and value of each field of a protobuf message, in its order.

    A varint is an int of 64 bits without sign; what is fixed in width is read as a double or float.

    Raises:
        ValueError: the bytes are no message.

    >>> list(_fields_of(bytes([0x10, 0xAC, 0x02])))
    [(2, 300)]
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            whole, at = _varint(message, at)
            yield number, whole
            continue
        if kind in _FIXED:
            length = _FIXED[kind].size
        elif kind == _BYTES:
            length, at = _varint(message, at)
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        part = message[at : at + length]
        if len(part) != length:
            raise ValueError("a field that ends early")
        yield number, part if kind == _BYTES else _FIXED[kind].unpack(part)[0]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number at a position, and the position behind it."""
    number = 0
    for count, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return number, at + count + 1
    raise ValueError("a number without an end")
