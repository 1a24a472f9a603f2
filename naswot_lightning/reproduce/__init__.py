"""The paper's own tables and plots from tables of known accuracies: ``python -m naswot_lightning.reproduce NAME``."""

from __future__ import annotations

from dataclasses import dataclass

from naswot_lightning.reproduce.settings import (
    AblationSettings,
    AlgorithmSettings,
    BarSettings,
    CellSettings,
    PanelSettings,
    Scoring,
    TableSettings,
)


@dataclass(frozen=True)
class Result:
    """Something of the paper that a command makes anew.

    Attributes:
        title: what it is.
        settings: its options.
        function: where the function is that takes them, and returns an exit code.
    """

    title: str
    settings: type[Scoring]
    function: str


_HERE = "naswot_lightning.reproduce"
# The registry, in the order of the help.
RESULTS = {
    "table1": Result("NAS-Bench-101: searches beside the published ones", CellSettings, f"{_HERE}.table1:reproduce"),
    "table2": Result("NAS-Bench-201 (a), NATS-Bench size (b)", TableSettings, f"{_HERE}.table2:reproduce"),
    "figure3": Result("the score against accuracy, by space and data set", PanelSettings, f"{_HERE}.figure3:reproduce"),
    "figure4": Result("Kendall's tau of several scores", BarSettings, f"{_HERE}.figure4:reproduce"),
    "figure5": Result("mini-batches, noise, weights, batch sizes", AblationSettings, f"{_HERE}.figure5:reproduce"),
    "figure9": Result("Figure 3 of NATS-Bench size", PanelSettings, f"{_HERE}.figure9:reproduce"),
    "figure10": Result("Figure 3 of NDS, fixed width and depth", PanelSettings, f"{_HERE}.figure10:reproduce"),
    "algorithms": Result("best so far of several searches", AlgorithmSettings, f"{_HERE}.algorithms:reproduce"),
}
