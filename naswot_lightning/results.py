"""The results of trained picks: read, put beside those they can be compared with, averaged over seeds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from naswot_lightning.errors import UserError

Row = dict[str, Any]

# Results that differ in one of these say nothing about each other. A space counts, since a score depends on the
# number of rectified units and an accuracy on the skeleton around the cells.
GROUP = ("space", "dataset", "test_set", "epochs", "recipe")
_REQUIRED = (
    "rank", "space", "architecture", "canonical", "dataset", "seed", "epochs", "score_init", "score_final",
    "best_val_acc", "test_acc", "params", "macs",
)  # fmt: skip
_NUMBERS = ("score_init", "score_final", "best_val_acc", "test_acc", "params", "macs", "seconds")


@dataclass(frozen=True)
class Network:
    """One network and its results, one a seed, the lowest seed first."""

    results: tuple[Row, ...]

    @property
    def canonical(self) -> str:
        """The network that was trained."""
        return str(self.results[0]["canonical"])

    @property
    def name(self) -> str:
        """The name of its picks without their seed."""
        return re.sub(r"-seed\d+$", "", str(self.results[0]["pick"]))

    @property
    def rank(self) -> int | None:
        """The best rank of its picks; None where it was given by hand."""
        return min((row["rank"] for row in self.results if row["rank"] is not None), default=None)

    @property
    def finished(self) -> tuple[Row, ...]:
        """The results of the trainings that did not fail."""
        return tuple(row for row in self.results if row["status"] == "ok")

    @property
    def usable(self) -> bool:
        """Whether there are a score at init and a test accuracy."""
        return self.mean("score_init") is not None and self.mean("test_acc") is not None

    def mean(self, name: str) -> float | None:
        """Return the mean over the finished seeds that have a value, or None where none has."""
        values = self._values(name)
        return fmean(values) if values else None

    def deviation(self, name: str) -> float | None:
        """Return the sample standard deviation (n - 1) over the finished seeds, or None for fewer than two."""
        values = self._values(name)
        return stdev(values) if len(values) > 1 else None

    def _values(self, name: str) -> list[float]:
        return [row[name] for row in self.finished if row[name] is not None]


@dataclass(frozen=True)
class Group:
    """The networks whose results can be compared.

    Args:
        settings: the values of :data:`GROUP` they share.
        networks: in the order of their canonical names, on which no result depends.
    """

    settings: Row
    networks: tuple[Network, ...]

    @property
    def usable(self) -> tuple[Network, ...]:
        """The networks that enter the statistics."""
        return tuple(network for network in self.networks if network.usable)

    @property
    def results(self) -> tuple[Row, ...]:
        """The results of all networks."""
        return tuple(row for network in self.networks for row in network.results)

    @property
    def seeds(self) -> list[int]:
        """The seeds of all networks."""
        return sorted({row["seed"] for row in self.results})

    def title(self, n: int) -> str:
        """Return what was trained on what, with the number of networks and the seeds."""
        shown = ", ".join(str(seed) for seed in self.seeds[:6]) + (", ..." if len(self.seeds) > 6 else "")
        recipe = "" if self.settings["recipe"] is None else f"recipe {self.settings['recipe']}, "
        return (
            f"{self.settings['space']} on {self.settings['dataset']}, n = {n} networks, {recipe}"
            f"{self.settings['epochs']} epochs, seed{'s' if len(self.seeds) > 1 else ''} {shown}"
        )


def read_results(folder: Path) -> list[Row]:
    """Return the results of all finished picks: best rank first, then those given by hand, then by seed.

    Each has ``pick`` (the name of its folder), ``status`` ("ok" unless the file says otherwise), and None where an
    optional value is missing.

    Raises:
        UserError: a ``result.json`` is damaged.
    """
    results = [_read(path) for path in folder.glob("picks/*/result.json")]
    return sorted(results, key=lambda row: (row["rank"] is None, row["rank"] or 0, row["canonical"], _of_run(row)))


def _of_run(row: Row) -> tuple[int, str]:
    return row["seed"], row["pick"]


def _read(path: Path) -> Row:
    try:
        row = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError):
        row = None
    if not isinstance(row, dict) or not all(name in row for name in _REQUIRED) or not _numeric(row):
        raise UserError(
            f"{path} is damaged: expected a JSON object with finite numbers or null for {', '.join(_NUMBERS)}; "
            "remove the file and run train.py again, which continues from the pick's last checkpoint"
        )
    optional = {name: None for name in (*GROUP, *_NUMBERS, "val_set", "reason")}
    return {**optional, "status": "ok", **row, "pick": path.parent.name}


def _numeric(row: Row) -> bool:
    whole = all(isinstance(row[name], int) for name in ("seed", "epochs"))
    return whole and all(_is_number(row.get(name)) for name in (*_NUMBERS, "rank"))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def comparable(results: Iterable[Row]) -> list[Group]:
    """Return the groups of results that can be compared, that with the most usable networks first.

    Args:
        results: of :func:`read_results`.
    """
    members: dict[str, list[Row]] = {}
    for row in results:
        members.setdefault(json.dumps([row[name] for name in GROUP], sort_keys=True), []).append(row)
    groups = [Group({name: rows[0][name] for name in GROUP}, _networks(rows)) for _, rows in sorted(members.items())]
    return sorted(groups, key=lambda group: (-len(group.usable), -len(group.results)))


def _networks(rows: Sequence[Row]) -> tuple[Network, ...]:
    by_name: dict[str, dict[int, Row]] = {}
    for row in sorted(rows, key=_of_run):
        # A seed trained twice (by rank, and by hand) is the same training, and must not weigh more.
        by_name.setdefault(row["canonical"], {}).setdefault(row["seed"], row)
    return tuple(Network(tuple(by_name[name].values())) for name in sorted(by_name))
