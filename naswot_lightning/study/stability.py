"""Whether scores stay what they are with another seed, mini-batch or batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np

from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.columns import Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.study.accuracies import Accuracies
from naswot_lightning.study.candidates import Candidates
from naswot_lightning.study.criteria import Merits

# Settings that may differ between the runs of a study: they decide the scores, not the candidates.
_OF_SCORES = ("seed", "dataset", "image_size", "batch_size", "probe_size", "precision", "repeats", "canonical")


@dataclass(frozen=True)
class Stability:
    """How stable a score is.

    Attributes:
        score: its name.
        between_runs: Kendall's tau between its values in two runs, the mean over all pairs of runs; None where there
            is none.
        lowest: of these taus.
        taus: with the first accuracy, in each run that has the score.
        of_repeats: the standard deviation over the repeats of the first run, the mean over candidates, as a share of
            the standard deviation over candidates; None without repeats.
    """

    score: str
    between_runs: float | None
    lowest: float | None
    taus: tuple[float | None, ...]
    of_repeats: float | None


def expect_same_candidates(first: Candidates, other: Candidates) -> str:
    """Return in words what differs between two runs of the same candidates.

    Raises:
        UserError: the candidates differ, or nothing does.
    """
    missing = [architecture for architecture in first.places if architecture not in other.places]
    further = len(other.rows) + len(missing) - len(first.rows)
    if missing or further or first.settings.get("space") != other.settings.get("space"):
        raise UserError(
            f"--run_dir {other.name}: other architectures than {first.name} ({len(missing)} of its {len(first.rows)} "
            f"are missing, {further} are further ones); make it with search.py --architectures "
            f"{first.folder.path / 'ranking.csv'} --seed 1"
        )
    changed = [name for name in _OF_SCORES if first.settings.get(name) != other.settings.get(name)]
    if not changed:
        raise UserError(
            f"--run_dir {other.name}: the same seed and mini-batch as {first.name}, so that its scores are the same; "
            "give a run with another --seed or --batch_size"
        )
    said = (f"{name} {other.settings.get(name)} in place of {first.settings.get(name)}" for name in changed)
    return f"{other.name}: {', '.join(said)}"


def stabilities(
    runs: Sequence[Candidates],
    said: Sequence[Mapping[str, Merits]],
    criteria: Sequence[Criterion],
    accuracies: Accuracies,
) -> list[Stability]:
    """Return how stable each score is.

    Args:
        runs: of the same candidates.
        said: by each run, what each score that it has says of them, in its own order.
        criteria: the scores of the first run.
        accuracies: of the candidates of the first run.
    """
    orders = [[run.places[row.architecture] for row in runs[0].rows] for run in runs]
    known = ~np.isnan(accuracies.values)
    found = []
    for criterion in criteria:
        pairs = zip(said, orders, strict=True)
        ranks = [by_name[criterion.name].ranks[order] for by_name, order in pairs if criterion.name in by_name]
        between = [tau for a, b in combinations(ranks, 2) if (tau := kendall_tau(a, b)) is not None]  # type: ignore[arg-type]
        taus = tuple(kendall_tau(each[known], accuracies.values[known]) for each in ranks)
        mean, lowest = (fmean(between), min(between)) if between else (None, None)
        found.append(Stability(criterion.name, mean, lowest, taus, _of_repeats(runs[0], criterion)))
    return found


def _of_repeats(run: Candidates, criterion: Criterion) -> float | None:
    name = criterion.parts[0].name
    deviations, values = run.deviations(name), run.scores(name)
    both = ~np.isnan(deviations) & ~np.isnan(values)
    if criterion.is_relative or both.sum() < 2:
        return None
    return _share(deviations[both], values[both])


def _share(deviations: np.ndarray, values: np.ndarray) -> float | None:
    spread = float(values.std(ddof=1))
    return float(deviations.mean()) / spread if spread > 0 else None
