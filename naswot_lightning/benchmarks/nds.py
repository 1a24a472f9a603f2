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

from naswot_lightning.benchmarks.table import TRAINING, Format, Key, Reading, Record
from naswot_lightning.errors import UserError, reason_of
from naswot_lightning.spaces import get_space
from naswot_lightning.spaces.errors import SpaceError
from naswot_lightning.spaces.nds.genotype import Cell, CellArchitecture, format_architecture
from naswot_lightning.storage.foreign import FAULTS, damaged, reading

_CONTENT = "file of NDS"
_SPACES = {
    "Amoeba": "nds_amoeba", "DARTS": "nds_darts", "ENAS": "nds_enas", "NASNet": "nds_nasnet", "PNAS": "nds_pnas",
    "ResNet": "nds_resnet", "ResNeXt-A": "nds_resnext_a", "ResNeXt-B": "nds_resnext_b", "Vanilla": "nds_vanilla",
}  # fmt: skip
_NAME = re.compile(rf"({'|'.join(map(re.escape, _SPACES))})(?:_[\w-]+)?\.json")
_HEAD = re.compile(rb'\s*(\[\s*\{|\[\s*\]|\{\s*"(top|mid)")')
# The lists of a file of networks that were trained again.
_RERUNS = ("top", "mid")
# At the end of the name: trained on ImageNet.
_LARGE = "_in"
_SPLIT = "test"
# The lists of a standard network, by what its architecture string calls them.
_LISTS = {"ds": "ds", "ws": "ws", "ss": "ss", "bot_muls": "bm", "num_gs": "gs"}
_OPTIONAL = ("bot_muls", "num_gs")
_BOTTLENECK = "bottleneck"
# The first stage of the files, which stands for the stem.
_STEM = {"ds": 1, "ws": 16, "ss": 1}
# Of the trainings of a file that is whole; those that ended without a value are left out.
_MOST_BAD = 0.01

_Values = dict[Key, float]

log = logging.getLogger(__name__)


class _NDS(Format):
    title = "NDS (.json)"

    def recognises(self, path: Path) -> bool:
        if not path.is_file() or path.suffix != ".json":
            return False
        with open(path, "rb") as file:
            return _HEAD.match(file.read(100)) is not None

    def read(self, path: Path, space: str | None) -> Reading:
        named = _NAME.fullmatch(path.name)
        if space is None and named is None:
            known = f"of {', '.join(_SPACES)}, with _in"
            raise UserError(f"{path}: cannot tell the search space from the file name ({known}); name it with --space")
        with reading(path, _CONTENT):
            content = json.loads(path.read_bytes())
        parts = [content.get(part, []) for part in _RERUNS] if isinstance(content, dict) else [content]
        if not all(isinstance(part, list) for part in parts):
            raise damaged(path, _CONTENT, ValueError("no list of trainings"))
        jobs = [job for part in parts for job in part]
        dataset = "imagenet" if path.stem.endswith(_LARGE) else "cifar10"
        name = space or _SPACES[named[1]] if named else str(space)
        return Reading(f"NDS {path.stem}", name, _records(path, jobs, name, dataset), len(jobs))


FORMAT = _NDS()


def _records(path: Path, jobs: Sequence[Any], space: str, dataset: str) -> Iterator[Record]:
    """Yield a record per training; those that have no values are left out and counted, up to one in a hundred."""
    bad: dict[int, Exception] = {}
    repeats: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for number, job in enumerate(jobs, start=1):
        try:
            architecture = describe_network(job["net"], dataset == "imagenet")
            get_space(space).validate(architecture)
            yield Record(architecture, _values_of(job, dataset, repeats[architecture]))
        except SpaceError as error:
            other = f"no network of {space} ({error}); name it with --space"
            raise UserError(f"{path}, training {number}: {other}") from None
        except FAULTS as error:
            bad[number] = error
    if bad:
        first, fault = next(iter(bad.items()))
        if len(bad) > _MOST_BAD * len(jobs):
            raise damaged(path, f"{_CONTENT}, training {first}", fault) from None
        counted, reason = f"{len(bad):,} of {len(jobs):,} trainings", reason_of(fault)
        log.warning("warning: %s: %s are left out; the first is training %d: %s", path, counted, first, reason)


def describe_network(net: Mapping[str, Any], imagenet: bool = False) -> str:
    """Return the architecture string of a genotype with width, depth and options, or of lists of a standard network.

    The file does not say whether it was made for ``imagenet``, that is for large images.
    """
    if "genotype" not in net:
        bottleneck = _BOTTLENECK in net.get("block_type", _BOTTLENECK)
        there = [name for name in _LISTS if name not in _OPTIONAL or (bottleneck and net.get(name))]
        # The stem is a stage of the file, but no stage of our string.
        first = int(tuple(net[name][0] for name in _STEM) == tuple(_STEM.values()))
        decimals = {name: [f"{Decimal(repr(value)).normalize():f}" for value in net[name][first:]] for name in there}
        return ";".join(f"{_LISTS[name]}={','.join(values)}" for name, values in decimals.items())
    cells = []
    for kind in ("normal", "reduce"):
        edges, concat = net["genotype"][kind], net["genotype"][f"{kind}_concat"]
        cells.append(Cell(tuple((str(op), int(source)) for op, source in edges), tuple(sorted(map(int, concat)))))
    depth, width = int(net["depth"]), int(net["width"])
    auxiliary, drop_path = bool(net.get("aux", False)), float(net.get("drop_prob", 0.0))
    return format_architecture(CellArchitecture(cells[0], cells[1], width, depth, imagenet, auxiliary, drop_path))


def _values_of(job: Mapping[str, Any], dataset: str, repeats: Counter[int]) -> _Values:
    """Return the values of one training; ``repeats`` are those of the same architecture before it, by their epochs."""
    epochs = len(job["test_ep_top1"])
    # Every training of the files has a seed of its own, which says no more than its place.
    end = Key("accuracy", dataset, _SPLIT, epochs, repeats[epochs], epochs)
    values = {end: _accuracy(job["test_ep_top1"][-1])}
    if job.get("train_ep_top1"):
        values[end._replace(split=TRAINING)] = _accuracy(job["train_ep_top1"][-1])
    if job.get("train_ep_loss"):
        values[end._replace(measure="loss", split=TRAINING)] = float(job["train_ep_loss"][-1])
    if job.get("params"):
        values[Key("params", dataset)] = float(job["params"])
    if job.get("flops"):
        values[Key("macs", dataset)] = float(job["flops"])
    # Where nothing is wrong with it.
    repeats[epochs] += 1
    return values


def _accuracy(error: float) -> float:
    # From the percentage of wrong answers; of NaN it diverged: not known, which is no fault of the file.
    if math.isnan(error):
        return math.nan
    if not 0 <= error <= 100:
        raise ValueError(f"an error of {error!r} percent")
    return 100 - float(error)
