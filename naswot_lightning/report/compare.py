"""The comparison of trained picks: does a higher score mean a higher accuracy?"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from naswot_lightning import evidence, figures, tracking
from naswot_lightning.config import WandbConfig
from naswot_lightning.evidence import Estimate, Verdict
from naswot_lightning.ranking import read_ranking, to_csv
from naswot_lightning.results import Group, Network, comparable, read_results
from naswot_lightning.storage.files import write_whole
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.tables import print_table
from naswot_lightning.trajectory import Trajectory, describe, read_trajectory, trajectory_facts

Row = dict[str, Any]

COLUMNS = (
    "rank", "score_init", "score_final", "best_val_acc", "test_acc", "val_set", "test_set", "params", "macs", "seed",
    "dataset", "epochs", "status", "seconds", "pick", "architecture",
)  # fmt: skip
_HEADERS = {
    "rank": "rank",
    "score_init": "score at init",
    "score_final": "score after",
    "best_val_acc": "best val acc",
    "test_acc": "test acc",
    "params": "parameters",
    "macs": "MACs",
    "seed": "seed",
    "dataset": "data set",
    "test_set": "test set",
    "epochs": "epochs",
    "status": "status",
    "seconds": "seconds",
    "pick": "pick",
    "architecture": "architecture",
}
_ONLY_WHERE_TELLING = ("seed", "dataset", "test_set", "epochs", "status")
_AVERAGED = ("test_acc", "best_val_acc", "score_init", "score_final")
SEEDS_COLUMNS = (
    "rank", "network", "n_seeds", "left_out", *(f"{name}_{what}" for name in _AVERAGED for what in ("mean", "std")),
    "params", "macs", "dataset", "test_set", "epochs", "architecture",
)  # fmt: skip
_ACCURACIES = ("test_acc", "best_val_acc")
_STATISTICS = {"kendall_tau": "tau", "spearman_rho": "rho"}


def compare(folder: RunFolder, wandb: WandbConfig) -> None:
    """Write tables, evidence and figures of all trained picks, print them, log them to wandb.

    Files: ``comparison.csv``, ``comparison_seeds.csv`` where a network has several seeds, ``evidence.json``,
    ``figures/figure6.png``, ``figures/score_vs_accuracy.png``. Only results of one data set, test set, number of
    epochs, recipe and space enter one statistic: each such group has its own, and the figures show the largest.

    Raises:
        UserError: a result, a trajectory or the ranking is damaged.
    """
    results = read_results(folder.path)
    if not results:
        return
    groups = comparable(results)
    picks = folder.path / "picks"
    trajectories = {row["pick"]: read_trajectory(picks / row["pick"] / "trajectory.csv") for row in results}
    ranked = _ranked(folder.path)
    found = [gather(group, trajectories, ranked) for group in groups]
    write_whole(folder.path / "comparison.csv", to_csv(results, COLUMNS))
    write_whole(folder.path / "evidence.json", json.dumps(_evidence_file(found), indent=1, allow_nan=False) + "\n")
    seeds = _write_seeds(folder.path, groups)
    drawn = _draw(folder.path / "figures", groups[0], found[0], trajectories)
    _report(folder.path, results, seeds, groups, found)
    _track(folder, wandb, results, found[0], drawn)


def _ranked(folder: Path) -> list[str] | None:
    """Return the ranking's different networks, best first, or None where picks were given without a ranking."""
    if not (folder / "ranking.json").exists():
        return None
    return list(dict.fromkeys(row["canonical"] for row in read_ranking(folder) if row["status"] == "ok"))


def gather(group: Group, trajectories: Mapping[str, Trajectory], ranked: Sequence[str] | None) -> Row:
    """Return all that one group of comparable results says about the score, in plain types and estimates.

    Args:
        group: of :func:`naswot_lightning.results.comparable`.
        trajectories: by the name of the pick.
        ranked: canonical names of the ranking's different networks, best first, or None without a ranking.
    """
    networks = group.usable
    statuses = Counter(row["status"] for row in group.results)
    return {
        **group.settings,
        "networks": len(networks),
        "results": len(group.results),
        "seeds": group.seeds,
        "left_out": {
            **{status: count for status, count in sorted(statuses.items()) if status != "ok"},
            "networks": len(group.networks) - len(networks),
        },
        "ranked": None if ranked is None else len(ranked),
        "note": evidence.note_on_range(group.networks, ranked),
        "correlations": {name: evidence.correlations(networks, name) for name in _ACCURACIES},
        "verdict": evidence.judge(networks, None if ranked is None else len(ranked)),
        "trajectory": trajectory_facts(networks, trajectories),
    }


