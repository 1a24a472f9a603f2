"""Several runs beside each other: on the terminal, as a page and as a figure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from naswot_lightning.analysis.evidence import tau_in_words
from naswot_lightning.analysis.statistics import estimate, resampled_tau
from naswot_lightning.analysis.trajectory import Points, seed_band
from naswot_lightning.columns import PARAMS, SCORE_FINAL, SCORE_INIT, TEST_ACC
from naswot_lightning.config import SearchConfig, result_settings
from naswot_lightning.console import counted, print_text, print_words
from naswot_lightning.errors import UserError, warn_of_failure
from naswot_lightning.ranking import as_dicts
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.bars import Spread
from naswot_lightning.report.figures.curves import draw_runs
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.html.page import in_words, render
from naswot_lightning.report.run import Run, open_run, read_rows, read_run
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.spaces.errors import one_line
from naswot_lightning.storage.files import atomic_write
from naswot_lightning.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A label, and a text per run.
Row = tuple[str, tuple[str, ...]]
_NOTHING = "-"
# Of the figure in the page.
_DPI = 120
PAGE = "comparison.html"
FIGURE = "trajectories_of_runs"
_TITLE = "Runs compared · naswot-lightning"
_MARK = b'<meta name="generator" content="naswot-lightning">'


@dataclass(frozen=True)
class NamedRun:
    """One of the runs that are compared."""

    name: str
    """of the folder, or its path where others are called the same."""
    run: Run
    findings: Findings

    @property
    def settings(self) -> dict[str, str]:
        """What decides a result: settings of the search, what trainings of the largest group share, their seeds."""
        found = in_words(result_settings(SearchConfig, self.run.settings))
        if self.run.groups:
            shared, seeds = self.run.groups[0].settings, ", ".join(map(str, self.run.groups[0].seeds))
            named = {"dataset": shared.dataset, "epochs": str(shared.epochs), "recipe": shared.recipe, "seeds": seeds}
            found |= {f"naswot train {name}": value for name, value in named.items() if value is not None}
        return found


class RunsComparison:
    """Several runs beside each other, in their order; the same for the same files."""

    def __init__(self, runs: Sequence[NamedRun]) -> None:
        self.names = [each.name for each in runs]
        self.rows: list[Row] = []
        for part in (_of_search, _of_benchmark, _of_trainings):
            self.rows += _beside([part(each) for each in runs])
        settings = _beside([each.settings for each in runs])
        self.differences = [(name, values) for name, values in settings if len(set(values)) > 1]
        # Two runs, and Kendall's tau between the scores of the networks that they share, or why there is none.
        self.agreements = [(one.name, other.name, _agreement(one, other)) for one, other in combinations(runs, 2)]
        # Of each run, the score of each of its networks during training, the mean over its seeds.
        self.trajectories: list[list[Points]] = []
        for each in runs:
            points = each.run.trajectories
            networks = each.run.groups[0].by_rank if each.run.groups else []
            bands = (seed_band([points[result.pick].points for result in network.finished]) for network in networks)
            self.trajectories.append([band.points for band in bands if band.points])


def _beside(columns: Sequence[Mapping[str, str]]) -> list[Row]:
    labels = dict.fromkeys(label for column in columns for label in column)
    return [(label, tuple(column.get(label, _NOTHING) for column in columns)) for label in labels]


def read_runs(folders: Sequence[RunFolder]) -> list[NamedRun]:
    """Return the runs of some folders, in their order; a search that is under way has a provisional ranking."""
    paths = [folder.path.resolve() for folder in folders]
    for folder, path in zip(folders, paths, strict=True):
        if paths.count(path) > 1:
            raise UserError(f"--run_dir {folder.path}: given twice; give each run folder once")
    called = [folder.name for folder in folders]
    found = []
    for folder in folders:
        run = read_run(folder)
        run = read_rows(folder, run) if run.ranking.empty else run
        name = folder.name if called.count(folder.name) == 1 else str(folder.path)
        found.append(NamedRun(name, run, find(run)))
    return found


def _of_search(named: NamedRun) -> dict[str, str]:
    run, search = named.run, named.findings.search
    if search is None:
        return {"space": run.groups[0].settings.space} if run.groups else {}
    first = next(as_dicts(run.ranking.head(1)))
    others = [f", {count:,} {status}" for status, count in search.statuses.items() if status != "ok"]
    so_far = ", so far" if run.provisional else ""
    found = {
        "space": str(run.settings.get("space", _NOTHING)),
        "data set of the search": str(run.settings.get("dataset", _NOTHING)),
        "candidates": f"{search.statuses.get('ok', 0):,} scored{''.join(others)}{so_far}",
        "ranked by": run.criterion.name,
    }
    if first["score"] is not None:
        found["best"] = f"{first['score']:,.2f}"
    if first["params"] is not None:
        found["parameters of the best"] = f"{first['params']:,}"
    if (tau := search.agreement.get(PARAMS.name)) is not None:
        found["tau of score and parameters"] = f"{tau:.2f}"
    return found


def _of_benchmark(named: NamedRun) -> dict[str, str]:
    if (found := named.run.benchmark) is None:
        return {}
    tau = found.correlations[SCORE_INIT.name].kendall_tau
    rows = {"tau with the table's accuracy": f"{tau}, n = {tau.n}", "verdict by the table": found.verdict.outcome}
    return rows if found.pick is None else {"accuracy of the best, by the table": f"{100 * found.pick:.2f} %", **rows}


def _of_trainings(named: NamedRun) -> dict[str, str]:
    if not named.run.groups:
        return {}
    group, found = named.run.groups[0], named.findings.groups[0]
    networks = group.by_rank
    rows = {"trained networks": f"{len(networks)}, {counted(len(group.seeds), 'seed')}"}
    if best := group.best:
        seeds = next(network.finished for network in networks if network.canonical == best.canonical)
        values = [100 * each.test_acc for each in seeds if each.test_acc is not None]
        rows["test accuracy of the best (%)"] = f"{Spread.of(values)}, {counted(len(values), 'seed')}"
    for label, lowest, column, unit in (
        ("test accuracy, mean (%)", "  lowest to highest (%)", TEST_ACC, 100.0),
        ("score at init, mean", "  lowest to highest", SCORE_INIT, 1.0),
        ("score after training, mean", "  lowest to highest after", SCORE_FINAL, 1.0),
    ):
        means = [unit * value for each in networks if (value := each.mean(column.name)) is not None]
        if means:
            rows[label] = str(Spread.of(means))
        if len(means) > 1:
            rows[lowest] = f"{min(means):.2f} to {max(means):.2f}"
    for label, column in (
        ("tau of score at init", SCORE_INIT),
        ("tau of score after training", SCORE_FINAL),
        ("tau of parameters", PARAMS),
    ):
        tau = found.correlations[column.name].kendall_tau
        rows[label] = tau_in_words(tau).removeprefix("tau ")
    rows["score against model size"] = found.verdict.outcome
    if named.findings.gains:
        rows["gain over random candidates"] = named.findings.gains[0].short
    if (settled := found.trajectory.settles_after.median) is not None:
        rows["settles after epoch (median)"] = f"{settled:g}"
    return rows


def _agreement(first: NamedRun, second: NamedRun) -> str:
    """Return Kendall's tau with its interval between the scores of the networks that two runs share, in words."""
    for each in (first, second):
        if each.run.ranking.empty:
            return f"not compared: {each.name} has no ranking"
        if each.run.criterion.is_relative:
            return f"not compared: {each.name} combines ranks, which depend on its candidates"
    spaces = [str(each.run.settings.get("space", "")).partition(":")[0] for each in (first, second)]
    if spaces[0] != spaces[1]:
        return f"not compared: they are of {spaces[0]} and of {spaces[1]}"
    scores = [_scores(each.run) for each in (first, second)]
    shared = sorted(scores[0].keys() & scores[1].keys())
    if not shared:
        return "not compared: they share no scored network"
    tau = estimate(resampled_tau, *([each[name] for name in shared] for each in scores))
    return f"{tau}, n = {counted(tau.n, 'network')}"


