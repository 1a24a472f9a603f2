"""``naswot search`` and ``naswot merge``, and what they show when all is ranked: tables, figures, pages."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from naswot_lightning.analysis.evidence import agreement_with_size, say_better_score
from naswot_lightning.columns import BENCHMARK_ACC, COMBINED, COSTS, PARETO_RANK, SCORE_INIT, SIZES
from naswot_lightning.config import MergeConfig, SearchConfig
from naswot_lightning.console import counted, fold, print_table, print_text, terminal_width
from naswot_lightning.errors import warn_of_failure
from naswot_lightning.ranking import COLUMNS, as_dicts, as_read
from naswot_lightning.report.compare import print_choices
from naswot_lightning.report.figures import draw_figures
from naswot_lightning.report.findings import find
from naswot_lightning.report.html.page import write_report
from naswot_lightning.report.html.tables import best_so_far
from naswot_lightning.report.loggers import logged_run, other_loggers, wandb_of
from naswot_lightning.report.run import BenchmarkEvidence, read_run
from naswot_lightning.report.wandb import runs
from naswot_lightning.report.wandb.content import (
    BEST_SCORE,
    log_search,
    search_config,
    search_summary,
)
from naswot_lightning.searching.algorithms.base import Proposal, architecture_of
from naswot_lightning.searching.algorithms.random import Shard
from naswot_lightning.searching.calibration import MOST_NETWORKS, calibrate, recommend
from naswot_lightning.searching.loop import Search, SearchResult
from naswot_lightning.searching.merge import merge_shards
from naswot_lightning.searching.plan import plan_search
from naswot_lightning.spaces.errors import one_line
from naswot_lightning.storage.score_rows import ScoreRow

# Of a search; figure3 is drawn where a table knows accuracies.
_FIGURES = ("score_vs_params", "score_distribution", "pareto", "figure3")
# Of the reason why a score of ReLUs failed.
_NO_RELU = "no rectified linear unit"
# Columns of an architecture that is named as an example: its line fits 80.
_EXAMPLE = 22


def run_search(config: SearchConfig) -> int:
    """Rank the candidates of ``config``, or measure cheaper settings of the score on them, as it says.

    Return 0, or 1 where no candidate could be scored, or some only not on this machine.
    """
    search = plan_search(config)
    # Faults of the candidates are reported before the folder is touched.
    first = search.first_batch()
    if config.calibrate:
        return calibrate_and_show(search, first)
    return _rank(search, first)


def run_merge(config: MergeConfig) -> int:
    """Put the shards of a search together, and show the whole; return as :func:`run_search`."""
    return _rank(*merge_shards(config))


def _rank(search: Search, first: Sequence[Proposal]) -> int:
    with search.opened():
        with search.loop() as loop:
            proposed = loop.run(search.algorithm, first)
        return show_search(search, search.write_result(loop, proposed))


def show_search(search: Search, result: SearchResult) -> int:
    """Show the ranking of a search whose folder is open; return 0, or 1 where no candidate could be scored."""
    print_summary(search, result.ranking, result.proposed)
    if search.limits.n_rejected:
        print_text(str(search.limits))
    # They have a score and a reason to doubt it, or miss another score.
    if doubted := [row for row in result.proposed if row.status == "ok" and row.reason is not None]:
        example = f"e.g. {doubted[0].architecture}: {doubted[0].reason}"
        print_text(one_line(f"{counted(len(doubted), 'score')} with a warning, {example} (all in scores.jsonl)"))
    if result.benchmark:
        _print_benchmark(search, result.benchmark, result.ranking)
    if isinstance(search.algorithm, Shard):
        print(search.algorithm)
    figures: Mapping[str, Path] = {}
    with warn_of_failure(f"{search.folder.report} cannot be written"):
        shown = replace(read_run(search.folder, as_read(result.ranking)), rows=result.finished)
        findings = find(shown)
        if findings.front is not None:
            print_text(findings.front.sentence)
        figures = draw_figures(shown, findings, search.folder.figures, _FIGURES)
        print(f"Report: {write_report(search.folder, shown, findings)}")
    _track(search, result, figures)
    if result.unscored:
        count = counted(len(result.unscored), "candidate")
        row = result.unscored[0]
        why = f"because the machine failed, e.g. {fold(one_line(row.architecture), _EXAMPLE)}: {row.reason}"
        print(f"{count} could not be scored {why}; run the same command again to retry", file=sys.stderr)
    return 0 if result.ranking["status"].iloc[0] == "ok" and not result.unscored else 1


def calibrate_and_show(search: Search, first: Sequence[Proposal]) -> int:
    """Measure cheaper settings of the score, print what each costs, recommend one; return 0."""
    networks = list(dict.fromkeys(search.canonical(architecture_of(each)) for each in first))[:MOST_NETWORKS]
    found = calibrate(search, networks)
    what = f"naswot on {search.space.name}, {search.config.dataset}: {len(networks)} networks"
    rows = ([each.ms, each.tau, each.name] for each in found)
    print_table(f"{what}; tau is Kendall's, with the full setting", ("ms per network", "tau", "setting"), rows)
    best, yardstick = recommend(found), found[-1].tau
    noise = " --dataset noise" if best.dataset == "noise" else ""
    print(
        f"\nRecommended: --probe_size {best.probe_size} --batch_size {best.batch_size} "
        f"--precision {best.precision}{noise}\n"
        f"This is the cheapest setting ({best.ms} ms, {found[0].ms / best.ms:.1f} times less than the full one) whose\n"
        f"tau of {best.tau:.3f} is no lower than that of the full setting with another seed, {yardstick:.3f}."
        f"\n\nTable: {search.folder.path / 'calibration.csv'}"
    )
    return 0


def print_summary(search: Search, ranking: pd.DataFrame, proposed: Sequence[ScoreRow]) -> None:
    """Print the top of the ranking, what the score adds over model size, and what could not be scored, and why."""
    if (ranking["status"] == "ok").any():
        _print_ranked(search, ranking)
    else:
        print_text(f"{search.space.name} on {search.config.dataset}: no candidate has a score")
    if search.objectives:
        _print_front(search, ranking)
    _print_counts(proposed, ranking)
    for status in ("degenerate", "failed"):
        unscored = set(ranking.loc[ranking["status"] == status, "architecture"])
        if unscored:
            _print_unscored([row for row in proposed if row.architecture in unscored], status, len(ranking))
    print(f"Ranking: {search.folder.path / 'ranking.csv'}")


def _print_ranked(search: Search, ranking: pd.DataFrame) -> None:
    first = search.criteria[0]
    _print_top(search, ranking)
    if first.is_relative:
        parts = ", ".join(part.label for part in first.parts)
        print_text(
            f"{first.label} is the {COMBINED[first.combine]} by {parts} among these {len(ranking)} candidates: "
            "do not compare it with values from another ranking"
        )
    print()
    taus = agreement_with_size(ranking).items()
    sizes = ", ".join(f"{SIZES[size].label} {'not defined' if tau is None else f'{tau:.3f}'}" for size, tau in taus)
    print_text(f"Kendall tau between {first.label} and model size: {sizes}")
    if search.space.evidence:
        sentence, *others = re.split(r"(?<=\.)\s+(?=[A-Z])", search.space.evidence, maxsplit=1)
        print_text(f"Known about this space: {sentence}{' (report.html)' if others else ''}")


def _print_counts(proposed: Sequence[ScoreRow], ranking: pd.DataFrame) -> None:
    """Say why a ranking, or its different networks, are fewer than the candidates."""
    whole, scored = sum(row.fidelity is None for row in proposed), ranking.loc[ranking["status"] == "ok", "canonical"]
    again, equal = whole - len(ranking), len(scored) - scored.nunique()
    said = []
    if again > 0:
        said.append(f"{again} of {counted(whole, 'candidate')} {'was' if again == 1 else 'were'} proposed before")
    if equal:
        networks = counted(scored.nunique(), "different network")
        said.append(f"{networks} ({equal} of {len(scored)} equal another one once dead branches are removed)")
    if said:
        print_text("; ".join(said))


def _print_unscored(rows: Sequence[ScoreRow], status: str, ranked: int) -> None:
    """Say how many candidates have no score, and the most frequent reason; of most of them also what to do."""
    reasons = {row.architecture: row.reason or "no reason given" for row in rows}
    (reason, count), *others = Counter(reasons.values()).most_common()
    example = one_line(next(architecture for architecture, why in reasons.items() if why == reason))
    example = example if terminal_width() is None else fold(example, _EXAMPLE)
    share = f" ({count} of them; all reasons in scores.jsonl)" if others else ""
    print_text(one_line(f"{len(reasons)} {status}, ranked last, e.g. {example}: {reason}{share}"))
    if _NO_RELU in reason and 2 * count > ranked:
        print_text(
            "Most networks have no ReLU: count smooth activations such as GELU and SiLU with --units auto, or use "
            "--score synflow, jacob_cov or zen, which need no ReLU"
        )


def _print_top(search: Search, ranking: pd.DataFrame) -> None:
    top, first = list(as_dicts(ranking.head(search.config.top))), search.criteria[0]
    extra = [name for name in top[0] if name not in COLUMNS and name != first.name]
    labels = {criterion.name: criterion.label for criterion in search.criteria}
    labels |= {name: column.axis for name, column in (SIZES | COSTS).items()}
    labels["score"] = first.label if extra else "score"
    names = ("rank", "score", *extra, *("params", "macs", "n_units"), "architecture")
    print_table(
        f"{search.space.name} on {search.config.dataset}: best {len(top)} of {len(ranking)} by {first.label}",
        [labels.get(name, name) for name in names],
        ([row[name] for name in names] for row in top),
        optional=[labels.get(name, name) for name in ("n_units", "macs", *extra)],
        complete_in="ranking.csv",
    )


def _print_front(search: Search, ranking: pd.DataFrame) -> None:
    """Print the networks that no other beats in all objectives, along the front."""
    front = ranking[ranking[PARETO_RANK] == 1].drop_duplicates("canonical")
    # A single score has no column of its own name.
    names = [each.name if each.name in ranking else "score" for each in search.objectives]
    along = np.linspace(0, len(front) - 1, min(len(front), search.config.top))
    chosen = front.iloc[along.round().astype(int)]
    what = ", ".join(f"{each.name} ({'high' if each.higher_is_better else 'low'})" for each in search.objectives)
    some = f", {len(chosen)} shown" if len(chosen) < len(front) else ""
    rows = ([row[name] for name in ("rank", *names, "architecture")] for row in as_dicts(chosen))
    heads = ["rank", *(each.name for each in search.objectives), "architecture"]
    print()
    print_table(f"Pareto front of {what}: {counted(len(front), 'different network')}{some}", heads, rows)
    beside = ranking[(ranking["status"] == "ok") & ranking[PARETO_RANK].isna()]
    for name in names:
        if missing := int(beside[name].isna().sum()):
            print_text(f"{counted(missing, 'candidate')} without {name}, not on any front")


def _print_benchmark(search: Search, found: BenchmarkEvidence, ranking: pd.DataFrame) -> None:
    """Print what a table of known accuracies says of a ranking."""
    first, *others = search.criteria
    print()
    print_text(f"{found.benchmark} has {found.networks} of {counted(found.candidates, 'candidate')}: {found.target}")
    for name, label in {SCORE_INIT.name: first.label, "params": "parameters", "macs": "MACs"}.items():
        tau = found.correlations[name].kendall_tau
        print(f"  Kendall tau of {label:16s} {tau}, n = {tau.n}")
    print_text(found.verdict.sentence)
    if found.choices:
        print_choices(found.choices)
    if found.regret is not None:
        print_text(found.regret)
    if found.networks and others:
        values = {each.name: ranking["score" if each is first else each.name] for each in search.criteria}
        known = {name: column.to_numpy(float, na_value=np.nan) for name, column in values.items()}
        for each in search.criteria:
            if not (each.is_relative or each.parts[0].higher_is_better):
                known[each.name] = -known[each.name]
        better = say_better_score(first.name, known, ranking[BENCHMARK_ACC.name].to_numpy(float, na_value=np.nan))
        names = ", ".join(each.name for each in others)
        print_text(
            better or f"No other score ({names}) ranks them clearly better than {first.name}: each interval includes 0"
        )


def _track(search: Search, result: SearchResult, figures: Mapping[str, Path]) -> None:
    """Show the search in wandb and other loggers, once; what was continued without anything new is there already."""
    folder, wandb, first = search.folder, wandb_of(search.config), search.criteria[0]
    logged = logged_run(folder, wandb, "search")
    # A relative score depends on all that are ranked: there is no best so far.
    scores = [] if first.is_relative else [row.scores[first.parts[0].name] for row in result.evaluated]
    steps = best_so_far(np.array(scores, dtype=float), first.parts[0].higher_is_better)
    title = f"{first.label} against parameters, {search.space.name} on {search.config.dataset}"
    config = json.loads(json.dumps(search_config({**search.settings, **search.identity}, search.evaluator.fingerprint)))
    for logger in other_loggers(search.config.logger, logged):
        for number, score in steps:
            logger.metrics({BEST_SCORE: score}, number)
        files = [folder.ranking.with_suffix(".csv"), folder.config]
        logger.show(config, search_summary(result.ranking), len(result.ranking), result.ranking, figures, files)
        logger.finish()
    if not result.n_new and logged.id in runs.sent_runs(folder):
        return
    run = runs.start_run(wandb.mode, logged, config)
    given = search.space.name, title, result.ranking, steps, folder, wandb.artifacts
    if run is not None and runs.send(run, lambda each: log_search(each, *given)):
        runs.mark_sent(folder, logged.id)
