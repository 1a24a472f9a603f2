"""Table 1: what searches of NAS-Bench-101 pick."""

from __future__ import annotations

from pathlib import Path

from naswot_lightning.errors import UserError
from naswot_lightning.reproduce.known_columns import KnownColumns, best_of_all_trainings
from naswot_lightning.reproduce.picked import Picking
from naswot_lightning.reproduce.published import published_table
from naswot_lightning.reproduce.report import report
from naswot_lightning.reproduce.settings import CellSettings
from naswot_lightning.reproduce.tables import open_table

_LABEL = "CIFAR-10 test"
_OURS = "mean of trainings"  # ours alone: what a network of the longest recipe can be expected to reach
_TARGET = f"{_LABEL}: the best test accuracy of each cell over all recipes and repeats, as in the published script"


def reproduce(settings: CellSettings) -> int:
    """Print, write and draw the table.

    Raises:
        UserError: the benchmark is of another space, or has no test accuracies.
    """
    table = open_table(settings, ("nasbench101",))
    if not any((known.dataset, known.split) == ("cifar10", "test") for known in table.known):
        raise UserError(
            f"--benchmark {settings.benchmark[0]}: it knows no test accuracies of cifar10, which Table 1 is of"
        )
    values = {_LABEL: best_of_all_trainings(table), _OURS: table.every_accuracy("cifar10", "test")}
    columns = KnownColumns(values, dict.fromkeys(values, "cifar10"), ())
    picking = Picking(settings, published_table("table1"), table, columns, {"cifar10": "cifar10"})
    report(picking, Path(settings.out) / "table1", (_TARGET,))
    return 0
