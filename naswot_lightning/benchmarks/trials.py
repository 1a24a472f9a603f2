"""One training as ``nas_201_api`` and ``nats_bench`` store it: dictionaries by epoch, of a dozen names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from naswot_lightning.benchmarks.records import TRAINING, Key, Record
from naswot_lightning.storage.plain_pickle import load_plain

SHORT = 12  # epochs of the longest recipe of which accuracies on the way are kept
_CURVE_SPLIT = "x-valid"
_EMPTIED = "emptied"
_OF_A_TRIAL = ("train_acc1es", "eval_acc1es")
_MILLION = 1_000_000
# Where the sizes of an architecture's trials differ, an artefact of old files, the official readers take this one.
_TRUSTED_SEED = 888

Figures = dict[Key, float]


class CondensedMapping(dict[Any, Any]):
    """Stands for an ``OrderedDict`` while a file is read: a training that is put into it becomes its figures.

    The official files hold dictionaries of 200 epochs for every figure, tens of gigabytes as objects. What has been
    condensed is emptied at once, so that no more than one architecture is in memory as a whole.
    """

    def __init__(self, items: Any = ()) -> None:
        super().__init__()
        for key, value in items:
            self[key] = value

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, condensed(value, _empty))


class Trial(Figures):
    """The figures of one training."""


class _SharedError(Exception):
    """Two trainings have a dictionary in common, which the first emptied."""


def load_condensed(file: BinaryIO, path: Path, content: str) -> Any:
    """Return what a pickle holds, its trainings condensed where they may be.

    Args:
        file: at the beginning of the pickle.
        path: of the file, for messages.
        content: what it should hold, for messages.

    Raises:
        UserError: it asks for code, or is damaged.
    """
    begin = file.tell()
    try:
        return load_checked(file, path, content, CondensedMapping)
    except _SharedError:
        file.seek(begin)
        return load_plain(file, path, content)


def load_checked(file: BinaryIO, path: Path, content: str, mapping: Callable[..., Any] = dict) -> Any:
    """Return what a pickle of anybody's holds: looked at first, then read as :func:`load_plain` does."""
    # Loads numba, which a look-up in a table does without.
    from naswot_lightning.benchmarks.pickle_scan import expect_bounded

    expect_bounded(file, path, content)
    return load_plain(file, path, content, mapping)


def condensed(value: Any, release: Callable[[dict[Any, Any]], None] | None = None) -> Any:
    """Return the figures of a training, or of all trainings of an architecture; anything else as it is.

    Args:
        value: as the file has it.
        release: is given each training whose figures are taken.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not written as a training is.
    """
    if not isinstance(value, dict) or isinstance(value, Trial):
        return value
    if all(name in value for name in _OF_A_TRIAL):
        if any(isinstance(inner, dict) and _EMPTIED in inner for inner in value.values()):
            raise _SharedError
        trial = Trial({_kept(key): figure for key, figure in _figures(value).items()})
        if release is not None:
            release(value)
        return trial
    if "all_results" in value:
        results = value["all_results"]
        for key in results:
            dict.__setitem__(results, key, condensed(results[key], release))
    return value


def _empty(trial: dict[Any, Any]) -> None:
    """Let go of the content: the unpickler keeps every dictionary itself until the end of the file."""
    for inner in trial.values():
        if isinstance(inner, dict) and inner:
            inner.clear()
            inner[_EMPTIED] = None
    trial.clear()


def read_record(architecture: str, number: int, recipes: Mapping[str, Any]) -> Record:
    """Return the record of an architecture.

    Args:
        architecture: its string.
        number: its index in the benchmark's order.
        recipes: what the file has of it: a state of ``ArchResults`` for each recipe.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not written as the official files are.
    """
    trials = [trial for state in recipes.values() for trial in _trials(state, architecture)]
    figures = {key: figure for trial in trials for key, figure in trial.items() if key.epochs}
    figures.update(_sizes(trials))
    return Record(architecture, figures, number)


def _trials(state: Any, architecture: str) -> Iterator[Trial]:
    state = condensed(state)
    if state["arch_str"] != architecture:
        raise ValueError(f"a record of {str(state['arch_str'])[:100]} stands at the index of {architecture}")
    for trial in state["all_results"].values():
        if not isinstance(trial, Trial):
            raise ValueError(f"a training of {architecture} has no accuracies")
        yield trial


def _sizes(trials: list[Trial]) -> Figures:
    """Return parameters and MACs, which a trial has under its seed; later recipes are longer, and count."""
    found: dict[Key, dict[int, float]] = {}
    for trial in sorted(trials, key=lambda trial: max((key.epochs for key in trial), default=0)):
        for key, size in trial.items():
            if not key.epochs:
                found.setdefault(key._replace(seed=0), {})[key.seed] = size
    return {key: sizes.get(_TRUSTED_SEED, next(reversed(sizes.values()))) for key, sizes in found.items()}


@lru_cache(maxsize=1_000)  # NAS-Bench-201 has 217
def _kept(key: Key) -> Key:
    """Return the first of equal keys, which would be half of what is kept of each architecture."""
    return key


def _figures(trial: Mapping[str, Any]) -> Figures:
    dataset, seed, epochs = str(trial["name"]), int(trial["seed"]), int(trial["epochs"])
    end = Key("accuracy", dataset, TRAINING, epochs, seed, epochs)
    return {
        **_of_training(trial, end),
        **_of_tests(trial, end),
        **_seconds(trial, end),
        **_size(trial, dataset, seed),
    }


def _of_training(trial: Mapping[str, Any], end: Key) -> Figures:
    last = end.epochs - 1
    accuracies, losses = trial["train_acc1es"], trial["train_losses"]
    figures = {}
    if accuracies and last in accuracies:
        figures[end] = float(accuracies[last])
    if losses and last in losses:
        figures[end._replace(measure="loss")] = float(losses[last])
    return figures


def _of_tests(trial: Mapping[str, Any], end: Key) -> Figures:
    figures = {}
    for name, accuracy in trial["eval_acc1es"].items():
        split, _, epoch = name.partition("@")
        done = int(epoch) + 1
        if done == end.epochs or (end.epochs <= SHORT and split == _CURVE_SPLIT):
            figures[end._replace(split=split, epoch=done)] = float(accuracy)
        if done == end.epochs and name in trial["eval_losses"]:
            figures[end._replace(measure="loss", split=split)] = float(trial["eval_losses"][name])
    return figures


def _seconds(trial: Mapping[str, Any], end: Key) -> Figures:
    """Return the seconds of all epochs, and of the mean pass over each split."""
    figures = {}
    times = trial["train_times"]
    if times:
        figures[end._replace(measure="seconds")] = float(sum(times[epoch] for epoch in range(end.epochs)))
    passes = trial["eval_times"] or {}
    for split in trial["eval_names"]:
        spent = [passes[name] for epoch in range(end.epochs) if (name := f"{split}@{epoch}") in passes]
        if spent:
            figures[end._replace(measure="seconds", split=split)] = float(sum(spent) / len(spent))
    return figures


def _size(trial: Mapping[str, Any], dataset: str, seed: int) -> Figures:
    """Return parameters and MACs; the files have millions."""
    sizes = {"params": trial["params"], "macs": trial["flop"]}
    return {
        Key("params" if name == "params" else "macs", dataset, seed=seed): float(round(float(size) * _MILLION))
        for name, size in sizes.items()
        if size is not None
    }
