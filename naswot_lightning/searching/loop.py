"""The loop of every search: an algorithm proposes, candidates are evaluated, and it proposes again.

:class:`Loop` evaluates on an executor, and appends each row as it is finished. :func:`simulate` looks rows up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import cast

from tqdm import tqdm

from naswot_lightning.analysis.trajectory import Curve
from naswot_lightning.console import has_bars
from naswot_lightning.errors import UserError, describe_error
from naswot_lightning.execution.base import Executor, Task, WorkerFailure
from naswot_lightning.scorer import Evaluation
from naswot_lightning.searching.algorithms.base import (
    Algorithm,
    Proposal,
    Trial,
    architecture_of,
    proposal_of,
    score_or_neg_inf,
    with_architecture,
)
from naswot_lightning.searching.evaluators.base import Evaluator
from naswot_lightning.spaces.errors import TooLargeError
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows


@dataclass
class Loop:
    """One search under way.

    Raises:
        UserError: the finished rows were evaluated on other data.
    """

    space: str
    canonical: Callable[[str], str]
    """returns the architecture of the network that is evaluated for a candidate; equal ones are evaluated once."""
    evaluator: Evaluator
    executor: Executor
    seed: int
    finished: ScoreRows
    """the rows so far, to which new ones are appended."""
    fresh: int = field(default=0, init=False)
    """candidates that were finished by this loop."""

    def __post_init__(self) -> None:
        self._by_proposal: dict[Proposal, ScoreRow] = {}
        self._by_network: dict[Proposal, ScoreRow] = {}
        names = dict.fromkeys(column.name for column in self.evaluator.columns)
        fingerprint = self.evaluator.fingerprint
        for number, row in enumerate(self.finished.rows, start=1):
            if row.probe != fingerprint:
                raise UserError(
                    f"the mini-batch (fingerprint {fingerprint}) is not the one of the finished candidates "
                    f"({row.probe}): the data has changed; restore it, or use --overwrite to begin anew"
                )
            if row.scores.keys() != names.keys() or not (row.stds or {}).keys() <= names.keys():
                own = ", ".join(row.scores) or "nothing"
                raise self.finished.damaged(number, f"scores of {own}, not of {', '.join(names)}")
            self._remember(row)

    def run(self, algorithm: Algorithm, first: Sequence[Proposal]) -> list[ScoreRow]:
        """Return the rows of all candidates that the algorithm proposes after its first batch, in their order."""
        rows: list[ScoreRow] = []
        batch = first
        while batch:
            if not hasattr(self.evaluator, "epochs") and any(isinstance(each, Trial) for each in batch):
                raise UserError(
                    "the algorithm begins with scores, or trains for a part of the epochs: give it an evaluator that "
                    "trains, such as --evaluator train"
                )
            self._finish(batch)
            rows.extend(map(self._by_proposal.__getitem__, batch))
            batch = algorithm.propose(rows)
        return rows

    def _finish(self, batch: Sequence[Proposal]) -> None:
        """Append a row for every candidate that has none."""
        sharing: dict[Proposal, list[Proposal]] = {}
        for proposal in dict.fromkeys(batch):
            if proposal not in self._by_proposal and (network := self._network(proposal)) is not None:
                sharing.setdefault(network, []).append(proposal)
        unknown = [network for network in sharing if network not in self._by_network]
        for network in sharing:
            if (row := self._by_network.get(network)) is not None:
                # An equal network was evaluated before: its values count again, its seconds do not.
                known = Evaluation(row.scores, row.status, row.reason, row.stds, row.n_units, row.params, row.macs)
                self._append(network, sharing[network], known)
        if not unknown:
            return
        # Trials without epochs are scores, whatever the evaluator does with whole ones.
        scores = all(isinstance(each, Trial) and not each.fidelity for each in unknown)
        with tqdm(
            total=len(unknown),
            unit=" networks",
            desc="scoring" if scores else getattr(self.evaluator, "activity", "scoring"),
            mininterval=0.2,
            dynamic_ncols=True,
            # A file is no place for a bar.
            disable=not has_bars(),
        ) as bar:
            # It gets trials only where it takes them.
            task = cast(Task[Proposal, Evaluation], self.evaluator)
            for network, found in self.executor.run(task, unknown):
                evaluation = self._failed(found.reason) if isinstance(found, WorkerFailure) else found
                self._append(network, sharing[network], evaluation)
                bar.update()

    def _network(self, proposal: Proposal) -> Proposal | None:
        """Return what is evaluated for a candidate, or None where its row says that there is nothing."""
        try:
            return with_architecture(proposal, self.canonical(architecture_of(proposal)))
        except TooLargeError:
            # Its evaluation says so.
            return proposal
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - any fault of one network is reported with it, also sys.exit
            self._append(proposal, [proposal], self._failed(describe_error(error)))
            return None

    def _failed(self, reason: str) -> Evaluation:
        return Evaluation(dict.fromkeys(column.name for column in self.evaluator.columns), "failed", reason)

    def _append(self, network: Proposal, proposals: Sequence[Proposal], evaluation: Evaluation) -> None:
        for proposal in proposals:
            row = row_of(self.space, proposal, network, evaluation, self.seed, self.evaluator.fingerprint)
            self.finished.append(row)
            self._remember(row)
            self.fresh += 1
            if len(proposals) > 1:
                # Only the first of those that share a network took the seconds.
                evaluation = replace(evaluation, seconds=0.0)

    def _remember(self, row: ScoreRow) -> None:
        self._by_proposal[proposal_of(row)] = row
        self._by_network.setdefault(with_architecture(proposal_of(row), row.canonical), row)


def row_of(
    space: str, proposal: Proposal, network: Proposal, evaluation: Evaluation, seed: int, probe: str
) -> ScoreRow:
    """Return the row of a finished candidate, for which ``network`` was evaluated on the mini-batch ``probe``."""
    return ScoreRow(
        space=space,
        architecture=architecture_of(proposal),
        canonical=architecture_of(network),
        score=evaluation.score,
        seed=seed,
        probe=probe,
        fidelity=proposal.fidelity if isinstance(proposal, Trial) else None,
        **vars(evaluation),
    )


@dataclass(frozen=True)
class History:
    """What a simulated search evaluated, in order; all properties have one entry per row.

    An architecture that was proposed again is there again.
    """

    rows: tuple[ScoreRow, ...]

    @property
    def evaluations(self) -> tuple[float, ...]:
        """How many evaluations are done after each row: the sum of the fidelities; a score alone is none."""
        return tuple(accumulate(1.0 if row.fidelity is None else row.fidelity for row in self.rows))

    @property
    def seconds(self) -> tuple[float, ...]:
        """How many seconds have gone by after each row."""
        return tuple(accumulate(row.seconds for row in self.rows))

    @property
    def best(self) -> tuple[ScoreRow | None, ...]:
        """The best so far by score, the first of equal ones, out of whole evaluations that succeeded.

        None before there is one. Scores at initialization and trainings of a part of the epochs do not compare with
        whole trainings, and are left out.
        """
        best: list[ScoreRow | None] = []
        latest, highest = None, -math.inf
        for row in self.rows:
            if row.fidelity in (None, 1) and score_or_neg_inf(row) > highest:
                latest, highest = row, score_or_neg_inf(row)
            best.append(latest)
        return tuple(best)

    def curve(self, value: Callable[[ScoreRow], float] = score_or_neg_inf) -> Curve:
        """Return the best so far, or another value of it.

        The score alone decides which row is the best: a search that looks at the accuracy after 12 epochs can be shown
        by the accuracy after 200.
        """
        return Curve(self.evaluations, self.seconds, tuple(None if row is None else value(row) for row in self.best))


def simulate(
    algorithm: Algorithm, evaluate: Callable[[Proposal], ScoreRow], max_seconds: float | None = None
) -> History:
    """Run an algorithm until it ends or its time is over.

    The evaluation during which the time runs out is the last one, and counts, as in the scripts of NATS-Bench (Dong
    et al., 2021); those of NAS-Bench-201 leave it out.

    Args:
        algorithm: what proposes.
        evaluate: looks a proposal up, with the seconds that it took.
        max_seconds: the time; without it the algorithm ends by itself.
    """
    rows: list[ScoreRow] = []
    seconds = 0.0
    while batch := algorithm.propose(rows):
        for proposal in batch:
            rows.append(evaluate(proposal))
            seconds += rows[-1].seconds
            if max_seconds is not None and seconds >= max_seconds:
                return History(tuple(rows))
    return History(tuple(rows))
