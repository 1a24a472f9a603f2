"""NAS-Bench-201 (Dong & Yang, 2020) and NATS-Bench (Dong et al., 2021): what ``nas_201_api`` and ``nats_bench`` read.

Both store a training as dictionaries by epoch: a ``.pth`` file of torch holds all architectures, a folder of NATS-Bench
one ``.pickle.pbz2`` file per architecture.
"""

from __future__ import annotations

import bz2
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from naswot_lightning.benchmarks.table import TRAINING, Format, Key, Reading, Record
from naswot_lightning.errors import UserError
from naswot_lightning.storage.foreign import damaged, load_plain, reading

# Epochs of the longest recipe of which accuracies on the way are kept.
SHORT = 12
_CURVE_SPLIT = "x-valid"
_MILLION = 1_000_000
# Where the sizes of an architecture's trials differ, an artefact of old files, the official readers take this one.
_TRUSTED_SEED = 888
_EMPTIED = "emptied"
# A file of torch before 1.6: a number, a version and a description, each a pickle, before the content.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PARTS = 3
_LEAST_UNPACKED = 1 << 20
# Of a packed file; the official ones unpack to 2.5 to 4 times their size.
_LARGEST_RATIO = 100

_CONTENT = "table of NAS-Bench-201 or NATS-Bench"
_ENDING = ".pickle.pbz2"
_META = f"meta{_ENDING}"
_ONE = re.compile(rf"0*(\d+){re.escape(_ENDING)}")
_TITLES = {"nasbench201": "NATS-Bench topology", "nats_size": "NATS-Bench size"}

Values = dict[Key, float]
# The first of equal keys, of which NAS-Bench-201 has 217: they would be half of what is kept of each architecture.
_KEYS: dict[Key, Key] = {}


class _NASBench201(Format):
    title = "NAS-Bench-201 v1.0 or v1.1 (.pth)"

    def recognises(self, path: Path) -> bool:
        return path.is_file() and path.suffix in (".pth", ".pt")

    def read(self, path: Path, space: str | None) -> Reading:
        with reading(path, _CONTENT):
            content = _load_condensed(path, lambda: _pickle_of(path))
            names, found = content["meta_archs"], content["arch2infos"]
            total = len(found)
        return Reading("NAS-Bench-201", space or "nasbench201", _records(path, names, found), total)


@contextmanager
def _pickle_of(path: Path) -> Iterator[BinaryIO]:
    """Open the pickle in a file of torch, of either format, at its beginning."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(members) != 1:
                raise UserError(f"{path}: not a file of torch; download it again")
            with archive.open(members[0]) as member:
                yield _bounded(cast(BinaryIO, member), path)
        return
    with open(path, "rb") as file:
        if load_plain(file, path, _CONTENT) != _LEGACY_MAGIC:
            raise UserError(f"{path}: not a file of torch; download it again")
        for _ in range(_LEGACY_PARTS - 1):
            load_plain(file, path, _CONTENT)
        yield file


class _NATS(Format):
    title = "NATS-Bench, a folder or a file (.pickle.pbz2)"

    def recognises(self, path: Path) -> bool:
        if path.is_dir():
            return (path / _META).is_file() or any(_ONE.fullmatch(each.name) for each in path.iterdir())
        return path.name.endswith(".pbz2")

    def read(self, path: Path, space: str | None) -> Reading:
        if path.is_file():
            content = _load_pbz2(path)
            names = _names(path, content)
            with reading(path, _CONTENT):
                found = content["arch2infos"]
                total = len(found)
            records = _records(path, names, found)
        else:
            if not (path / _META).is_file():
                raise UserError(f"{path}: {_META}, which names the architectures, is missing; unpack the archive again")
            names = _names(path, _load_pbz2(path / _META))
            files = {int(match[1]): each for each in path.iterdir() if (match := _ONE.fullmatch(each.name))}
            if not files:
                raise UserError(f"{path}: no files such as 000000{_ENDING}; unpack the archive again")
            total = len(files)
            records = (_record(names[each], each, _load_pbz2(files[each]), files[each]) for each in sorted(files))
        space = space or ("nats_size" if ":" in names[0] else "nasbench201")
        return Reading(_TITLES.get(space, "NATS-Bench"), space, records, total)


NASBENCH201, NATS = _NASBench201(), _NATS()


def _names(path: Path, content: Any) -> list[str]:
    names = content.get("meta_archs") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise damaged(path, _CONTENT, ValueError("no list of architectures"))
    return names


def _records(path: Path, names: Any, found: Any) -> Iterator[Record]:
    with reading(path, _CONTENT):
        for number in sorted(found):
            yield _record(str(names[number]), int(number), found[number], path)


def _load_pbz2(path: Path) -> Any:
    with reading(path, _CONTENT):
        return _load_condensed(path, lambda: _bounded(cast(BinaryIO, bz2.open(path)), path))


class _Bounded(io.RawIOBase):
    """What a packed file unpacks to, up to a bound: a few bytes could unpack to more than there is memory."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._left, self._most = file, most, most

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        content = self._file.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {self._most:,} bytes")
        buffer[: len(content)] = content
        return len(content)


def _bounded(file: BinaryIO, path: Path) -> BinaryIO:
    return io.BufferedReader(_Bounded(file, max(_LEAST_UNPACKED, _LARGEST_RATIO * path.stat().st_size)), 1 << 20)


class CondensedTraining(Values):
    """The values of one training, in place of its dictionaries."""


