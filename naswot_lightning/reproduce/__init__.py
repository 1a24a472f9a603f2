"""The paper's own tables and plots from tables of known accuracies: ``naswot reproduce NAME``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

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
    """Something of the paper that a command makes anew."""

    title: str
    settings: type[Scoring]
    function: str
    """where it is made: the help is to load quickly."""


# In the order of the help.
RESULTS = {
    "table1": Result("searches of NAS-Bench-101", CellSettings, "paper_tables:reproduce_table1"),
    "table2": Result("searches of NAS-Bench-201 and NATS-Bench size", TableSettings, "paper_tables:reproduce_table2"),
    "figure3": Result("score against accuracy by space and data set", PanelSettings, "figures:reproduce_panels"),
    "figure4": Result("Kendall's tau of several scores", BarSettings, "figures:reproduce_figure4"),
    "figure5": Result("score by images, weights and batch size", AblationSettings, "figures:reproduce_figure5"),
    "figure9": Result("Figure 3 for NATS-Bench size", PanelSettings, "figures:reproduce_panels"),
    "figure10": Result("Figure 3 for NDS with fixed width and depth", PanelSettings, "figures:reproduce_panels"),
    "algorithms": Result("best so far of search algorithms", AlgorithmSettings, "figures:reproduce_algorithms"),
}


def reproduce(name: str, settings: Scoring) -> int:
    """Make one of the results; return the exit code. A table without what it shows is a UserError."""
    module, _, function = RESULTS[name].function.partition(":")
    code: int = getattr(import_module(f"{__name__}.{module}"), function)(name, settings)
    return code
