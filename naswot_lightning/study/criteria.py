"""Which scores are studied, and the rank of each candidate by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from naswot_lightning.columns import MACS, PARAMS, Column, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import rank, ranks_of
from naswot_lightning.scores import AGGREGATES
from naswot_lightning.scores.registry import REGISTERED, parse_scores
from naswot_lightning.study.candidates import Candidates

SIZES = (PARAMS.name, MACS.name)


@dataclass(frozen=True)
class Merits:
    """What a score says of the n candidates of a run.

    Attributes:
        ranks: (n,) 1 for the worst, the mean rank for equals; those without the score are worse than any other.
        unscored: (n,) whether each is without the score, or a part of it.
    """

    ranks: np.ndarray
    unscored: np.ndarray


def choose(candidates: Candidates, text: str | None) -> list[Criterion]:
    """Return the scores to study, parameters and MACs among them.

    Args:
        candidates: of the run.
        text: of the option; all that there is by default.

    Raises:
        UserError: a score, or a part of one, is not in the run folder.
    """
    names = candidates.names
    sizes = [_single(name) for name in SIZES]
    if text is not None:
        chosen = parse_scores(text)
        for criterion in chosen:
            _expect_parts(criterion, candidates, names)
        return _distinct([*chosen, *sizes])
    own = parse_scores(str(candidates.settings.get("score")))
    named = [criterion for name in AGGREGATES for criterion in parse_scores(name)]
    aggregates = [each for each in (*own, *named) if each.is_relative and missing_part(each, names) is None]
    return _distinct([*map(_single, names), *aggregates, *sizes])


def merits(candidates: Candidates, criteria: Sequence[Criterion]) -> dict[str, Merits]:
    """Return what each score says, by its name: ranks by several scores are those among all candidates of the run.

    Args:
        candidates: of the run.
        criteria: two of them at least, other than each other.
    """
    ranked = rank(candidates.rows, criteria)
    order = np.array([candidates.places[architecture] for architecture in ranked["architecture"]])
    found = {}
    for criterion in criteria:
        values = np.empty(len(order))
        values[order] = ranked[criterion.name].to_numpy()
        higher = criterion.is_relative or criterion.parts[0].higher_is_better
        missing = [np.isnan(candidates.scores(part.name)) for part in criterion.parts]
        found[criterion.name] = Merits(ranks_of(values, higher), np.logical_or.reduce(missing))
    return found


def missing_part(criterion: Criterion, names: Sequence[str]) -> str | None:
    """Return a part of a score that is not among the names; None where all are."""
    return next((part.name for part in criterion.parts if part.name not in names), None)


def _single(name: str) -> Criterion:
    return Criterion((REGISTERED[name].column if name in REGISTERED else Column(name, name),))


def _distinct(criteria: Iterable[Criterion]) -> list[Criterion]:
    """Return each combination once, by the name under which it comes first."""
    found: dict[object, Criterion] = {}
    for criterion in criteria:
        combine = criterion.combine if criterion.is_relative else None
        found.setdefault((frozenset(part.name for part in criterion.parts), combine), criterion)
    return list(found.values())


def _expect_parts(criterion: Criterion, candidates: Candidates, names: Sequence[str]) -> None:
    part = missing_part(criterion, names)
    if part is None:
        return
    of = f"{criterion.name}: its part {part}" if criterion.is_relative else part
    raise UserError(
        f"--score {of} is not in {candidates.name}, which holds {', '.join(names)}; search again with "
        f"--score {','.join([str(candidates.settings.get('score')), part])} in another folder"
    )
