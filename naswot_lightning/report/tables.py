"""The tables of trained picks: a row a training, and a row a network with means over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from naswot_lightning.analysis.results import Group, Network, TrainingResult
from naswot_lightning.columns import BEST_VAL_ACC, MACS, PARAMS, SCORE_FINAL, SCORE_INIT, TEST_ACC, Column
from naswot_lightning.storage.files import write_csv

COLUMNS = (
    Column("rank", "rank", higher_is_better=False), SCORE_INIT, SCORE_FINAL, BEST_VAL_ACC, TEST_ACC,
    Column("val_set", "validation set"), Column("test_set", "test set"), PARAMS, MACS, Column("seed", "seed"),
    Column("dataset", "data set"), Column("epochs", "epochs"), Column("status", "status"),
    Column("seconds", "seconds"), Column("pick", "pick"), Column("architecture", "architecture"),
)  # fmt: skip
NAMES = tuple(column.name for column in COLUMNS)
AVERAGED = (TEST_ACC, BEST_VAL_ACC, SCORE_INIT, SCORE_FINAL)
_SEEDS_NAMES = (
    "rank", "network", "n_seeds", "left_out",
    *(f"{column.name}_{what}" for column in AVERAGED for what in ("mean", "std")),
    "params", "macs", "dataset", "test_set", "epochs", "architecture",
)  # fmt: skip


@dataclass(frozen=True)
class SeedsRow:
    """A network and the means over its seeds.

    Attributes:
        group: of its results.
        network: with its results.
    """

    group: Group
    network: Network

    def to_csv(self) -> dict[str, Any]:
        """Return the row of ``comparison_seeds.csv``."""
        network, first = self.network, self.network.results[0]
        spreads = {
            f"{column.name}_{what}": value
            for column in AVERAGED
            for what, value in (("mean", network.mean(column.name)), ("std", network.deviation(column.name)))
        }
        return {
            "rank": network.rank,
            "network": network.name,
            "n_seeds": len(network.finished),
            "left_out": len(network.results) - len(network.finished),
            **spreads,
            "params": first.params,
            "macs": first.macs,
            "architecture": first.architecture,
            **asdict(self.group.settings),
        }


def write_comparison(folder: Path, results: Sequence[TrainingResult]) -> None:
    """Write ``comparison.csv``, a row a training."""
    write_csv(folder / "comparison.csv", comparison_rows(results), NAMES)


def comparison_rows(results: Sequence[TrainingResult]) -> list[dict[str, Any]]:
    """Return the rows of ``comparison.csv``."""
    return [{name: getattr(result, name) for name in NAMES} for result in results]


def write_seeds(folder: Path, groups: Sequence[Group]) -> list[SeedsRow]:
    """Write ``comparison_seeds.csv`` where a network has several seeds, or remove it; return its rows."""
    path = folder / "comparison_seeds.csv"
    rows = [SeedsRow(group, network) for group in groups for network in group.by_rank]
    if all(len(row.network.results) == 1 for row in rows):
        path.unlink(missing_ok=True)
        return []
    write_csv(path, (row.to_csv() for row in rows), _SEEDS_NAMES)
    return rows
