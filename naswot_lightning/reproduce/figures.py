"""Figures 3, 4, 5, 9 and 10 of the paper: scores of untrained networks against the accuracy of trained ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.measurements import (
    ABLATIONS,
    SIZES,
    AblationHeader,
    Sample,
    SelectedNetwork,
    relative_scores,
)
from naswot_lightning.analysis.statistics import Estimate, estimate, resampled_tau, with_missing_last
from naswot_lightning.benchmarks import Table
from naswot_lightning.console import print_table
from naswot_lightning.diagnostics.ablation import AblationPlan, measure_ablation, select_by_percentile
from naswot_lightning.errors import UserError, warn_of_failure
from naswot_lightning.execution.resources import get_device
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.bars import Bar, Spread, draw_taus
from naswot_lightning.report.figures.boxes import draw_ablation
from naswot_lightning.report.figures.scatter import ScorePanel, draw_score_panels
from naswot_lightning.reproduce.benchmark_tables import (
    KnownAccuracies,
    accuracies_on,
    images_of,
    known_accuracies,
    open_table,
    open_tables,
    scored_space,
)
from naswot_lightning.reproduce.published import PublishedTaus, published_taus
from naswot_lightning.reproduce.score_table import score_table, scores_by_name
from naswot_lightning.reproduce.settings import AblationSettings, BarSettings, PanelSettings
from naswot_lightning.storage.files import write_csv
from spaces import get_space

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIGURE3 = ("nasbench201", "nasbench101", "nds_amoeba", "nds_darts", "nds_enas", "nds_nasnet", "nds_pnas")
_FIGURE10 = ("nds_darts", "nds_enas", "nds_pnas")
# In the names of the official files of one width and depth.
_FIXED = "fix-w-d"
# Whose accuracies and images the paper's Figure 5 takes.
_FIGURE5 = "cifar100"

_PANELS = (
    "table", "space", "accuracy", "images", "n", "tau", "low", "high", "published_tau", "tau_params", "params_low",
    "params_high",
)  # fmt: skip
_POINTS = ("table", "accuracy_of", "architecture", "score", "params", "accuracy")
_BARS = ("table", "space", "accuracy", "images", "score", "n", "tau", "low", "high", "published_tau")
_SAMPLES = ("ablation", "percentile", "architecture", "accuracy", "sample", "batch_size", "score")


def reproduce_figure3(settings: PanelSettings) -> int:
    """Print, write and draw a panel for each data set of NAS-Bench-201, NAS-Bench-101 and the cell spaces of NDS.

    Raises:
        UserError: a table is of another space.
    """
    return _reproduce_panels("figure3", open_tables(settings, _FIGURE3), settings)


def reproduce_figure9(settings: PanelSettings) -> int:
    """Do the same for NATS-Bench's size space. The paper gives its correlations in the picture alone.

    Raises:
        UserError: a table is of another space.
    """
    return _reproduce_panels("figure9", open_tables(settings, ("nats_size",)), settings)


def reproduce_figure10(settings: PanelSettings) -> int:
    """Do the same for the NDS tables of one width and depth. No published correlation is on record.

    Raises:
        UserError: a table is of another space, or its widths and depths vary.
    """
    tables = open_tables(settings, _FIGURE10)
    for path, table in zip(settings.benchmark, tables, strict=True):
        if _FIXED not in table.name:
            raise UserError(f"--benchmark {path}: it is {table.name}; expected one of fixed width and depth ({_FIXED})")
    return _reproduce_panels("figure10", tables, settings)


def _reproduce_panels(figure: str, tables: Sequence[Table], settings: PanelSettings) -> int:
    published = published_taus(figure)
    panels = [_panel(table, each, settings, published) for table in tables for each in known_accuracies(table)]
    print(f"Kendall's tau with accuracy, 95 % interval; published: {published.source}")
    columns = ("space", "n", "naswot", "interval", "published", "parameters", "interval", "images", "accuracy")
    lines = (
        (each.space, each.tau.n, *_value_and_interval(each.tau), _three_decimals(each.published),
         *_value_and_interval(each.tau_of_params), each.images, each.accuracy)
        for each in panels
    )  # fmt: skip
    print_table("", columns, lines)
    path = Path(settings.out) / figure
    points = [point for panel in panels for point in _points(panel)]
    write_csv(
        path.with_name(f"{figure}_points.csv"), (dict(zip(_POINTS, each, strict=True)) for each in points), _POINTS
    )
    rows = [
        (each.table, each.space, each.accuracy, each.images, each.tau.n, *_numbers(each.tau), each.published,
         *_numbers(each.tau_of_params))
        for each in panels
    ]  # fmt: skip
    write_results(path, _PANELS, rows, lambda: draw_score_panels(panels))
    return 0


def _panel(table: Table, known: KnownAccuracies, settings: PanelSettings, published: PublishedTaus) -> ScorePanel:
    """Return a panel as the published script makes it.

    Networks that learned nothing are left out, then so many are drawn, and those without a score are left out.
    """
    drawn = known.draw_learned(settings.samples, settings.seed)
    architectures = [table.architectures[row] for row in drawn.tolist()]
    images = images_of(settings.dataset, known.dataset)
    scored = score_table(settings, scored_space(settings, table), images, architectures)
    scores = scored.scores(architectures)
    # Fewer points than samples: a network whose score is not defined has no place on the axis.
    kept = ~np.isnan(scores)
    return ScorePanel(
        table=table.name,
        space=table.space,
        accuracy=known.label,
        images=images,
        architectures=[each for each, keep in zip(architectures, kept, strict=True) if keep],
        scores=scores[kept],
        params=scored.sizes("params", architectures)[kept],
        accuracies=known.values[drawn][kept],
        published=published.find(table.space, known.dataset, "naswot"),
    )


def _points(panel: ScorePanel) -> Iterable[tuple[Any, ...]]:
    numbers = zip(panel.architectures, panel.scores, panel.params, panel.accuracies, strict=True)
    for architecture, score, params, accuracy in numbers:
        yield panel.table, panel.accuracy, architecture, float(score), int(params), float(accuracy)


def reproduce_figure4(settings: BarSettings) -> int:
    """Print, write and draw Kendall's tau of several scores with accuracy, in each space.

    Raises:
        UserError: a table or a score is at fault.
    """
    published = published_taus("figure4")
    bars = [
        bar
        for table in open_tables(settings)
        for known in known_accuracies(table)
        for bar in _bars(table, known, settings, published)
    ]
    print(f"Kendall's tau with accuracy, 95 % interval; published: {published.source}")
    lines = (
        (each.space, each.score, each.tau.n, None if each.tau.value is None else f"{each.tau:.3f}",
         _three_decimals(each.published), each.images, each.accuracy)
        for each in bars
    )  # fmt: skip
    print_table("", ("space", "score", "n", "tau", "published", "images", "accuracy"), lines)
    rows = [
        (
            each.table,
            each.space,
            each.accuracy,
            each.images,
            each.score,
            each.tau.n,
            *_numbers(each.tau),
            each.published,
        )
        for each in bars
    ]
    write_results(Path(settings.out) / "figure4", _BARS, rows, lambda: draw_taus(bars))
    return 0


def _bars(table: Table, known: KnownAccuracies, settings: BarSettings, published: PublishedTaus) -> Iterable[Bar]:
    drawn = known.draw_learned(settings.samples, settings.seed)
    architectures = [table.architectures[row] for row in drawn.tolist()]
    images = images_of(settings.dataset, known.dataset)
    scores = scores_by_name(settings, scored_space(settings, table), images, architectures, settings.scores)
    accuracies = known.values[drawn]
    for name, values in scores.items():
        tau = estimate(resampled_tau, with_missing_last(values), accuracies)
        paper = published.find(table.space, known.dataset, name)
        yield Bar(table.name, table.space, known.label, images, name, tau, paper)


def reproduce_figure5(settings: AblationSettings) -> int:
    """Print, write and draw what the score of ten networks depends on besides the network.

    Raises:
        UserError: the table, the data set or the device is at fault.
    """
    table = open_table(settings)
    datasets = [known.dataset for known in known_accuracies(table)]
    known = accuracies_on(table, _FIGURE5 if _FIGURE5 in datasets else datasets[0])
    networks = select_by_percentile(table.architectures, known.values, settings.seed)
    if not networks:
        raise UserError(f"--benchmark {settings.benchmark[0]}: it knows no accuracy ({known.label})")
    images, space = images_of(settings.dataset, known.dataset), scored_space(settings, table)
    header = AblationHeader(
        space=space,
        images=images,
        image_size=settings.image_size if images == "imagefolder" else None,
        probe_size=None,
        split_file=None,
        batch_size=settings.batch_size,
        seed=settings.seed,
        canonical=settings.canonical,
        source=f"{table.name}: {known.label}",
        networks=tuple(networks),
    )
    sizes, device = tuple(dict.fromkeys(settings.batch_sizes)), get_device(settings.device)
    plan = AblationPlan(get_space(space), header, settings.data_dir, settings.samples, sizes, device)
    path = Path(settings.out) / "figure5"
    samples = measure_ablation(plan, path.with_suffix(".jsonl"), settings.overwrite).samples
    title = f"{table.space}, percentiles of {known.label}, {settings.samples} scores each way, images of {images}"
    print(title)
    print_table("", ("percentile", "accuracy (%)", *ABLATIONS), (_line(network, samples) for network in networks))
    print(f"Mean ± standard deviation; {SIZES}: divided by the lowest score of the same size.")
    rows = [
        (each.ablation, each.network.percentile, each.network.architecture, each.network.accuracy, each.number,
         each.batch_size, None if np.isnan(each.score) else each.score)
        for each in samples
    ]  # fmt: skip
    write_results(path, _SAMPLES, rows, lambda: draw_ablation(networks, samples, title))
    return 0


def _line(network: SelectedNetwork, samples: Sequence[Sample]) -> list[object]:
    line: list[object] = [f"{network.percentile} to {network.percentile + 5}", network.accuracy]
    for ablation in ABLATIONS:
        own = [sample for sample in samples if sample.ablation == ablation]
        values = relative_scores(own) if ablation == SIZES else [sample.score for sample in own]
        spread = Spread.of([value for value, sample in zip(values, own, strict=True) if sample.network == network])
        # Shares differ in finer decimals than scores.
        finely = ablation == SIZES and spread is not None
        line.append(f"{spread.mean:.4f} ± {spread.std or 0.0:.4f}" if finely and spread is not None else spread)
    return line


def write_results(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], draw: Callable[[], Figure | None]
) -> None:
    """Write ``path`` with the endings .csv and .png, and print their names.

    A figure that cannot be drawn is one line of warning: its numbers are in the CSV.
    """
    csv, png = path.with_suffix(".csv"), path.with_suffix(".png")
    write_csv(csv, (dict(zip(columns, row, strict=True)) for row in rows), columns)
    written = [csv]
    with warn_of_failure(f"{png} cannot be drawn"):
        if (figure := draw()) is not None:
            save_figure(figure, png)
            written.append(png)
    print(", ".join(map(str, written)))


def _numbers(tau: Estimate) -> tuple[float | None, float | None, float | None]:
    return tau.value, tau.low, tau.high


def _value_and_interval(tau: Estimate) -> tuple[str | None, str | None]:
    interval = None if tau.low is None or tau.high is None else f"[{tau.low:.3f}, {tau.high:.3f}]"
    return _three_decimals(tau.value), interval


def _three_decimals(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
