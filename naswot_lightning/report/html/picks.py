"""The trained picks: a card a network, with its trainings, and their curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naswot_lightning.report.html.candidates import rounded, rounded_all
from naswot_lightning.report.trainings import Training

MOST_PICKS = 60  # networks; more cards and curves tell nothing
_MOST_POINTS = 300  # of a curve: more than it has pixels on a phone
Line = tuple[tuple[float, ...], tuple[float | None, ...]]  # epochs, values


@dataclass(frozen=True)
class Pick:
    """A network that is trained.

    Attributes:
        rank: the best of its picks; None where it was given by hand.
        row: its place in the table of candidates; None where it is not there.
        space: the search space.
        architecture: the pick.
        dataset: what it is trained on.
        cells: places of its cells.
        trainings: the lowest seed first.
    """

    rank: int | None
    row: int | None
    space: str
    architecture: str
    dataset: str
    cells: tuple[int, ...]
    trainings: tuple[Training, ...]

    @property
    def name(self) -> str:
        """What it is called on the page."""
        return "given by hand" if self.rank is None else f"rank {self.rank}"

    def to_json(self) -> dict[str, Any]:
        """Return it as the page's scripts read it."""
        return {
            "name": self.name,
            "row": self.row,
            "architecture": self.architecture,
            "cells": self.cells,
            "trainings": [_training(each) for each in self.trainings],
        }


def picks_of(
    trainings: Sequence[Training], rows: Mapping[str, int], cells: Mapping[str, tuple[int, ...]]
) -> tuple[Pick, ...]:
    """Return the networks that are trained, the best rank first, those given by hand last.

    Args:
        trainings: of the run.
        rows: places in the table of candidates, by the canonical architecture.
        cells: places of cells, by architecture.
    """
    members: dict[tuple[str, str, str], list[Training]] = {}
    for each in trainings:
        members.setdefault((each.planned.space, each.planned.canonical, each.planned.dataset), []).append(each)
    picks = [_pick(each, rows, cells) for each in members.values()]
    return tuple(sorted(picks, key=lambda pick: (pick.rank is None, pick.rank or 0, pick.architecture)))[:MOST_PICKS]


def _pick(trainings: Sequence[Training], rows: Mapping[str, int], cells: Mapping[str, tuple[int, ...]]) -> Pick:
    first = trainings[0].planned
    return Pick(
        rank=min((each.planned.rank for each in trainings if each.planned.rank is not None), default=None),
        row=rows.get(first.canonical),
        space=first.space,
        architecture=first.architecture,
        dataset=first.dataset,
        cells=cells.get(first.architecture, ()),
        trainings=tuple(sorted(trainings, key=lambda each: (each.planned.seed, each.pick))),
    )


def _training(training: Training) -> dict[str, Any]:
    """Return the curves of a training: its metrics by epoch, and its score by the fractional epoch."""
    curve, score = training.curve, training.trajectory
    metrics = {
        name: _thinned(curve.epochs, values)
        for name, values in curve.metrics.items()
        if name not in ("seconds", "score/naswot")  # the trajectory has the score, more finely
    }
    score_line = _thinned([epoch for epoch, _ in score.points], [value for _, value in score.points])
    return {"pick": training.pick, "seed": training.planned.seed, "metrics": metrics, "score": score_line}


def _thinned(epochs: Sequence[float], values: Sequence[float | None]) -> Line:
    """Return at most so many points as can be seen, the first and the last among them."""
    last = len(epochs) - 1
    if last < _MOST_POINTS:
        places = range(len(epochs))
    else:
        places = [round(step * last / (_MOST_POINTS - 1)) for step in range(_MOST_POINTS)]  # type: ignore[assignment]
    return tuple(rounded(epochs[place]) or 0.0 for place in places), rounded_all(values[place] for place in places)
