"""What several runs say beside each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

from naswot_lightning.analysis.results import Network, choose_best
from naswot_lightning.analysis.statistics import Estimate, estimate, resampled_tau
from naswot_lightning.analysis.trajectory import Points, seed_band
from naswot_lightning.columns import PARAMS, SCORE_FINAL, SCORE_INIT, TEST_ACC
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import as_dicts
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.run import Run, read_rows, read_run
from naswot_lightning.storage.run_folder import RunFolder

# Where a run is printed, shown and computed changes no result.
_FREE = (
    "run_dir", "top", "select", "device", "engine", "workers", "timeout", "slurm", "wandb", "overwrite", "trust",
    "calibrate",
)  # fmt: skip
_NOTHING = "-"


@dataclass(frozen=True)
class NamedRun:
    """One of the runs that are compared."""

    name: str
    """of the folder, or its path where others are called the same."""
    run: Run
    findings: Findings


@dataclass(frozen=True)
class Difference:
    """A setting in which runs differ."""

    name: str
    """of the option; of trainings with "train.py" before it."""
    values: tuple[str, ...]
    """of each run, in words; "-" where it has none."""


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
    differences: tuple[Difference, ...]
    """in their settings."""
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
        folder.expect_own_folders()
    runs = [read_run(folder) for folder in folders]
    runs = [read_rows(folder, run) if run.ranking.empty else run for folder, run in zip(folders, runs, strict=True)]
    called = [folder.name for folder in folders]
    names = [
        name if called.count(name) == 1 else str(folder.path) for name, folder in zip(called, folders, strict=True)
    ]
    return [NamedRun(name, run, find(run)) for name, run in zip(names, runs, strict=True)]


def compare_runs(runs: Sequence[NamedRun]) -> RunsComparison:
    """Return the comparison of runs, in their order; pure, and the same for the same files."""
    columns = [_table_column(each) for each in runs]
    rows = [(label, tuple(column[label] for column in columns)) for label in columns[0]]
    return RunsComparison(
        names=tuple(each.name for each in runs),
        differences=tuple(differences([each.run for each in runs])),
        rows=tuple((label, texts) for label, texts in rows if set(texts) != {"-"}),
        agreements=tuple(_agreement(first, second) for first, second in combinations(runs, 2)),
        trajectories=tuple(_trajectories(each.run) for each in runs),
    )


def _trajectories(run: Run) -> tuple[Points, ...]:
    networks = run.groups[0].by_rank if run.groups else []
    points = run.trajectories
    bands = (seed_band([points[result.pick].points for result in network.finished]) for network in networks)
    return tuple(band.points for band in bands if band.points)


def differences(runs: Sequence[Run]) -> list[Difference]:
    """Return the settings that are not the same in all runs, those of the searches first."""
    settings = [_settings(run) for run in runs]
    names = dict.fromkeys(name for each in settings for name in each)
    found = [Difference(name, tuple(each.get(name, _NOTHING) for each in settings)) for name in names]
    return [each for each in found if len(set(each.values)) > 1]


def _settings(run: Run) -> dict[str, str]:
    """Return what decides a result: settings of the search, what trainings of the largest group share, their seeds."""
    found = _flat({name: value for name, value in run.settings.items() if name not in _FREE})
    if run.groups:
        shared, seeds = run.groups[0].settings, ", ".join(map(str, run.groups[0].seeds))
        named = {"dataset": shared.dataset, "epochs": str(shared.epochs), "recipe": shared.recipe, "seeds": seeds}
        found |= {f"train.py {name}": _NOTHING if value is None else value for name, value in named.items()}
    return found


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in settings.items():
        found |= (
            _flat(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else {prefix + name: value if isinstance(value, str) else json.dumps(value)}
        )
    return found


def _table_column(named: NamedRun) -> Mapping[str, str]:
    """Return what a run reaches by labels that are the same for every run; "-" where it has nothing."""
    return {**_of_search(named), **_of_benchmark(named), **_of_trainings(named)}


def _of_search(named: NamedRun) -> dict[str, str]:
    run, search = named.run, named.findings.search
    settings = run.settings if search else {}
    first = next(as_dicts(run.ranking.head(1)), {})
    statuses = dict(search.statuses) if search else {}
    ok = statuses.pop("ok", 0)
    others = "".join(f", {count:,} {status}" for status, count in statuses.items())
    return {
        "space": str(settings.get("space", run.groups[0].settings.space if run.groups else _NOTHING)),
        "data set of the search": str(settings.get("dataset", _NOTHING)),
        "candidates": f"{ok:,} scored{others}{', so far' if run.provisional else ''}" if search else _NOTHING,
        "ranked by": run.criterion.name if search else _NOTHING,
        "best": f"{score:,.2f}" if (score := first.get("score")) is not None else _NOTHING,
        "parameters of the best": f"{params:,}" if (params := first.get("params")) is not None else _NOTHING,
        "tau of score and parameters": _plain(search.agreement.get(PARAMS.name) if search else None),
    }


def _of_benchmark(named: NamedRun) -> dict[str, str]:
    """Return what a table of accuracies says of the ranking."""
    found = named.run.benchmark
    tau = found.correlations[SCORE_INIT.name].kendall_tau if found else None
    return {
        "accuracy of the best, by the table": _percent(found.pick if found else None),
        "tau with the table's accuracy": _with_n(tau),
        "verdict by the table": found.verdict.outcome if found else _NOTHING,
    }


def _of_trainings(named: NamedRun) -> dict[str, str]:
    group = named.run.groups[0] if named.run.groups else None
    found = named.findings.groups[0] if named.findings.groups else None
    networks = group.by_rank if group else []
    of_test = found.correlations[TEST_ACC.name] if found else {}
    settled = found.trajectory.settles_after.median if found else None
    return {
        "trained networks": f"{len(networks)}, {_counted(len(group.seeds), 'seed')}" if group else _NOTHING,
        "test accuracy of the best (%)": _best(networks),
        "test accuracy, mean (%)": spread(_means(networks, TEST_ACC.name, 100.0)),
        "  lowest to highest (%)": _range(_means(networks, TEST_ACC.name, 100.0)),
        "score at init, mean": spread(_means(networks, SCORE_INIT.name)),
        "  lowest to highest": _range(_means(networks, SCORE_INIT.name)),
        "score after training, mean": spread(_means(networks, SCORE_FINAL.name)),
        "  lowest to highest after": _range(_means(networks, SCORE_FINAL.name)),
        "tau of score at init": _with_n(of_test[SCORE_INIT.name].kendall_tau if found else None),
        "tau of score after training": _with_n(of_test[SCORE_FINAL.name].kendall_tau if found else None),
        "tau of parameters": _with_n(of_test[PARAMS.name].kendall_tau if found else None),
        "score against plain size": found.verdict.outcome if found else _NOTHING,
        "settles after epoch (median)": _NOTHING if settled is None else f"{settled:g}",
    }


def _best(networks: Sequence[Network]) -> str:
    """Return the mean test accuracy of the best network by validation over its seeds, with its deviation."""
    best = choose_best([each for each in networks if each.mean(TEST_ACC.name) is not None])
    if best is None:
        return _NOTHING
    values = [100 * each.test_acc for each in best.finished if each.test_acc is not None]
    return f"{spread(values)}, {_counted(len(values), 'seed')}"


def _means(networks: Sequence[Network], name: str, unit: float = 1.0) -> list[float]:
    """Return the mean of each network over its seeds."""
    return [unit * value for each in networks if (value := each.mean(name)) is not None]


def spread(values: Sequence[float]) -> str:
    """Return the mean ± sample standard deviation; of one value, it.

    >>> spread([94.0, 95.0]), spread([94.0]), spread([])
    ('94.50 ± 0.71', '94.00', '-')
    """
    if not values:
        return _NOTHING
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else _NOTHING


def _counted(n: int, of: str) -> str:
    return f"{n} {of}{'' if n == 1 else 's'}"


def _with_n(tau: Estimate | None) -> str:
    return _NOTHING if tau is None else f"{tau}, n = {tau.n}"


def _plain(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:.2f} %"


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
