"""Names, labels and units of numbers, shared by tables, files, figures and wandb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """One column of numbers."""

    name: str
    """in files."""
    label: str
    """in words."""
    unit: str | None = None
    """None for counts, shares and numbers without one."""
    higher_is_better: bool = True
    short: str | None = None
    """the label in the header of a table, if the words are too long for it."""

    @property
    def heading(self) -> str:
        """The label in the header of a table."""
        return self.short or self.label

    @property
    def axis(self) -> str:
        """The label of a figure's axis, with the unit."""
        return self.label if self.unit is None else f"{self.label} ({self.unit})"


PARAMS = Column("params", "parameters")
MACS = Column("macs", "MACs")
N_UNITS = Column("n_units", "units")
SIZES = {column.name: column for column in (PARAMS, MACS, N_UNITS)}

LATENCY_MS = Column("latency_ms", "latency", "ms", higher_is_better=False)
PREDICTED_LATENCY_MS = Column("predicted_latency_ms", "predicted latency", "ms", higher_is_better=False)
MODEL_MB = Column("model_mb", "model size", "MB", higher_is_better=False)
PEAK_MEMORY_MB = Column("peak_memory_mb", "peak memory", "MB", higher_is_better=False)
LATENCY_IQR_MS = Column("latency_iqr_ms", "latency IQR", "ms", higher_is_better=False)
# The last word of a name: of a time, an energy, a power or a size.
_COST_UNITS = ("s", "ms", "us", "j", "mj", "w", "mw", "kb", "mb", "gb")
# Of several objectives: 1 for what no other candidate beats in one without being worse in another.
PARETO_RANK = "pareto_rank"
COSTS = {column.name: column for column in (LATENCY_MS, LATENCY_IQR_MS, PREDICTED_LATENCY_MS, MODEL_MB, PEAK_MEMORY_MB)}

SCORE_INIT = Column("score_init", "score at init", "natural log")
SCORE_FINAL = Column("score_final", "score after training", "natural log", short="score after")
BEST_VAL_ACC = Column("best_val_acc", "best validation accuracy", "%", short="best val acc")
VAL_ACC = Column("val_acc", "validation accuracy (a share)", short="val acc")
BENCHMARK_ACC = Column("benchmark_acc", "accuracy of the benchmark (a share)", short="benchmark acc")
TEST_ACC = Column("test_acc", "test accuracy", "%", short="test acc")


Combination = Literal["mean_log_rank", "mean_rank"]
COMBINED = {"mean_log_rank": "mean of log(rank / n)", "mean_rank": "mean of ranks"}


@dataclass(frozen=True)
class Criterion:
    """What networks are ranked by: one score, or the ranks by several.

    >>> Criterion((Column("jacob_cov", "jacob_cov"), PARAMS)).name
    'jacob_cov+params'
    >>> Criterion((Column("jacob_cov", "jacob_cov"), PARAMS), "mean_rank").name
    'jacob_cov+params:mean_rank'
    """

    parts: tuple[Column, ...]
    # Rank 1 is the worst, equal values have their mean rank, a missing value has the worst rank.
    # The mean of log(rank / n) lets one bad rank weigh more than a good one, as Lee & Ham (2024) do.
    combine: Combination = "mean_log_rank"
    """how the ranks become one number; "mean_rank" is their mean, 1 for the best and 0 for the last."""
    title: str | None = None

    @property
    def is_relative(self) -> bool:
        """Whether the values depend on the candidates that are ranked together."""
        return len(self.parts) > 1

    @property
    def name(self) -> str:
        """The name in files: the title, or the names of the parts joined by "+"."""
        suffix = ":mean_rank" if self.is_relative and self.combine == "mean_rank" else ""
        return self.title or "+".join(part.name for part in self.parts) + suffix

    @property
    def label(self) -> str:
        """The name in words, with the unit of a single score."""
        return self.name if self.is_relative else self.parts[0].axis


def is_cost(name: str) -> bool:
    """Return whether the name of a column says that it is a cost, of which less is better.

    >>> is_cost("edgegpu_energy_mj"), is_cost("latency"), is_cost("robustness")
    (True, True, False)
    """
    words = name.lower().split("_")
    return words[-1] in _COST_UNITS or not {"latency", "energy"}.isdisjoint(words)


def budget_of(cost: str) -> str:
    """Return the option that limits a cost, of which its column says how it is known.

    >>> budget_of("predicted_latency_ms"), budget_of("peak_memory_mb")
    ('max_latency_ms', 'max_memory_mb')
    """
    return f"max_{cost.removeprefix('predicted_').removeprefix('peak_')}"
