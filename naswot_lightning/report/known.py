"""The networks of a run whose accuracies are known: of a benchmark's table, or of trained picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from naswot_lightning.analysis.evidence import NetworksWithAccuracy
from naswot_lightning.analysis.results import Network
from naswot_lightning.columns import BENCHMARK_ACC, MACS, PARAMS, SCORE_INIT, TEST_ACC
from naswot_lightning.report.ranked import score_columns
from naswot_lightning.report.run import Run

_PERCENT = 100
_SIZES = (PARAMS.name, MACS.name)
_TRAINED = "naswot"  # the score that every training begins with


def known(run: Run) -> NetworksWithAccuracy | None:
    """Return what is known of a run's networks: all that a table knows, else those of the largest group of trainings.

    None where no accuracy is known.
    """
    return _of_table(run) or _of_picks(run)


def _of_table(run: Run) -> NetworksWithAccuracy | None:
    rows = run.ranking
    if BENCHMARK_ACC.name not in rows:
        return None
    accuracies = rows[BENCHMARK_ACC.name].to_numpy()
    kept = ~np.isnan(accuracies)
    if not kept.any():
        return None
    return NetworksWithAccuracy(
        space=str(run.settings.get("space")),
        images=str(run.settings.get("dataset")),
        source=f"accuracy of {run.benchmark or run.settings.get('benchmark') or 'a table'}",
        architectures=tuple(rows.loc[kept, "canonical"]),
        accuracies=_PERCENT * accuracies[kept],
        scores={name: values[kept] for name, values in score_columns(run).items()},
        sizes={name: rows[name].to_numpy(float, na_value=np.nan)[kept] for name in _SIZES},
    )


def _of_picks(run: Run) -> NetworksWithAccuracy | None:
    group = next((group for group in run.groups if group.usable), None)
    if group is None:
        return None
    networks, settings = group.usable, group.settings
    test_set = "" if settings.test_set is None else f" ({settings.test_set})"
    seeds = f"mean of {len(group.seeds)} seeds" if len(group.seeds) > 1 else f"seed {group.seeds[0]}"
    return NetworksWithAccuracy(
        space=settings.space,
        images=str(run.settings.get("dataset", settings.dataset)),
        source=f"{settings.dataset} test accuracy{test_set} of trained picks, {settings.epochs} epochs, {seeds}",
        architectures=tuple(network.canonical for network in networks),
        accuracies=_PERCENT * np.array([network.mean(TEST_ACC.name) for network in networks], float),
        scores=_scores_of(networks, run) if settings.space == run.settings.get("space") else _at_init(networks),
        sizes={name: np.array([getattr(each.results[0], name) for each in networks], float) for name in _SIZES},
    )


def _scores_of(networks: Sequence[Network], run: Run) -> Mapping[str, np.ndarray]:
    """Return the scores that a ranking has of networks; those at the beginning of their training where it has none."""
    canonicals = run.ranking["canonical"].drop_duplicates()
    places = dict(zip(canonicals, canonicals.index, strict=True))
    own = [places.get(network.canonical) for network in networks]
    if all(place is None for place in own):
        return _at_init(networks)
    columns = score_columns(run)
    return {
        name: np.array([np.nan if place is None else values[place] for place in own])
        for name, values in columns.items()
    }


def _at_init(networks: Sequence[Network]) -> Mapping[str, np.ndarray]:
    return {_TRAINED: np.array([network.mean(SCORE_INIT.name) for network in networks], float)}
