"""Figure 4: Kendall's tau of several scores with accuracy, in each space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from naswot_lightning.analysis.statistics import estimate, resampled_tau, with_the_worst
from naswot_lightning.benchmarks import Table
from naswot_lightning.console import print_table
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.bars import Bar, draw_taus
from naswot_lightning.reproduce.accuracies import Accuracies, every_data_set
from naswot_lightning.reproduce.images import images_of
from naswot_lightning.reproduce.published import PublishedTaus, published_taus
from naswot_lightning.reproduce.sampling import candidates
from naswot_lightning.reproduce.score_table import merits_by_score
from naswot_lightning.reproduce.settings import BarSettings
from naswot_lightning.reproduce.tables import open_tables, scored_space
from naswot_lightning.storage.files import write_csv

_CSV = ("table", "space", "accuracy", "images", "score", "n", "tau", "low", "high", "published_tau")


def reproduce(settings: BarSettings) -> int:
    """Print, write and draw the correlations.

    Raises:
        UserError: a table or a score is at fault.
    """
    published = published_taus("figure4")
    tables = open_tables(settings)
    bars = [
        bar for table in tables for known in every_data_set(table) for bar in _bars(table, known, settings, published)
    ]
    print(f"Kendall's tau with accuracy, 95 % interval; published: {published.source}")
    columns = ("space", "score", "n", "tau", "published", "images", "accuracy")
    print_table("", columns, map(_line, bars))
    path = Path(settings.out) / "figure4"
    write_csv(path.with_suffix(".csv"), map(_csv_row, bars), _CSV)
    save_figure(draw_taus(bars), path.with_suffix(".png"))
    print(f"{path.with_suffix('.csv')}, {path.with_suffix('.png')}")
    return 0


def _bars(table: Table, known: Accuracies, settings: BarSettings, published: PublishedTaus) -> Sequence[Bar]:
    order = candidates(len(table.architectures), len(table.architectures), settings.seed)
    chosen = order[known.learned[order]][: settings.samples]
    architectures = [table.architectures[place] for place in chosen.tolist()]
    images = images_of(settings.dataset, known.dataset)
    merits = merits_by_score(settings, scored_space(settings, table), images, architectures, settings.scores)
    accuracies = known.values[chosen].tolist()
    return [
        Bar(
            table.name, table.space, known.label, images, name,
            estimate(resampled_tau, with_the_worst(values).tolist(), accuracies),
            published.find(table.space, known.dataset, name),
        )
        for name, values in merits.items()
    ]  # fmt: skip


def _line(bar: Bar) -> list[object]:
    tau = None if bar.tau.value is None else f"{bar.tau.value:.3f} {bar.tau.interval}"
    published = None if bar.published is None else f"{bar.published:.3f}"
    return [bar.space, bar.score, bar.tau.n, tau, published, bar.images, bar.accuracy]


def _csv_row(bar: Bar) -> dict[str, object]:
    return {
        "table": bar.table, "space": bar.space, "accuracy": bar.accuracy, "images": bar.images, "score": bar.score,
        "n": bar.tau.n, "tau": bar.tau.value, "low": bar.tau.low, "high": bar.tau.high, "published_tau": bar.published,
    }  # fmt: skip
