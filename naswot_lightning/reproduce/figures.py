"""Figures 3, 4, 5, 9 and 10 of the paper: scores against the accuracy of trained networks; and searches compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from naswot_lightning.analysis.measurements import ABLATIONS, SIZES, AblationHeader
from naswot_lightning.analysis.statistics import estimate, resampled_tau
from naswot_lightning.analysis.trajectory import Curve, Effort, band_of
from naswot_lightning.benchmarks import Table
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.console import print_table
from naswot_lightning.diagnostics.measure import AblationPlan, measure_ablation, select_by_percentile
from naswot_lightning.errors import UserError
from naswot_lightning.networks import get_device
from naswot_lightning.ranking import as_dicts, ranks_of
from naswot_lightning.report.figures import write_results
from naswot_lightning.report.figures.bars import ScoreTau, Spread, draw_taus
from naswot_lightning.report.figures.curves import draw_best_so_far
from naswot_lightning.report.figures.distributions import draw_ablation
from naswot_lightning.report.figures.scatter import ScorePanel, draw_score_panels
from naswot_lightning.reproduce.benchmark_tables import (
    KnownAccuracies,
    PublishedTaus,
    accuracies_on,
    draw_candidates,
    images_of,
    known_accuracies,
    open_table,
    open_tables,
    published_taus,
    scored_space,
)
from naswot_lightning.reproduce.searches import TabularSearch, score_table, scores_by_name
from naswot_lightning.reproduce.settings import AblationSettings, AlgorithmSettings, BarSettings, PanelSettings
from naswot_lightning.searching.algorithms.base import get_algorithm
from naswot_lightning.spaces import get_space
from naswot_lightning.storage.files import write_csv
from naswot_lightning.storage.score_rows import ScoreRow

# The spaces of the tables that a figure of panels is of. The paper gives the correlations of Figure 9 in the picture
# alone, and of Figure 10 none is on record.
_SPACES = {
    "figure3": ("nasbench201", "nasbench101", "nds_amoeba", "nds_darts", "nds_enas", "nds_nasnet", "nds_pnas"),
    "figure9": ("nats_size",),
    "figure10": ("nds_darts", "nds_enas", "nds_pnas"),
}
# In the names of the official files of one width and depth, which Figure 10 is of.
_FIXED = "fix-w-d"
_POINTS = ("table", "accuracy_of", "architecture", "score", "params", "accuracy")
# Whose accuracies and images the paper's Figure 5 takes.
_FIGURE5 = "cifar100"
# Of the effort of searches, after which the terminal shows the best.
_SHARES = (0.25, 0.5, 1.0)


def reproduce_panels(figure: str, settings: PanelSettings) -> int:
    """Print, write and draw the score against accuracy: Figure 3, 9 or 10, a panel per data set of each table.

    A panel is made as the published script makes it: networks that learned nothing are left out, then so many are
    drawn, and those without a score are left out.
    """
    tables, published = open_tables(settings, _SPACES[figure]), published_taus(figure)
    for name, table in zip(settings.benchmark, tables, strict=True):
        if figure == "figure10" and _FIXED not in table.name:
            raise UserError(f"--benchmark {name}: it is {table.name}; expected one of fixed width and depth ({_FIXED})")
    panels = []
    for table, known in [(each, known) for each in tables for known in known_accuracies(each)]:
        architectures, accuracies, images = _draw(table, known, settings)
        scored = score_table(settings, scored_space(settings, table), images, architectures)
        scores, params = (scored.values(name, architectures) for name in ("naswot", "params"))
        points = pd.DataFrame(
            {"architecture": architectures, "score": scores, "params": params.astype(int), "accuracy": accuracies}
        )
        # Fewer points than samples: a network whose score is not defined has no place on the axis.
        points = points[points["score"].notna()]
        tau = estimate(resampled_tau, points["score"].to_numpy(), points["accuracy"].to_numpy())
        paper = published.find(table.space, known.dataset, "naswot")
        panels.append(ScorePanel(ScoreTau(table.name, table.space, known.label, images, "naswot", tau, paper), points))
    path, rows, points_of_all = Path(settings.out) / figure, [], []
    for panel in panels:
        size = estimate(resampled_tau, panel.points["params"].to_numpy(), panel.points["accuracy"].to_numpy())
        rows.append(_row_of(panel.of))
        rows[-1] |= {"tau_params": size.value, "params_low": size.low, "params_high": size.high}
        own = {"table": panel.of.table, "accuracy_of": panel.of.accuracy}
        points_of_all += [own | point for point in as_dicts(panel.points)]
    write_csv(path.with_name(f"{figure}_points.csv"), points_of_all, _POINTS)
    _print_taus(published, rows)
    write_results(path, rows, lambda: draw_score_panels(panels))
    return 0


def _draw(table: Table, known: KnownAccuracies, settings: PanelSettings) -> tuple[list[str], np.ndarray, str]:
    """Return n architectures that learned something, their (n,) accuracies, and the data set that scores them."""
    order = draw_candidates(len(known.values), len(known.values), settings.seed)
    learned = np.nan_to_num(known.values[order]) > known.least
    drawn = order[learned][: settings.samples]
    architectures = [table.architectures[row] for row in drawn.tolist()]
    return architectures, known.values[drawn], images_of(settings.dataset, known.dataset)


def reproduce_figure4(figure: str, settings: BarSettings) -> int:
    """Print, write and draw Kendall's tau of several scores with accuracy, in each space."""
    published, bars = published_taus(figure), []
    for table in open_tables(settings):
        for known in known_accuracies(table):
            architectures, accuracies, images = _draw(table, known, settings)
            scores = scores_by_name(settings, scored_space(settings, table), images, architectures, settings.scores)
            for name, values in scores.items():
                tau = estimate(resampled_tau, ranks_of(values), accuracies)
                paper = published.find(table.space, known.dataset, name)
                bars.append(ScoreTau(table.name, table.space, known.label, images, name, tau, paper))
    rows = [_row_of(each) for each in bars]
    _print_taus(published, rows)
    write_results(Path(settings.out) / figure, rows, lambda: draw_taus(bars))
    return 0


