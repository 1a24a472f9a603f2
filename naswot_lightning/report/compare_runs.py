"""What several runs say beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev

from naswot_lightning.analysis.results import choose_best
from naswot_lightning.analysis.statistics import Estimate, estimate, resampled_tau
from naswot_lightning.analysis.trajectory import Points, seed_band
from naswot_lightning.columns import PARAMS, SCORE_FINAL, SCORE_INIT, TEST_ACC
from naswot_lightning.config import SearchConfig, result_settings
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import as_dicts
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.html.reproduce import in_words
from naswot_lightning.report.run import Run, read_rows, read_run
from naswot_lightning.storage.run_folder import RunFolder

_NOTHING = "-"


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
            found |= {f"train.py {name}": value for name, value in named.items() if value is not None}
        return found


@dataclass(frozen=True)
class Agreement:
    """Two runs, and how far they rank the networks alike that they share."""

    first: str
    """the name of one run."""
    second: str
    tau: Estimate | None
    """Kendall's, between their scores, the better one higher; None where they are not compared."""
    why: str | None = None
    """why not."""


@dataclass(frozen=True)
class RunsComparison:
    """Several runs beside each other."""

    names: tuple[str, ...]
    differences: tuple[tuple[str, tuple[str, ...]], ...]
    """in their settings: the option, "train.py" before that of trainings, and a text per run, "-" where it has none."""
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """of the table: a label, and a text per run; without those in which no run has anything."""
    agreements: tuple[Agreement, ...]
    """of each two of their rankings."""
    trajectories: tuple[tuple[Points, ...], ...]
    """of each run, the score of each of its networks during training, the mean over its seeds."""


def read_runs(folders: Sequence[RunFolder]) -> list[NamedRun]:
    """Return the runs of some folders, in their order; a search that is under way has a provisional ranking.

    Raises:
        UserError: a folder is given twice or holds no run, or a file of it is damaged.
    """
    paths = [folder.path.resolve() for folder in folders]
    for folder, path in zip(folders, paths, strict=True):
        if not folder.config.exists() and not folder.picks.is_dir():
            raise UserError(f"--run_dir {folder.path}: no run in it; expected the folder of search.py or train.py")
        if paths.count(path) > 1:
            raise UserError(f"--run_dir {folder.path}: it is given twice; a run is compared with others")
        folder.reject_symlinks()
    called = [folder.name for folder in folders]
    found = []
    for folder in folders:
        run = read_run(folder)
        run = read_rows(folder, run) if run.ranking.empty else run
        name = folder.name if called.count(folder.name) == 1 else str(folder.path)
        found.append(NamedRun(name, run, find(run)))
    return found


def compare_runs(runs: Sequence[NamedRun]) -> RunsComparison:
    """Return the comparison of runs, in their order; the same for the same files."""
    rows: dict[str, tuple[str, ...]] = {}
    for part in (_of_search, _of_benchmark, _of_trainings):
        columns = [part(each) for each in runs]
        for label in dict.fromkeys(label for column in columns for label in column):
            rows[label] = tuple(column.get(label, _NOTHING) for column in columns)
    settings = [each.settings for each in runs]
    trajectories = []
    for each in runs:
        points = each.run.trajectories
        networks = each.run.groups[0].by_rank if each.run.groups else []
        bands = (seed_band([points[result.pick].points for result in network.finished]) for network in networks)
        trajectories.append(tuple(band.points for band in bands if band.points))
    names = dict.fromkeys(name for each in settings for name in each)
    differences = ((name, tuple(each.get(name, _NOTHING) for each in settings)) for name in names)
    return RunsComparison(
        names=tuple(each.name for each in runs),
        differences=tuple((name, values) for name, values in differences if len(set(values)) > 1),
        rows=tuple(rows.items()),
        agreements=tuple(_agreement(first, second) for first, second in combinations(runs, 2)),
        trajectories=tuple(trajectories),
    )


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
    found = named.run.benchmark
    if found is None:
        return {}
    tau = found.correlations[SCORE_INIT.name].kendall_tau
    rows = {"tau with the table's accuracy": f"{tau}, n = {tau.n}", "verdict by the table": found.verdict.outcome}
    return rows if found.pick is None else {"accuracy of the best, by the table": f"{100 * found.pick:.2f} %", **rows}