class _SharedError(Exception):
    """Two trainings have a dictionary in common, which the first emptied."""


class _CondensingMapping(dict[Any, Any]):
    """Stands for an ``OrderedDict`` while a file is read: a training that is put into it becomes its values.

    The official files hold a dictionary of 200 epochs for each of a dozen values: 28 GB as objects. With trainings
    condensed as they come, what remains is 13 GB of texts, which the unpickler keeps until the end of the file.
    """

    def __init__(self, items: Any = ()) -> None:
        super().__init__()
        for key, value in items:
            self[key] = value

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, _condensed(value, empty=True))


def _load_condensed(path: Path, opened: Callable[[], AbstractContextManager[BinaryIO]]) -> Any:
    """Return what a pickle holds, its trainings condensed where they may be."""
    try:
        with opened() as file:
            return load_plain(file, path, _CONTENT, _CondensingMapping)
    except _SharedError:
        with opened() as file:
            return load_plain(file, path, _CONTENT)


def _condensed(value: Any, empty: bool = False) -> Any:
    """Return the values of a training, or of all trainings of an architecture; anything else as it is."""
    if not isinstance(value, dict) or isinstance(value, CondensedTraining):
        return value
    # One training: {"train_acc1es": {epoch: percent}, "eval_acc1es": {"x-valid@11": percent}, ...}.
    if "train_acc1es" in value and "eval_acc1es" in value:
        parts = [each for each in value.values() if isinstance(each, dict)]
        if any(_EMPTIED in each for each in parts):
            raise _SharedError
        trial = CondensedTraining({_KEYS.setdefault(key, key): each for key, each in _values_of(value).items()})
        if empty:
            # The unpickler keeps every dictionary itself until the end of the file.
            for each in filter(None, parts):
                each.clear()
                each[_EMPTIED] = None
            value.clear()
        return trial
    # One architecture: {"arch_str": ..., "all_results": {(data set, seed): training}}.
    if "all_results" in value:
        results = value["all_results"]
        for key in results:
            dict.__setitem__(results, key, _condensed(results[key], empty))
    return value


def _record(architecture: str, number: int, recipes: Mapping[str, Any], path: Path) -> Record:
    """Return the record of an architecture; ``recipes`` has a state of the benchmark's ``ArchResults`` for each."""
    with reading(path, _CONTENT):
        trials: list[CondensedTraining] = []
        for state in map(_condensed, recipes.values()):
            if state["arch_str"] != architecture:
                raise ValueError(f"a record of {str(state['arch_str'])[:100]} stands at the index of {architecture}")
            trials += state["all_results"].values()
        if not all(isinstance(trial, CondensedTraining) for trial in trials):
            raise ValueError(f"a training of {architecture} has no accuracies")
        values = {key: value for trial in trials for key, value in trial.items() if key.epochs}
        # Parameters and MACs, which a trial has under its seed; later recipes are longer, and count.
        found: dict[Key, dict[int, float]] = {}
        for trial in sorted(trials, key=lambda trial: max((key.epochs for key in trial), default=0)):
            for key, size in trial.items():
                if not key.epochs:
                    found.setdefault(key._replace(seed=0), {})[key.seed] = size
        sizes = {key: each.get(_TRUSTED_SEED, next(reversed(each.values()))) for key, each in found.items()}
        return Record(architecture, values | sizes, number)


def _values_of(trial: Mapping[str, Any]) -> Values:
    dataset, seed, epochs = str(trial["name"]), int(trial["seed"]), int(trial["epochs"])
    end = Key("accuracy", dataset, TRAINING, epochs, seed, epochs)
    values = _accuracies_of(trial, end)
    seconds = end._replace(measure="seconds")
    # Of all epochs; of a test the mean pass.
    if times := trial["train_times"]:
        values[seconds] = float(sum(times[epoch] for epoch in range(epochs)))
    passes = trial["eval_times"] or {}
    for split in trial["eval_names"]:
        spent = [passes[name] for epoch in range(epochs) if (name := f"{split}@{epoch}") in passes]
        if spent:
            values[seconds._replace(split=split)] = float(sum(spent) / len(spent))
    # The files have millions.
    if trial["params"] is not None:
        values[Key("params", dataset, seed=seed)] = float(round(float(trial["params"]) * _MILLION))
    if trial["flop"] is not None:
        values[Key("macs", dataset, seed=seed)] = float(round(float(trial["flop"]) * _MILLION))
    return values


def _accuracies_of(trial: Mapping[str, Any], end: Key) -> Values:
    """Return accuracies and losses at the end, and the curve of a short recipe."""
    epochs = end.epochs
    values: Values = {}
    for key, by_epoch in ((end, trial["train_acc1es"]), (end._replace(measure="loss"), trial["train_losses"])):
        if by_epoch and epochs - 1 in by_epoch:
            values[key] = float(by_epoch[epochs - 1])
    # Of a test the name is "x-valid@11": the split, and the epoch from 0.
    for name, accuracy in trial["eval_acc1es"].items():
        split, _, epoch = name.partition("@")
        done = int(epoch) + 1
        if done == epochs or (epochs <= SHORT and split == _CURVE_SPLIT):
            values[end._replace(split=split, epoch=done)] = float(accuracy)
        if done == epochs and name in trial["eval_losses"]:
            values[end._replace(measure="loss", split=split)] = float(trial["eval_losses"][name])
    return values