def _row_of(found: ScoreTau) -> dict[str, object]:
    """Return the row of a CSV."""
    names = {name: getattr(found, name) for name in ("table", "space", "accuracy", "images", "score")}
    tau = found.tau
    return {**names, "n": tau.n, "tau": tau.value, "low": tau.low, "high": tau.high, "published_tau": found.published}


def reproduce_figure5(figure: str, settings: AblationSettings) -> int:
    """Print, write and draw what the score of ten networks depends on besides the network."""
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
    sizes, device = tuple(settings.batch_sizes), get_device(settings.device)
    plan = AblationPlan(get_space(space), header, settings.data_dir, settings.samples, sizes, device)
    path = Path(settings.out) / figure
    samples = measure_ablation(plan, path.with_suffix(".jsonl"), settings.overwrite).samples
    title = f"{table.space}, percentiles of {known.label}, {settings.samples} scores each way, images of {images}"
    print(title)
    lines: list[list[object]] = []
    for place, network in enumerate(networks):
        lines.append([f"{network.percentile} to {network.percentile + 5}", network.accuracy])
        for ablation in ABLATIONS:
            own = samples[(samples["ablation"] == ablation) & (samples["network"] == place)].dropna()
            # Relative scores differ in finer decimals than scores.
            column, digits = ("relative", 4) if ablation == SIZES else ("score", 2)
            spread = f"{own[column].mean():.{digits}f} ± {own[column].std():.{digits}f}"
            lines[-1].append(None if own.empty else spread)
    print_table("", ("percentile", "accuracy (%)", *ABLATIONS), lines)
    print(f"Mean ± standard deviation; {SIZES}: divided by the lowest score of the same size.")
    rows = [
        {"ablation": each["ablation"], "percentile": network.percentile, "architecture": network.architecture,
         "accuracy": network.accuracy, "sample": each["number"], "batch_size": each["batch_size"],
         "score": None if np.isnan(each["score"]) else each["score"]}
        for each, network in ((each, networks[each["network"]]) for each in samples.to_dict("records"))
    ]  # fmt: skip
    write_results(path, rows, lambda: draw_ablation(networks, samples, title))
    return 0


