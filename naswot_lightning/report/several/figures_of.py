"""The figures of a run as a column of the table: a label and a text each, in the same order for every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from naswot_lightning.analysis.results import Network, choose_best
from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.columns import PARAMS, SCORE_FINAL, SCORE_INIT, TEST_ACC
from naswot_lightning.ranking import as_dicts
from naswot_lightning.report.provisional import criteria_of
from naswot_lightning.report.several.beside import Beside

_NOTHING = "-"
Rows = Mapping[str, str]


def figures_of(beside: Beside) -> Rows:
    """Return the figures of a run by their labels; "-" where it has none."""
    return {**_of_search(beside), **_of_table(beside), **_of_trainings(beside)}


def criterion_name(beside: Beside) -> str:
    """Return what the ranking is ordered by, in words."""
    return criteria_of(beside.run.settings, beside.run.rows[:1])[0].name if not beside.run.ranking.empty else _NOTHING


def _of_search(beside: Beside) -> Rows:
    run, search = beside.run, beside.findings.search
    settings = run.settings if search else {}
    first = next(as_dicts(run.ranking.head(1)), {})
    statuses = dict(search.statuses) if search else {}
    ok = statuses.pop("ok", 0)
    others = "".join(f", {count:,} {status}" for status, count in statuses.items())
    return {
        "space": str(settings.get("space", run.groups[0].settings.space if run.groups else _NOTHING)),
        "data set of the search": str(settings.get("dataset", _NOTHING)),
        "candidates": f"{ok:,} scored{others}{', so far' if run.provisional else ''}" if search else _NOTHING,
        "ranked by": criterion_name(beside),
        "best": f"{score:,.2f}" if (score := first.get("score")) is not None else _NOTHING,
        "parameters of the best": f"{params:,}" if (params := first.get("params")) is not None else _NOTHING,
        "tau of score and parameters": _plain(search.agreement.get(PARAMS.name) if search else None),
    }


def _of_table(beside: Beside) -> Rows:
    """Return what a table of accuracies says of the ranking."""
    found = beside.run.table_evidence
    tau = found.correlations[SCORE_INIT.name].kendall_tau if found else None
    return {
        "accuracy of the best, by the table": _percent(found.pick if found else None),
        "tau with the table's accuracy": _with_n(tau),
        "verdict by the table": found.verdict.outcome if found else _NOTHING,
    }


def _of_trainings(beside: Beside) -> Rows:
    group = beside.run.groups[0] if beside.run.groups else None
    found = beside.findings.groups[0] if beside.findings.groups else None
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