def _evidence_file(found: Sequence[Row]) -> Row:
    method = {
        "interval": "percentile bootstrap over networks",
        "confidence": evidence.CONFIDENCE,
        "resamples": evidence.RESAMPLES,
        "seed": evidence.SEED,
    }
    return {"method": method, "groups": [_plain(each) for each in found]}


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate | Verdict):
        return asdict(value)
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _write_seeds(folder: Path, groups: Sequence[Group]) -> list[Row]:
    """Write ``comparison_seeds.csv`` where a network has several seeds; return its rows."""
    path = folder / "comparison_seeds.csv"
    networks = [(group, network) for group in groups for network in _by_rank(group)]
    if all(len(network.results) == 1 for _, network in networks):
        path.unlink(missing_ok=True)
        return []
    rows = [_seeds_row(group, network) for group, network in networks]
    write_whole(path, to_csv(rows, SEEDS_COLUMNS))
    return rows


def _seeds_row(group: Group, network: Network) -> Row:
    statistics = {
        key: value
        for name in _AVERAGED
        for key, value in ((f"{name}_mean", network.mean(name)), (f"{name}_std", network.deviation(name)))
    }
    return {
        "rank": network.rank,
        "network": network.name,
        "n_seeds": len(network.finished),
        "left_out": len(network.results) - len(network.finished),
        **statistics,
        **{name: network.results[0][name] for name in ("params", "macs", "architecture")},
        **group.settings,
    }


def _by_rank(group: Group) -> list[Network]:
    return sorted(group.networks, key=lambda network: (network.rank is None, network.rank or 0, network.canonical))


def _draw(folder: Path, group: Group, found: Row, trajectories: Mapping[str, Trajectory]) -> dict[str, Path]:
    paths = {name: folder / f"{name}.png" for name in ("figure6", "score_vs_accuracy")}
    networks = _by_rank(group)
    shown = [network for network in networks if any(trajectories[row["pick"]].points for row in network.results)]
    failed = any(row["status"] != "ok" for row in group.results)
    title = group.title(len(shown)) + (", grey: training failed" if failed else "")
    figures.draw_figure6(networks, trajectories, title, paths["figure6"])
    taus = {name: each["kendall_tau"] for name, each in found["correlations"]["test_acc"].items()}
    panels = {
        name: (rf"score $s = \log|K_H|$ {when} (natural log)", _heading(when, taus[name]))
        for name, when in (("score_init", "at init"), ("score_final", "after training"))
    }
    several = " (mean ± standard deviation)" if len(group.seeds) > 1 else ""
    title = group.title(len(group.usable)) + several
    figures.draw_score_vs_accuracy(networks, panels, title, paths["score_vs_accuracy"])
    return paths


def _heading(when: str, tau: Estimate) -> str:
    value = "not defined" if tau.value is None else f"{tau.value:.2f}"
    interval = "" if tau.low is None else f", 95 % {tau.interval}"
    return f"score {when}: Kendall tau {value}{interval}, n = {tau.n}"


def _report(
    folder: Path, results: Sequence[Row], seeds: Sequence[Row], groups: Sequence[Group], found: Sequence[Row]
) -> None:
    columns = [name for name in _HEADERS if name not in _ONLY_WHERE_TELLING or _is_telling(name, results)]
    print()
    print_table(
        f"{len(results)} trained picks",
        [_HEADERS[name] for name in columns],
        ([row[name] for name in columns] for row in results),
    )
    if seeds:
        _print_seeds(seeds)
    for group, each in zip(groups, found, strict=True):
        _print_evidence(group.title(each["networks"]) if len(groups) > 1 else None, each)
    names = ("comparison.csv", *(("comparison_seeds.csv",) if seeds else ()), "evidence.json")
    print(f"\nComparison: {', '.join(str(folder / name) for name in names)}")
    print(f"Figures:    {folder / 'figures' / 'figure6.png'}, {folder / 'figures' / 'score_vs_accuracy.png'}")
    print(f"Picks:      {folder / 'picks'}")


