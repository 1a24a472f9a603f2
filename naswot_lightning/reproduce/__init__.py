"""The paper's own tables and plots from tables of known accuracies: ``naswot reproduce NAME``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
    """its options."""


# In the order of the help, which is to load quickly: the functions stand below.
RESULTS = {
    "table1": Result("NAS-Bench-101: searches beside the published ones", CellSettings),
    "table2": Result("NAS-Bench-201 (a), NATS-Bench size (b)", TableSettings),
    "figure3": Result("the score against accuracy, by space and data set", PanelSettings),
    "figure4": Result("Kendall's tau of several scores", BarSettings),
    "figure5": Result("mini-batches, noise, weights, batch sizes", AblationSettings),
    "figure9": Result("Figure 3 of NATS-Bench size", PanelSettings),
    "figure10": Result("Figure 3 of NDS, fixed width and depth", PanelSettings),
    "algorithms": Result("best so far of several searches", AlgorithmSettings),
}


def reproduce(name: str, settings: Scoring) -> int:
    """Make one of the results; return the exit code.

    Raises:
        UserError: a table that is damaged, of another space or without what the result shows; a data set that cannot
            be read; or scores in the folder that were made with other settings.
    """
    from functools import partial

    from naswot_lightning.reproduce import algorithms, figures, paper_tables

    functions: Mapping[str, Callable[[Any], int]] = {
        "table1": paper_tables.reproduce_table1,
        "table2": paper_tables.reproduce_table2,
        "figure3": partial(figures.reproduce_panels, "figure3"),
        "figure4": figures.reproduce_figure4,
        "figure5": figures.reproduce_figure5,
        "figure9": partial(figures.reproduce_panels, "figure9"),
        "figure10": partial(figures.reproduce_panels, "figure10"),
        "algorithms": algorithms.reproduce_algorithms,
    }
    return functions[name](settings)