def _of_trainings(named: NamedRun) -> dict[str, str]:
    if not named.run.groups:
        return {}
    group, found = named.run.groups[0], named.findings.groups[0]
    networks = group.by_rank
    rows = {"trained networks": f"{len(networks)}, {_count_seeds(len(group.seeds))}"}
    if best := choose_best([each for each in networks if each.mean(TEST_ACC.name) is not None]):
        values = [100 * each.test_acc for each in best.finished if each.test_acc is not None]
        rows["test accuracy of the best (%)"] = f"{spread(values)}, {_count_seeds(len(values))}"
    for label, lowest, column, unit in (
        ("test accuracy, mean (%)", "  lowest to highest (%)", TEST_ACC, 100.0),
        ("score at init, mean", "  lowest to highest", SCORE_INIT, 1.0),
        ("score after training, mean", "  lowest to highest after", SCORE_FINAL, 1.0),
    ):
        means = [unit * value for each in networks if (value := each.mean(column.name)) is not None]
        if means:
            rows[label] = spread(means)
        if len(means) > 1:
            rows[lowest] = f"{min(means):.2f} to {max(means):.2f}"
    for label, column in (
        ("tau of score at init", SCORE_INIT),
        ("tau of score after training", SCORE_FINAL),
        ("tau of parameters", PARAMS),
    ):
        tau = found.correlations[TEST_ACC.name][column.name].kendall_tau
        rows[label] = f"{tau}, n = {tau.n}"
    rows["score against model size"] = found.verdict.outcome
    if (settled := found.trajectory.settles_after.median) is not None:
        rows["settles after epoch (median)"] = f"{settled:g}"
    return rows


def spread(values: Sequence[float]) -> str:
    """Return the mean ± sample standard deviation; of one value, it.

    >>> spread([94.0, 95.0]), spread([94.0])
    ('94.50 ± 0.71', '94.00')
    """
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def _count_seeds(n: int) -> str:
    return f"{n} seed{'' if n == 1 else 's'}"


def _agreement(first: NamedRun, second: NamedRun) -> Agreement:
    names = first.name, second.name
    for each in (first, second):
        if each.run.ranking.empty:
            return Agreement(*names, None, f"{each.name} has no ranking")
        if each.run.criterion.is_relative:
            why = f"{each.name} ranks by ranks put together, which change with its candidates"
            return Agreement(*names, None, why)
    spaces = [str(each.run.settings.get("space", "")).partition(":")[0] for each in (first, second)]
    if spaces[0] != spaces[1]:
        return Agreement(*names, None, f"they are of {spaces[0]} and of {spaces[1]}")
    tau = tau_of_shared(_scores(first.run), _scores(second.run))
    return Agreement(*names, tau, None if tau.n else "they share no scored network")


def tau_of_shared(first: Mapping[str, float], second: Mapping[str, float]) -> Estimate:
    """Return Kendall's tau with its interval between two scores of the networks that have both.

    >>> tau_of_shared({"a": 1.0, "b": 2.0, "c": 3.0}, {"c": 9.0, "b": 7.0, "d": 1.0}).n
    2
    """
    shared = sorted(first.keys() & second.keys())
    return estimate(resampled_tau, [first[name] for name in shared], [second[name] for name in shared])


def _scores(run: Run) -> dict[str, float]:
    """Return the score of each network, the better one higher."""
    scored = run.ranking[run.ranking["status"] == "ok"]
    scores = scored["score"] if run.criterion.parts[0].higher_is_better else -scored["score"]
    return dict(zip(scored["canonical"], scores.tolist(), strict=True))
