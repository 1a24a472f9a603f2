"""The results of trained picks: written, read, grouped with those they compare with; what they confuse."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

import numpy as np
import pandas as pd

from naswot_lightning.console import counted
from naswot_lightning.spaces.errors import one_line
from naswot_lightning.storage.files import atomic_write, write_json
from naswot_lightning.storage.foreign import reading
from naswot_lightning.storage.records import STRICT, Count, Number, Positive, Share, from_plain, parse_json

Status = Literal["ok", "diverged"]
CHECKPOINT = "best.ckpt"
# How a network comes to be trained, and what it is in words: what says most of a ranking first.
SELECTIONS = {
    "spread": "spread over the ranking",
    "all": "all of the ranking",
    "pareto": "along the front",
    "top": "the top of the ranking",
    "named": "ranks that were named",
    "given": "given by hand",
    "control": "random candidates",
}
CONTROL = "control"
# Those that stand for the whole ranking.
WHOLE = ("spread", "all")


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """The result of one training, in the order of ``result.json``."""

    rank: Positive | None
    """in the ranking; None where the pick was given by hand."""
    space: str
    architecture: str
    """the pick, as it was given."""
    canonical: str
    """the architecture of the network that was trained for it."""
    dataset: str
    seed: Count
    epochs: Count
    """of the recipe."""
    epochs_trained: Count | None = None
    """those that were trained; None means all."""
    accumulate: Count | None = None
    """mini-batches per step."""
    recipe: str | None = None
    """in words."""
    score_init: Number | None
    """before the training; None where it was not finite."""
    score_final: Number | None
    val_set: str | None = None
    """chooses the best epoch; None where the data set has none."""
    test_set: str | None = None
    best_val_acc: Share | None
    """None without a validation set."""
    params: Count | None
    macs: Count | None
    """multiply-accumulates per image."""
    seconds: Number | None = None
    """of all epochs."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """of the libraries."""
    test_acc: Share | None
    """with the weights of the best epoch; None where the training diverged."""
    test_loss: Number | None = None
    status: Status = "ok"
    reason: str | None = None
    """of another status than "ok"."""
    control: bool | None = None
    """whether it is a random candidate, trained to compare the picks with; not in the file of any other."""
    pick: str = ""
    """the name of its folder, which is not in the file."""
    selections: tuple[str, ...] = ()
    """how it was chosen, which is not in the file; empty where nobody noted it."""

    __pydantic_config__ = STRICT

    @property
    def is_whole(self) -> bool:
        """Whether the training came to its end: only such results enter a statistic."""
        return self.status == "ok" and self.epochs_trained in (None, self.epochs)

    @property
    def checkpoint(self) -> str:
        """Where the weights of its best epoch lie in the run folder."""
        return f"picks/{self.pick}/{CHECKPOINT}"

    @property
    def why_chosen(self) -> str:
        """Which pick it is, why it is the one to choose, and how good it is."""
        test = f"test {100 * (self.test_acc or 0.0):.2f} %"
        if self.best_val_acc is None:
            return f"pick {self.pick}, first of the ranking (no validation set to choose by), {test}"
        return f"pick {self.pick}, validation accuracy {100 * self.best_val_acc:.2f} %, {test}"

    def write(self, folder: Path) -> None:
        """Write ``result.json``."""
        values = asdict(self)
        for name in ("pick", "selections", *(("control",) if self.control is None else ())):
            del values[name]
        write_json(folder / "result.json", values)

    @classmethod
    def from_json(cls, entry: object, pick: str, selections: tuple[str, ...] = ()) -> TrainingResult:
        """Return the result of the content of a ``result.json``, else ValueError; unknown entries are left out."""
        if not isinstance(entry, dict):
            raise ValueError("no JSON object")
        known = {each.name for each in fields(cls)}
        of_folder = {"pick": pick, "selections": selections}
        return from_plain(cls, {**{name: value for name, value in entry.items() if name in known}, **of_folder})


def read_results(folder: Path) -> list[TrainingResult]:
    """Return the results of all finished picks: best rank first, then those given by hand, then by seed."""
    results = [read_result(path) for path in folder.glob("picks/*/result.json")]
    return sorted(results, key=lambda each: (each.rank is None, each.rank or 0, each.canonical, each.seed, each.pick))


def read_result(path: Path) -> TrainingResult:
    """Return the result of one training; a damaged ``result.json`` is a UserError."""
    cure = "remove the file and run naswot train again, which continues from the pick's last checkpoint"
    with reading(path, "JSON object of a trained pick", cure):
        return TrainingResult.from_json(parse_json(path.read_bytes()), path.parent.name, read_selections(path.parent))


def read_selections(folder: Path) -> tuple[str, ...]:
    """Return how the pick of a folder was chosen, of the line of its ``config.yaml`` that says so."""
    try:
        text = (folder / "config.yaml").read_text(errors="replace")
    except OSError:
        return ()
    line = re.search(rf"^selections: ((?:(?:{'|'.join(SELECTIONS)})\b,?)+)$", text, re.MULTILINE)
    return tuple(line[1].split(",")) if line else ()


@dataclass(frozen=True)
class Network:
    """One network and its results, one per seed, the lowest seed first."""

    results: tuple[TrainingResult, ...]

    @property
    def canonical(self) -> str:
        """The network that was trained."""
        return self.results[0].canonical

    @property
    def name(self) -> str:
        """The name of its picks without their seed."""
        # Picks are named RANK-CELL-seedSEED.
        return re.sub(r"-seed\d+$", "", self.results[0].pick)

    @property
    def rank(self) -> int | None:
        """The best rank of its picks; None where it was given by hand."""
        return min((result.rank for result in self.results if result.rank is not None), default=None)

    @property
    def finished(self) -> tuple[TrainingResult, ...]:
        """The results of the trainings that came to their end."""
        return tuple(result for result in self.results if result.is_whole)

    @property
    def selections(self) -> set[str]:
        """How it was chosen."""
        return {selection for result in self.results for selection in result.selections}

    @property
    def usable(self) -> bool:
        """Whether there are a score at init and a test accuracy."""
        return self.mean("score_init") is not None and self.mean("test_acc") is not None

    def mean(self, name: str) -> float | None:
        """Return the mean of an attribute over the finished seeds that have a value, or None where none has."""
        values = self._values(name)
        return fmean(values) if values else None

    def deviation(self, name: str) -> float | None:
        """Return the sample standard deviation (n - 1) over the finished seeds, or None for fewer than two."""
        values = self._values(name)
        return stdev(values) if len(values) > 1 else None

    def _values(self, name: str) -> list[float]:
        values = (getattr(result, name) for result in self.finished)
        return [value for value in values if value is not None]


def best_result(groups: Sequence[Group]) -> TrainingResult | None:
    """Return the training to choose of a run: that of the largest group of :func:`comparable` that has one."""
    return next((best for group in groups if (best := group.best) is not None), None)


@dataclass(frozen=True)
class GroupSettings:
    """What results have in common that can be compared.

    Those that differ in one of these say nothing about each other. A space counts, since a score depends on the
    number of rectified units and an accuracy on the skeleton around the cells.
    """

    space: str
    dataset: str
    test_set: str | None
    epochs: int
    recipe: str | None


@dataclass(frozen=True)
class Group:
    """The networks whose results can be compared."""

    settings: GroupSettings
    networks: tuple[Network, ...]
    """in the order of their canonical names, on which no result depends."""

    @property
    def usable(self) -> tuple[Network, ...]:
        """The networks that enter the statistics."""
        return tuple(network for network in self.networks if network.usable)

    @property
    def samples(self) -> dict[str | None, tuple[Network, ...]]:
        """The networks by how they were chosen, the most usable ones first; None where nobody noted it.

        A network that was chosen twice is in both: a statistic of a ranking's top says little about its spread, and of
        both together little about either.
        """
        found: dict[str | None, tuple[Network, ...]] = {
            name: own for name in (*SELECTIONS,) if (own := tuple(n for n in self.networks if name in n.selections))
        }
        if unknown := tuple(network for network in self.networks if not network.selections):
            found = {None: unknown, **found}
        return dict(sorted(found.items(), key=lambda each: -sum(network.usable for network in each[1])))

    @property
    def by_rank(self) -> list[Network]:
        """All networks, the best rank first, those given by hand last."""
        return sorted(self.networks, key=lambda each: (each.rank is None, each.rank or 0, each.canonical))

    @property
    def results(self) -> tuple[TrainingResult, ...]:
        """The results of all networks."""
        return tuple(result for network in self.networks for result in network.results)

    @property
    def best(self) -> TrainingResult | None:
        """The finished training with the best validation accuracy, of equal ones the best rank.

        Without a validation set it is that with the best rank; None where several have no rank either.
        """
        finished = [each for network in self.networks for each in network.finished if each.test_acc is not None]
        best = min(finished, key=lambda each: (-(each.best_val_acc or 0.0), each.rank or math.inf), default=None)
        if best is not None and best.best_val_acc is None and best.rank is None and len(finished) > 1:
            return None
        return best

    @property
    def seeds(self) -> list[int]:
        """The seeds of all networks."""
        return sorted({result.seed for result in self.results})

    def title(self, n: int, selection: str | None = None) -> str:
        """Return what was trained on what, with the number of networks, how they were chosen, and the seeds."""
        shown = ", ".join(str(seed) for seed in self.seeds[:6]) + (", ..." if len(self.seeds) > 6 else "")
        chosen = "" if selection is None else f" ({SELECTIONS[selection]})"
        if selection is None and len(self.samples) > 1:
            counts = {name: sum(network.usable for network in own) for name, own in self.samples.items()}
            parts = [f"{SELECTIONS.get(str(name), 'others')}: {count}" for name, count in counts.items()]
            chosen = f" ({', '.join(parts)})"
        recipe = "" if self.settings.recipe is None else f"recipe {self.settings.recipe}, "
        return one_line(
            f"{self.settings.space} on {self.settings.dataset}, n = {counted(n, 'network')}{chosen}, {recipe}"
            f"{counted(self.settings.epochs, 'epoch')}, seed{'s' if len(self.seeds) > 1 else ''} {shown}"
        )


def comparable(results: Iterable[TrainingResult]) -> list[Group]:
    """Return the groups of results that can be compared, that with the most usable networks first."""
    members: dict[GroupSettings, list[TrainingResult]] = {}
    for each in results:
        settings = GroupSettings(each.space, each.dataset, each.test_set, each.epochs, each.recipe)
        members.setdefault(settings, []).append(each)
    groups = []
    # As texts, since None and a text have no order.
    for settings, own in sorted(members.items(), key=lambda member: json.dumps(astuple(member[0]))):
        by_name: dict[str, dict[int, TrainingResult]] = {}
        for result in sorted(own, key=lambda each: (each.seed, each.pick)):
            # A seed trained twice (by rank, and by hand) is the same training, and must not weigh more.
            first = by_name.setdefault(result.canonical, {}).setdefault(result.seed, result)
            both = dict.fromkeys((*first.selections, *result.selections))
            by_name[result.canonical][result.seed] = replace(first, selections=tuple(both))
        networks = tuple(Network(tuple(by_name[name].values())) for name in sorted(by_name))
        groups.append(Group(settings, networks))
    return sorted(groups, key=lambda group: (-len(group.usable), -len(group.results)))


_FILE = "test_confusion.csv"


@dataclass(frozen=True)
class Confusion:
    """Test images of C classes.

    >>> found = Confusion(("cat", "dog"), np.array([[3, 1], [0, 2]]))
    >>> found.by_class(5), found.most_confused(5)
    ([('cat', 4, 0.75), ('dog', 2, 1.0)], [('cat', 'dog', 1)])
    """

    classes: tuple[str, ...]
    counts: np.ndarray
    """(C, C): images of a class (row) that were taken for another (column)."""

    def most_confused(self, most: int) -> list[tuple[str, str, int]]:
        """Return the class, what it was taken for, and how often, the most frequent first."""
        wrong = self.counts - np.diag(self.counts.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = zip(*(each.tolist() for each in np.unravel_index(order, wrong.shape)), strict=True)
        return [(self.classes[i], self.classes[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]

    def by_class(self, most: int) -> list[tuple[str, int, float]]:
        """Return class, test images and share that was recognized of the classes that have some, the worst first."""
        images, right = self.counts.sum(1).tolist(), self.counts.diagonal().tolist()
        found = [(name, n, k / n) for name, n, k in zip(self.classes, images, right, strict=True) if n]
        return sorted(found, key=lambda each: each[2])[:most]

    def write(self, folder: Path) -> None:
        """Write ``test_confusion.csv``: a line per class, a column for what its images were taken for."""
        table = pd.DataFrame(self.counts, self.classes, self.classes)
        atomic_write(folder / _FILE, table.to_csv(index_label="class, as which class"))


def read_confusion(folder: Path) -> Confusion | None:
    """Return the confusion of a pick's folder; None where it has none, UserError where its file is damaged."""
    path = folder / _FILE
    if not path.exists():
        return None
    with reading(path, "table of classes", "remove it; no other result depends on it"):
        with open(path, newline="", encoding="utf-8") as file:
            (_, *classes), *rows = csv.reader(file)
        counts = np.array([row[1:] for row in rows], dtype=np.int64)
        if counts.shape != (len(classes),) * 2 or (counts < 0).any() or [row[0] for row in rows] != classes:
            raise ValueError("expected a line and a column for each class")
    return Confusion(tuple(classes), counts)
