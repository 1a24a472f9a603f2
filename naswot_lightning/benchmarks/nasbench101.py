"""NAS-Bench-101 (Ying et al., 2019): the ``.tfrecord`` files, and the dumps of the same as pickle or JSON."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from naswot_lightning.benchmarks.cells import cell_hash
from naswot_lightning.benchmarks.formats import Format
from naswot_lightning.benchmarks.records import TRAINING, Key, Reading, Record
from naswot_lightning.benchmarks.trials import load_checked
from naswot_lightning.benchmarks.wire import fields_of
from naswot_lightning.storage.faults import damaged, reading
from spaces.nasbench101.graph import format_graph, graph_from_matrix

SPACE = "nasbench101"
DATASET = "cifar10"
SPLITS = {"train": "train", "validation": "valid", "test": "test"}  # the words of the dumps, and of the table
_CONTENT = "table of NAS-Bench-101"
_JSON_HEAD = re.compile(rb'\s*\{\s*"[0-9a-f]{32}"')
_PICKLES = (".pkl", ".pickle")
# Numbers of the fields of a message ModelMetrics, and of each evaluation in it.
_EVALUATION, _PARAMS = 1, 2
_SECONDS = 2
_ACCURACIES = {3: "train", 4: "valid", 5: "test"}
# Evaluations of a training: before it begins, halfway, and at its end.
_EVALUATIONS = 3

_Figures = dict[Key, float]


def _recognises(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix != ".json":
        return path.suffix in (".tfrecord", *_PICKLES)
    with open(path, "rb") as file:
        return _JSON_HEAD.match(file.read(100)) is not None


def _read(path: Path, space: str | None) -> Reading:
    name, space = "NAS-Bench-101", space or SPACE
    if path.suffix == ".tfrecord":
        from naswot_lightning.benchmarks.tfrecord import read_tfrecord

        return Reading(name, space, _guarded(path, lambda: _records_of_rows(read_tfrecord(path))))
    content = _load(path)
    if not isinstance(content, dict):
        raise damaged(path, _CONTENT, ValueError("no dictionary of cells"))
    return Reading(name, space, _guarded(path, lambda: _records_of_dump(content)), len(content))


def _load(path: Path) -> Any:
    if path.suffix in _PICKLES:
        with open(path, "rb") as file:
            return load_checked(file, path, _CONTENT)
    with reading(path, _CONTENT):
        return json.loads(path.read_bytes())


def _guarded(path: Path, read: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    with reading(path, _CONTENT):
        yield from read()


def _records_of_rows(rows: Iterator[bytes]) -> Iterator[Record]:
    """Yield one training a row; those of one cell and recipe are its repeats, in the order of the file."""
    repeats: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        name, epochs, entries, labels, metrics = json.loads(row)
        architecture = _cell_of_row(name, entries, labels)
        end = _end(int(epochs), repeats[epochs][name])
        repeats[epochs][name] += 1
        yield Record(architecture, _figures_of_metrics(base64.b64decode(metrics, validate=True), end))


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


def _figures_of_metrics(message: bytes, end: Key) -> _Figures:
    figures: _Figures = {}
    evaluations = []
    for number, value in fields_of(message):
        if number == _EVALUATION and isinstance(value, bytes):
            evaluations.append(dict(fields_of(value)))
        elif number == _PARAMS:
            figures[Key("params", DATASET)] = float(value)
    if len(evaluations) != _EVALUATIONS:
        raise ValueError(f"a training of {len(evaluations)} evaluations, expected {_EVALUATIONS}")
    for epoch, found in zip((end.epochs // 2, end.epochs), evaluations[1:], strict=True):
        # A double of 0 is not written.
        accuracies = {split: found.get(field, 0.0) for field, split in _ACCURACIES.items()}
        figures |= _figures_at(end, epoch, accuracies, found.get(_SECONDS, 0.0))
    return figures


def _records_of_dump(content: Mapping[str, Any]) -> Iterator[Record]:
    for name, (fixed, computed) in content.items():
        architecture = _cell(name, fixed["module_adjacency"], fixed["module_operations"])
        figures = {Key("params", DATASET): float(fixed["trainable_parameters"])}
        for epochs, trainings in computed.items():
            for repeat, training in enumerate(trainings):
                figures |= _figures_of_training(training, _end(int(epochs), repeat))
        yield Record(architecture, figures)


def _figures_of_training(training: Mapping[str, Any], end: Key) -> _Figures:
    figures: _Figures = {}
    for when, epoch in {"halfway": end.epochs // 2, "final": end.epochs}.items():
        accuracies = {split: training[f"{when}_{word}_accuracy"] for word, split in SPLITS.items()}
        figures |= _figures_at(end, epoch, accuracies, training[f"{when}_training_time"])
    return figures


def _figures_at(end: Key, epoch: int, accuracies: Mapping[str, Any], seconds: Any) -> _Figures:
    """Return the figures after ``epoch`` of the epochs; the benchmark's accuracies are shares."""
    at = end._replace(epoch=epoch)
    figures = {at._replace(split=split): 100 * float(share) for split, share in accuracies.items()}
    for key, accuracy in figures.items():
        if not 0 <= accuracy <= 100:
            raise ValueError(f"{key.split} accuracy {accuracy / 100:g}, expected a share")
    return {**figures, at._replace(measure="seconds"): float(seconds)}


FORMAT = Format("NAS-Bench-101 (.tfrecord), or a dump of it (.pkl, .json)", _recognises, _read)