def _is_telling(name: str, results: Sequence[Row]) -> bool:
    values = {row[name] for row in results}
    return len(values) > 1 or (name == "status" and values != {"ok"})


def _print_seeds(rows: Sequence[Row]) -> None:
    headers = ("rank", "seeds", "left out", *(_HEADERS[name] for name in _AVERAGED), "network")
    print()
    print_table(
        "Mean ± sample standard deviation over seeds",
        headers,
        (
            [row["rank"], row["n_seeds"], row["left_out"], *(_spread(row, name) for name in _AVERAGED), row["network"]]
            for row in rows
        ),
    )


def _spread(row: Row, name: str) -> str | None:
    mean, deviation = row[f"{name}_mean"], row[f"{name}_std"]
    if mean is None:
        return None
    digits = 4 if name.endswith("_acc") else 2
    return f"{mean:.{digits}f}{'' if deviation is None else f' ± {deviation:.{digits}f}'}"


def _print_evidence(title: str | None, found: Row) -> None:
    if title is not None:
        print(f"\n{title}:")
    if line := _left_out_line(found):
        print(f"\n{line}")
    _print_correlations(found)
    print(f"\n{found['verdict'].sentence}")
    if found["note"] is not None:
        print(found["note"])
    if lines := describe(found["trajectory"]):
        print("\nScore during training:\n  " + "\n  ".join(lines))


def _left_out_line(found: Row) -> str | None:
    left_out = dict(found["left_out"])
    networks = left_out.pop("networks")
    if not left_out and not networks:
        return None
    parts = [f"{count} {status}" for status, count in left_out.items()] or ["0"]
    return (
        f"Left out of the statistics: {', '.join(parts)} of {found['results']} results; "
        f"networks without a score and a test accuracy: {networks} of {found['networks'] + networks}"
    )


def _print_correlations(found: Row) -> None:
    shown = [("test_acc", "kendall_tau"), ("test_acc", "spearman_rho"), ("best_val_acc", "kendall_tau")]
    correlations = found["correlations"]
    if correlations["best_val_acc"]["score_init"]["kendall_tau"].n == 0:  # a protocol without validation
        shown.pop()
    headers = [header for _, header in zip(shown, ("tau", "rho", "tau with val acc"), strict=False)]
    print()
    print_table(
        f"Kendall tau with test accuracy over {found['networks']} networks, Spearman rho, 95 % bootstrap intervals",
        [*(name for header in headers for name in (header, "95 % interval")), "n", "of"],
        (_correlation_row(correlations, shown, name) for name in evidence.PREDICTORS),
    )


def _correlation_row(correlations: Row, shown: Sequence[tuple[str, str]], name: str) -> list[Any]:
    estimates = [correlations[accuracy][name][statistic] for accuracy, statistic in shown]
    cells = [text for each in estimates for text in (_rounded(each.value), each.interval)]
    return [*cells, estimates[0].n, evidence.PREDICTORS[name]]


def _rounded(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _track(
    folder: RunFolder, config: WandbConfig, results: Sequence[Row], found: Row, drawn: Mapping[str, Path]
) -> None:
    content = hashlib.sha256(to_csv(results, COLUMNS).encode()).hexdigest()[:4]
    run_id = f"{folder.run_id()}-comparison-{len(results)}-{content}"
    if list(folder.path.glob(f"wandb/*{run_id}")):
        return
    run = tracking.start_run(
        config,
        folder.path,
        {"picks": len(results)},
        id=run_id,
        name=f"comparison {folder.path.name}",
        group=config.group or f"{folder.path.resolve().name}-{folder.run_id()}",
        job_type="comparison",
    )
    if run is not None:
        tracking.log_comparison(run, results, COLUMNS, _summary(found), drawn)


def _summary(found: Row) -> Row:
    """Return the evidence as wandb's summary shows it: flat names, that of the largest group."""
    estimates = {
        f"{short}/{name}": each[statistic]
        for name, each in found["correlations"]["test_acc"].items()
        for statistic, short in _STATISTICS.items()
    }
    verdict = found["verdict"]
    if verdict.difference is not None:
        estimates["tau/score_init_less_size"] = verdict.difference
    summary = {"networks": found["networks"], "verdict": verdict.outcome, "verdict_sentence": verdict.sentence}
    for name, each in estimates.items():
        summary |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
    return summary