def reproduce_algorithms(name: str, settings: AlgorithmSettings) -> int:
    """Search with each algorithm, one search per seed; print, write and draw the best so far."""
    # Before anything is scored.
    for each in settings.algorithms:
        get_algorithm(each)
    table = open_table(settings)
    search = TabularSearch(table, settings.benchmark_dataset)
    budget = search.budget(settings.budget, settings.evaluations)
    # Evaluations have a default.
    assert budget is not None
    for each in settings.algorithms:
        search.expect_known(each, budget, settings.seed)
    shown = reported_target(table, settings.benchmark_dataset)
    accuracies = table.every_accuracy(shown.dataset, shown.split, shown.epochs)

    def accuracy(row: ScoreRow) -> float:
        return float(accuracies[table.row(row.architecture)])

    images = images_of(settings.dataset, settings.benchmark_dataset)
    curves = {
        each: [history.curve(accuracy) for history in search.run(each, budget, settings.searches, settings, images)]
        for each in settings.algorithms
    }
    title = f"{table.name}, searches by {search.target}"
    print(f"{title}, best so far by {shown}")
    _print_best(curves, budget.seconds)
    rows: list[dict[str, object]] = []
    kinds: tuple[Effort, ...] = ("evaluations", "seconds")
    for algorithm, found in curves.items():
        # Seconds are of no use where the table does not know them.
        for kind in kinds if all(curve.is_timed for curve in found) else kinds[:1]:
            if (band := band_of(found, kind)) is not None:
                own = {"algorithm": algorithm, "effort": kind}
                for at, mean, low, high in np.round([band.effort, band.mean, band.low, band.high], 4).T.tolist():
                    rows.append({**own, "at": at, "mean": mean, "p10": low, "p90": high, "seeds": band.seeds})
    write_results(Path(settings.out) / name, rows, lambda: draw_best_so_far(curves, f"accuracy (%), {shown}", title))
    return 0


def _print_best(curves: Mapping[str, Sequence[Curve]], max_seconds: float | None) -> None:
    """Print the best after a quarter, half and all of the seconds that searches end at, or else of the evaluations."""
    kind: Effort = "evaluations" if max_seconds is None else "seconds"
    ends = [curve.evaluations[-1] for each in curves.values() for curve in each if curve.evaluations]
    most = max_seconds or max(ends, default=0)
    points = [max(1, round(most * share)) for share in _SHARES]
    lines = []
    for name, each in curves.items():
        spent = Spread.of([curve.seconds[-1] for curve in each if curve.seconds])
        seconds = None if spent is None or not spent.mean else round(spent.mean)
        best = np.array([curve.best_after(kind, np.array(points)) for curve in each])
        lines.append((name, len(each), seconds, *map(Spread.of, best.T)))
    after = [f"after {point:,}{' s' if kind == 'seconds' else ''}" for point in points]
    print_table("", ("algorithm", "seeds", "seconds", *after), lines)
    what = "so many whole trainings" if kind == "evaluations" else "so many seconds"
    print(f"Percent, mean ± standard deviation over seeds, after {what}; seconds are the table's.")


def _print_taus(published: PublishedTaus, rows: Sequence[Mapping[str, object]]) -> None:
    """Print what the CSV holds, without the names of the tables and the intervals of size."""
    print(f"Kendall's tau with accuracy, 95 % interval; published: {published.source}")
    names = [name for name in rows[0] if name not in ("table", "params_low", "params_high")]
    print_table("", [name.replace("_", " ") for name in names], ([row[name] for name in names] for row in rows))