def _scores(run: Run) -> dict[str, float]:
    """Return the score of each network, the better one higher."""
    scored = run.ranking[run.ranking["status"] == "ok"]
    scores = scored["score"] if run.criterion.parts[0].higher_is_better else -scored["score"]
    return dict(zip(scored["canonical"], scores.tolist(), strict=True))


def compare_folders(config: ReportConfig) -> int:
    """Compare the runs of several folders, in which nothing is written, and name the files; return 0.

    UserError where a figure of one run is asked for, a folder holds no run or is given twice, a file of it is damaged,
    or the page would take the place of a file that is not ours.
    """
    if config.figure:
        raise UserError(
            f"--figure {' '.join(config.figure)}: a figure shows a single run; leave --figure out to compare several"
        )
    out = Path(config.out or ".")
    if (page := out / PAGE).exists() and (not page.is_file() or _MARK not in page.read_bytes()[:4000]):
        raise UserError(f"{page} was not written by naswot compare: move it away, or choose another folder with --out")
    found = RunsComparison(read_runs(list(map(open_run, config.run_dir))))
    print_runs(found)
    files = [out / f"{FIGURE}.{ending}" for ending in config.format]
    figure = None
    with warn_of_failure(f"{files[0]} cannot be drawn"):
        if (figure := draw_runs(dict(zip(found.names, found.trajectories, strict=True)))) is not None:
            for file in files:
                save_figure(figure, file)
            print(f"\nFigure: {', '.join(map(str, files))}")
    atomic_write(page, render_comparison(found, figure).encode("utf-8", "replace"))
    print(f"\nReport: {page}")
    return 0


def render_comparison(found: RunsComparison, figure: Figure | None) -> str:
    """Return the page with the figure in it; the same comparison gives the same text."""
    picture = BytesIO()
    if figure is not None:
        figure.savefig(picture, format="png", dpi=_DPI)
    return render("runs.html", _TITLE, page=found, figure=b64encode(picture.getvalue()).decode())


def print_runs(found: RunsComparison) -> None:
    """Print what differs, the figures, and how far the rankings agree."""
    names = ["", *map(one_line, found.names)]
    print_text("Settings that differ" if found.differences else "All settings are the same.")
    for rows in filter(None, (found.differences, found.rows)):
        print_words(names, ([label, *map(one_line, texts)] for label, texts in rows))
        print()
    print_text("Kendall tau between two runs' scores of the networks they share, with 95 % intervals")
    for first, second, said in found.agreements:
        print_text(f"  {one_line(first)} and {one_line(second)}: {said}", indent=" " * 4)
