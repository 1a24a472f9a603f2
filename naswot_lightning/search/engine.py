"""One search: candidates, scores, ranking, each written as it is finished."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from naswot_lightning import ranking as rankings
from naswot_lightning import tracking
from naswot_lightning.candidates import Scorer
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.dataset import load_dataset
from naswot_lightning.data.probe import Probe, draw_probe, load_probe
from naswot_lightning.devices import get_device, warn_of_slow_bf16
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.proxies import parse_scores
from naswot_lightning.storage.run_folder import JsonLines, RunFolder
from naswot_lightning.search.calibration import calibrate
from naswot_lightning.search.random import Limits, enumerated, given, sampled
from naswot_lightning.search.workers import score_networks
from naswot_lightning.tables import print_table
from spaces import Complexity, Space, get_space

Row = dict[str, Any]

ALGORITHMS = ("random",)
# What a row takes over from the scorer, and shares with rows of equal networks.
_RESULTS = ("score", "scores", "stds", "n_units", "params", "macs")


def run_search(config: SearchConfig) -> int:
    """Rank the candidates of ``config``, continuing what its run folder holds.

    Returns:
        0, or 1 where no candidate could be scored.

    Raises:
        UserError: a setting, a file or the run folder is at fault.
    """
    columns = parse_scores(config.score)
    expect_name("algorithm", config.algorithm, ALGORITHMS)
    space = get_space(config.space)
    config = replace(config, space=space.name)  # the one spelling of its options
    device = get_device(config.device)
    if config.precision == "bf16" and (warning := warn_of_slow_bf16(device)):
        print(f"search.py: warning: {warning}", file=sys.stderr)
    scorer = make_scorer(config, space, device)
    candidates = list_candidates(config, space, scorer.probes[0])
    if config.calibrate:
        return calibrate(config, space, [network for _, network in candidates], device)
    folder = RunFolder(config.run_dir)
    with folder.open(asdict(config) | {"overwrite": False}, config.identity(), config.overwrite):
        with JsonLines(folder.scores) as scores:
            fresh = score_candidates(config, scorer, candidates, scores)
            by_architecture = {row["architecture"]: row for row in scores.rows}
        ranking = rankings.rank((by_architecture[architecture] for architecture, _ in candidates), columns)
        rankings.write_ranking(folder.path, ranking)
        _report(config, space, folder.path, ranking)
        _track(config, folder, ranking, scorer.probes[0], fresh)
    return 0 if any(row["status"] == "ok" for row in ranking) else 1


def make_scorer(config: SearchConfig, space: Space, device: torch.device) -> Scorer:
    """Return what scores the candidates of ``config``, with a mini-batch of its own for each repeat."""
    seeds = range(config.seed, config.seed + config.repeats)
    if config.dataset == "noise" or config.repeats == 1:
        place = config.dataset, config.data_dir, config.batch_size
        probes = [load_probe(*place, seed, config.probe_size, config.image_size, config.split_file) for seed in seeds]
    else:
        dataset = load_dataset(config.dataset, config.data_dir, config.image_size, config.split_file)
        probes = [draw_probe(dataset, config.batch_size, seed, config.probe_size) for seed in seeds]
    proxies = list(dict.fromkeys(name for column in parse_scores(config.score) for name in column))
    return Scorer(space, probes, proxies, config.seed, device, config.precision == "bf16")


def list_candidates(config: SearchConfig, space: Space, probe: Probe) -> list[tuple[str, str]]:
    """Return (architecture, the architecture of the network that is scored for it) of every candidate.

    Raises:
        UserError: the list is at fault, or nothing is within the limits.
    """

    def network(architecture: str) -> str:
        return space.canonical(architecture) if config.canonical else architecture

    def size(architecture: str) -> Complexity:
        channels = probe.images.shape[1]
        return space.complexity(network(architecture), probe.num_classes, channels, probe.image_size)

    limits = Limits(config.max_params, config.max_macs, size)
    if config.architectures is not None:
        architectures = [a for a in given(space, config.architectures) if limits.admit(a)]
    elif config.samples == "all":
        architectures = [a for a in enumerated(space) if limits.admit(a)]
    else:
        architectures = sampled(space, config.samples, config.seed, limits)
    if not architectures:
        raise UserError(f"{limits}; raise the limits")
    if limits.refused:
        print(limits)
    return [(a, network(a)) for a in architectures]


def score_candidates(
    config: SearchConfig,
    scorer: Scorer,
    candidates: Sequence[tuple[str, str]],
    scores: JsonLines,
) -> int:
    """Append a row for every candidate that has none; equal networks are scored once.

    Returns:
        The number of rows that are new.
    """
    fingerprint = scorer.probes[0].fingerprint
    _expect_probe(scores, fingerprint)
    finished = {row["architecture"] for row in scores.rows}
    known = {row["canonical"]: row for row in scores.rows}
    waiting = [(a, network) for a, network in candidates if a not in finished]
    sharing: dict[str, list[str]] = {}
    for architecture, network in waiting:
        sharing.setdefault(network, []).append(architecture)
    fresh = [network for network in sharing if network not in known]
    shared = ((network, {**known[network], "seconds": 0.0}) for network in sharing if network in known)
    with _progress(len(fresh)) as bar:
        for network, result in chain(shared, score_networks(scorer, fresh, config.workers)):
            for architecture in sharing[network]:
                scores.append(_row(config, architecture, network, result, fingerprint))
                result = {**result, "seconds": 0.0}  # scored once
            bar.update(0 if network in known else 1)
    return len(waiting)


def _row(config: SearchConfig, architecture: str, network: str, result: Row, fingerprint: str) -> Row:
    return {
        "space": config.space,
        "architecture": architecture,
        "canonical": network,
        **{name: result[name] for name in _RESULTS if name in result},
        "seed": config.seed,
        "probe": fingerprint,
        **{name: result[name] for name in ("seconds", "status", "reason")},
    }


def _expect_probe(scores: JsonLines, fingerprint: str) -> None:
    for row in scores.rows:
        if row["probe"] != fingerprint:
            raise UserError(
                f"the mini-batch (fingerprint {fingerprint}) is not the one of the finished candidates "
                f"({row['probe']}): the data has changed; restore it, or use --overwrite to begin anew"
            )


def _progress(total: int) -> Any:
    pause = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(total=total, unit=" networks", desc="scoring", mininterval=pause, disable=total == 0)


def _report(config: SearchConfig, space: Space, folder: Path, ranking: Sequence[Row]) -> None:
    top = ranking[: config.top]
    columns = ["+".join(names) for names in parse_scores(config.score)]
    extra = [name for name in ranking[0] if name not in rankings.COLUMNS and name != columns[0]]
    names = ("rank", "score", *extra, "params", "macs", "n_units", "architecture")
    print_table(
        f"{config.space} on {config.dataset}: best {len(top)} of {len(ranking)} by {columns[0]}",
        ("rank", columns[0] if extra else "score", *extra, "parameters", "MACs", "rectified units", "architecture"),
        ([row[name] for name in names] for row in top),
    )
    print(f"\nWhat {columns[0]} adds over plain size: Kendall tau between it and")
    for size, tau in rankings.agreement_with_size(ranking).items():
        print(f"  {rankings.SIZES[size]:16s} {'not defined' if tau is None else f'{tau:.3f}'}")
    if space.evidence:
        print(f"\nKnown of this space: {space.evidence}")
    for status in ("degenerate", "failed"):
        rows = [row for row in ranking if row["status"] == status]
        if rows:
            print(f"{len(rows)} {status}, ranked last, e.g. {rows[0]['architecture']} (reasons in scores.jsonl)")
    print(f"\nRanking: {folder / 'ranking.csv'}")


def _track(config: SearchConfig, folder: RunFolder, ranking: Sequence[Row], probe: Probe, fresh: int) -> None:
    run_id = f"{folder.run_id()}-search"
    if not fresh and list(folder.path.glob(f"wandb/*{run_id}")):
        return
    settings = {**config.identity(), "probe": probe.fingerprint, "torch": torch.__version__}
    run = tracking.start_run(
        config.wandb,
        folder.path,
        json.loads(json.dumps(settings)),
        id=run_id,
        name=f"search {folder.path.name}",
        group=config.wandb.group or f"{folder.path.name}-{folder.run_id()}",
        job_type="search",
    )
    if run is not None:
        taus = {f"tau/{size}": tau for size, tau in rankings.agreement_with_size(ranking).items()}
        best = {"best_score": ranking[0]["score"], "best_architecture": ranking[0]["architecture"]}
        tracking.log_search(run, ranking, list(ranking[0]), {**best, **taus})
