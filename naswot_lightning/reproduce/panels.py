"""Figures 3, 9 and 10: the score of untrained networks against the accuracy of trained ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naswot_lightning.analysis.statistics import Estimate, estimate, resampled_tau
from naswot_lightning.benchmarks import Table
from naswot_lightning.console import print_table
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.score_panels import draw
from naswot_lightning.reproduce.accuracies import Accuracies, every_data_set
from naswot_lightning.reproduce.images import images_of
from naswot_lightning.reproduce.published import PublishedTaus, published_taus
from naswot_lightning.reproduce.sampling import candidates
from naswot_lightning.reproduce.score_table import score_table
from naswot_lightning.reproduce.settings import PanelSettings
from naswot_lightning.reproduce.tables import scored_space
from naswot_lightning.storage.files import write_csv

_SUMMARY = (
    "table", "space", "accuracy", "images", "n", "tau", "low", "high", "published_tau", "tau_params", "params_low",
    "params_high",
)  # fmt: skip
_POINTS = ("table", "accuracy_of", "architecture", "score", "params", "accuracy")


@dataclass(frozen=True)
class Panel:
    """A score and an accuracy of each of n networks.

    Attributes:
        table: the name of the table.
        space: of the networks.
        accuracy: which accuracy it is.
        images: the data set of the mini-batch.
        architectures: n.
        scores: (n,).
        params: (n,).
        accuracies: (n,) percent.
        published: Kendall's tau of the paper; None where none is on record.
    """

    table: str
    space: str
    accuracy: str
    images: str
    architectures: Sequence[str]
    scores: np.ndarray
    params: np.ndarray
    accuracies: np.ndarray
    published: float | None

    @property
    def tau(self) -> Estimate:
        """Kendall's tau of score and accuracy."""
        return estimate(resampled_tau, self.scores.tolist(), self.accuracies.tolist())

    @property
    def tau_of_params(self) -> Estimate:
        """The same of plain size, on the same networks."""
        return estimate(resampled_tau, self.params.tolist(), self.accuracies.tolist())


def reproduce_panels(figure: str, tables: Sequence[Table], settings: PanelSettings) -> int:
    """Print, write and draw a panel for each data set of each table; return 0."""
    published = published_taus(figure)
    panels = [panel for table in tables for panel in panels_of(table, settings, published)]
    taus = [(panel.tau, panel.tau_of_params) for panel in panels]
    rows = [_summary(panel, *pair) for panel, pair in zip(panels, taus, strict=True)]
    _print(rows, published)
    path = Path(settings.out) / figure
    write_csv(path.with_suffix(".csv"), rows, _SUMMARY)
    write_csv(path.with_name(f"{figure}_points.csv"), (point for panel in panels for point in _points(panel)), _POINTS)
    save_figure(draw(panels, [tau for tau, _ in taus]), path.with_suffix(".png"))
    print(f"{path.with_suffix('.csv')}, {path.with_suffix('.png')}")
    return 0


def panels_of(table: Table, settings: PanelSettings, published: PublishedTaus) -> list[Panel]:
    """Return a panel for each data set of a table.

    As in the published script, networks that learned nothing are left out, then so many are drawn, and those without
    a score are left out.
    """
    return [_panel(table, each, settings, published) for each in every_data_set(table)]


def _panel(table: Table, known: Accuracies, settings: PanelSettings, published: PublishedTaus) -> Panel:
    order = candidates(len(table.architectures), len(table.architectures), settings.seed)
    chosen = order[known.learned[order]][: settings.samples]
    architectures = [table.architectures[place] for place in chosen.tolist()]
    images = images_of(settings.dataset, known.dataset)
    scored = score_table(settings, scored_space(settings, table), images, architectures)
    merits = scored.merits(architectures)
    kept = ~np.isnan(merits)
    return Panel(
        table=table.name,
        space=table.space,
        accuracy=known.label,
        images=images,
        architectures=[each for each, keep in zip(architectures, kept, strict=True) if keep],
        scores=merits[kept],
        params=scored.sizes("params", architectures)[kept],
        accuracies=known.values[chosen][kept],
        published=published.find(table.space, known.dataset, "naswot"),
    )


def _summary(panel: Panel, tau: Estimate, size: Estimate) -> dict[str, Any]:
    return {
        "table": panel.table,
        "space": panel.space,
        "accuracy": panel.accuracy,
        "images": panel.images,
        "n": tau.n,
        "tau": tau.value,
        "low": tau.low,
        "high": tau.high,
        "published_tau": panel.published,
        "tau_params": size.value,
        "params_low": size.low,
        "params_high": size.high,
    }


def _print(rows: Sequence[dict[str, Any]], published: PublishedTaus) -> None:
    print(f"Kendall's tau with accuracy, 95 % interval; published: {published.source}")
    columns = ("space", "n", "naswot", "interval", "published", "parameters", "interval", "images", "accuracy")
    print_table("", columns, (_line(row) for row in rows))


def _line(row: dict[str, Any]) -> list[Any]:
    own, size = ((row[low], row[high]) for low, high in (("low", "high"), ("params_low", "params_high")))
    return [
        row["space"], row["n"], _three(row["tau"]), _interval(*own), _three(row["published_tau"]),
        _three(row["tau_params"]), _interval(*size), row["images"], row["accuracy"],
    ]  # fmt: skip


def _three(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None) -> str | None:
    return None if low is None else f"[{low:.3f}, {high:.3f}]"


def _points(panel: Panel) -> Iterator[dict[str, Any]]:
    for architecture, *numbers in zip(panel.architectures, panel.scores, panel.params, panel.accuracies, strict=True):
        score, params, accuracy = (float(number) for number in numbers)
        yield {
            "table": panel.table, "accuracy_of": panel.accuracy, "architecture": architecture, "score": score,
            "params": int(params), "accuracy": accuracy,
        }  # fmt: skip
