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
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from naswot_lightning.benchmarks.table import TRAINING, Format, Key, Reading, Record, cell_hash
from naswot_lightning.errors import UserError
from naswot_lightning.spaces.nasbench101.graph import format_graph, graph_from_matrix
from naswot_lightning.storage.foreign import damaged, load_plain, reading

SPACE, DATASET = "nasbench101", "cifar10"
# The words of the dumps, and of the table.
SPLITS = {"train": "train", "validation": "valid", "test": "test"}
_CONTENT = "table of NAS-Bench-101"
_JSON_HEAD = re.compile(rb'\s*\{\s*"[0-9a-f]{32}"')
_PICKLES = (".pkl", ".pickle")
# A record is its length and the checksum of that, its content and the checksum of it.
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
# Bytes; those of NAS-Bench-101 are of a few hundred.
_LONGEST_RECORD = 1 << 24
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


@lru_cache
def _metrics_class() -> Any:
    """Return the message class of the benchmark's ``nasbench/lib/model_metrics.proto``, as far as it is read."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="model_metrics.proto", package="nasbench", syntax="proto2")
    metrics, evaluation = (file.message_type.add(name=name) for name in ("ModelMetrics", "EvaluationData"))
    metrics.field.add(
        name="evaluation_data", number=1, type=field.TYPE_MESSAGE, type_name=".nasbench.EvaluationData",
        label=field.LABEL_REPEATED,
    )  # fmt: skip
    metrics.field.add(name="trainable_parameters", number=2, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    for number, name in enumerate(("training_time", *(f"{word}_accuracy" for word in SPLITS)), start=2):
        evaluation.field.add(name=name, number=number, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
    # A pool of its own: the benchmark's package may have registered the same names.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))


def _values_of_metrics(message: bytes, end: Key) -> _Values:
    try:
        metrics = _metrics_class().FromString(message)
    except DecodeError as error:
        raise ValueError(str(error)) from None
    # Before the training begins, halfway, and at its end.
    if len(metrics.evaluation_data) != _EVALUATIONS:
        raise ValueError(f"a training of {len(metrics.evaluation_data)} evaluations, expected {_EVALUATIONS}")
    values = {Key("params", DATASET): float(metrics.trainable_parameters)}
    for epoch, found in zip((end.epochs // 2, end.epochs), metrics.evaluation_data[1:], strict=True):
        accuracies = {split: getattr(found, f"{word}_accuracy") for word, split in SPLITS.items()}
        values |= _values_at(end, epoch, accuracies, found.training_time)
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
    return UserError(f"{path}: damaged, record {number:,} is {reason}; download it again")
