"""NDS (Radosavovic et al., 2019): one JSON file a design space, a list of trained networks."""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from naswot_lightning.benchmarks.records import TRAINING, Format, Key, Reading, Record
from naswot_lightning.errors import UserError, reason_of
from naswot_lightning.storage.faults import FAULTS, damaged, reading
from spaces import get_space
from spaces.errors import SpaceError
from spaces.nds.genotype import Cell, CellArchitecture, format_architecture

_CONTENT = "file of NDS"
_SPACES = {
    "Amoeba": "nds_amoeba", "DARTS": "nds_darts", "ENAS": "nds_enas", "NASNet": "nds_nasnet", "PNAS": "nds_pnas",
    "ResNet": "nds_resnet", "ResNeXt-A": "nds_resnext_a", "ResNeXt-B": "nds_resnext_b", "Vanilla": "nds_vanilla",
}  # fmt: skip
_NAME = re.compile(rf"({'|'.join(map(re.escape, _SPACES))})(?:_[\w-]+)?\.json")
_HEAD = re.compile(rb'\s*(\[\s*\{|\[\s*\]|\{\s*"(top|mid)")')
_RERUNS = ("top", "mid")  # the lists of a file of networks that were trained again
_LARGE = "_in"  # at the end of the name: trained on ImageNet
_SPLIT = "test"
# The lists of a standard network, by what its architecture string calls them.
_LISTS = {"ds": "ds", "ws": "ws", "ss": "ss", "bot_muls": "bm", "num_gs": "gs"}
_OPTIONAL = ("bot_muls", "num_gs")
_BOTTLENECK = "bottleneck"
_STEM = {"ds": 1, "ws": 16, "ss": 1}  # the first stage of the files, which stands for the stem
_MOST_BAD = 0.01  # of the trainings of a file that is whole; those that ended without a value are left out

_Values = dict[Key, float]

log = logging.getLogger(__name__)


def _recognises(path: Path) -> bool:
    if not path.is_file() or path.suffix != ".json":
        return False
    with open(path, "rb") as file:
        return _HEAD.match(file.read(100)) is not None


def _read(path: Path, space: str | None) -> Reading:
    named = _NAME.fullmatch(path.name)
    if space is None and named is None:
        known = ", ".join(_SPACES)
        raise UserError(f"{path}: the space cannot be told by the name (of {known}, with _in); name it with --space")
    jobs = _jobs(path)
    dataset = "imagenet" if path.stem.endswith(_LARGE) else "cifar10"
    name = space or _SPACES[named[1]] if named else str(space)
    return Reading(f"NDS {path.stem}", name, _records(path, jobs, name, dataset), len(jobs))


def _jobs(path: Path) -> list[Any]:
    with reading(path, _CONTENT):
        content = json.loads(path.read_bytes())
    parts = [content.get(part, []) for part in _RERUNS] if isinstance(content, dict) else [content]
    if not all(isinstance(part, list) for part in parts):
        raise damaged(path, _CONTENT, ValueError("no list of trainings"))
    return [job for part in parts for job in part]


def _records(path: Path, jobs: Sequence[Any], space: str, dataset: str) -> Iterator[Record]:
    """Yield a record a training; those that have no values are left out, and counted.

    Raises:
        UserError: one is of another space, or more than one in a hundred have none.
    """
    bad: dict[int, Exception] = {}
    repeats: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for number, job in enumerate(jobs, start=1):
        try:
            architecture = describe_network(job["net"], dataset == "imagenet")
            get_space(space).validate(architecture)
            yield Record(architecture, _values(job, dataset, repeats[architecture]))
        except SpaceError as error:
            raise UserError(
                f"{path}, training {number}: no network of {space} ({error}); name it with --space"
            ) from None
        except FAULTS as error:
            bad[number] = error
    if bad:
        first, fault = next(iter(bad.items()))
        if len(bad) > _MOST_BAD * len(jobs):
            raise damaged(path, f"{_CONTENT}, training {first}", fault) from None
        counted, reason = f"{len(bad):,} of {len(jobs):,} trainings", reason_of(fault)
        log.warning("warning: %s: %s are left out; the first is training %d: %s", path, counted, first, reason)


def describe_network(net: Mapping[str, Any], imagenet: bool = False) -> str:
    """Return the architecture string of a network as the files describe it.

    Args:
        net: a genotype with width, depth and options, or lists of a standard network.
        imagenet: it was made for large images; the file does not say.

    Raises:
        KeyError, TypeError, ValueError: it is described in another way.
    """
    if "genotype" not in net:
        return _stages(net)
    genotype = net["genotype"]
    normal, reduce = (_cell(genotype[kind], genotype[f"{kind}_concat"]) for kind in ("normal", "reduce"))
    depth, width = int(net["depth"]), int(net["width"])
    auxiliary, drop_path = bool(net.get("aux", False)), float(net.get("drop_prob", 0.0))
    return format_architecture(CellArchitecture(normal, reduce, width, depth, imagenet, auxiliary, drop_path))


def _stages(net: Mapping[str, Any]) -> str:
    bottleneck = _BOTTLENECK in net.get("block_type", _BOTTLENECK)
    lists = {key: net[name] for name, key in _LISTS.items() if name not in _OPTIONAL or (bottleneck and net.get(name))}
    first = int(tuple(lists[key][0] for key in _STEM) == tuple(_STEM.values()))
    return ";".join(f"{key}={','.join(map(_decimal, values[first:]))}" for key, values in lists.items())


def _cell(edges: Sequence[Sequence[Any]], concat: Sequence[int]) -> Cell:
    return Cell(tuple((str(op), int(source)) for op, source in edges), tuple(sorted(map(int, concat))))


def _decimal(value: float) -> str:
    return f"{Decimal(repr(value)).normalize():f}"


def _values(job: Mapping[str, Any], dataset: str, repeats: Counter[int]) -> _Values:
    """Return the values of one training.

    Args:
        job: as the file has it.
        dataset: that it was trained on.
        repeats: trainings of the same architecture before it, by their epochs: every training of the files has a
            seed of its own, which says no more than its place.
    """
    epochs = len(job["test_ep_top1"])
    end = Key("accuracy", dataset, _SPLIT, epochs, repeats[epochs], epochs)
    values = {end: _accuracy(job["test_ep_top1"][-1])}
    if job.get("train_ep_top1"):
        values[end._replace(split=TRAINING)] = _accuracy(job["train_ep_top1"][-1])
    if job.get("train_ep_loss"):
        values[end._replace(measure="loss", split=TRAINING)] = float(job["train_ep_loss"][-1])
    values |= _sizes(job, dataset)
    repeats[epochs] += 1  # where nothing is wrong with it
    return values


def _accuracy(error: float) -> float:
    """Return percent; the files have the percentage of wrong answers."""
    if math.isnan(error):  # it diverged: not known, which is no fault of the file
        return math.nan
    if not 0 <= error <= 100:
        raise ValueError(f"an error of {error!r} percent")
    return 100 - float(error)


def _sizes(job: Mapping[str, Any], dataset: str) -> _Values:
    sizes = {"params": job.get("params"), "macs": job.get("flops")}
    return {Key("params" if name == "params" else "macs", dataset): float(size) for name, size in sizes.items() if size}


FORMAT = Format("NDS (.json)", _recognises, _read)
