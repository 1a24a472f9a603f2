"""The loop of every search: an algorithm proposes, an executor runs, each row is appended as it is finished."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from tqdm import tqdm

from naswot_lightning.errors import UserError, describe_error
from naswot_lightning.execution.base import Executor, Task, WorkerFailure
from naswot_lightning.scorer import Evaluation
from naswot_lightning.search.algorithms.base import (
    Algorithm,
    Proposal,
    Trial,
    architecture_of,
    proposal_of,
    with_architecture,
)
from naswot_lightning.search.evaluators.base import Evaluator, TrialEvaluator
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows
from spaces.errors import TooLargeError


class Loop:
    """One search under way.

    Args:
        space: the name of the space.
        canonical: the architecture of the network that is evaluated for a candidate; equal networks are evaluated once.
        evaluator: what says how good an architecture is.
        executor: what runs it.
        seed: of the run.
        finished: the rows so far, to which new ones are appended.

    Attributes:
        fresh: candidates that were finished by this loop.

    Raises:
        UserError: the finished rows were evaluated on other data.
    """

    def __init__(
        self,
        space: str,
        canonical: Callable[[str], str],
        evaluator: Evaluator,
        executor: Executor,
        seed: int,
        finished: ScoreRows,
    ) -> None:
        self._space, self._canonical, self._seed = space, canonical, seed
        self._evaluator, self._executor, self._finished = evaluator, executor, finished
        self._by_proposal: dict[Proposal, ScoreRow] = {}
        self._by_network: dict[Proposal, ScoreRow] = {}
        self.fresh = 0
        names = {column.name for column in evaluator.columns}
        for number, row in enumerate(finished.rows, start=1):
            if row.probe != evaluator.fingerprint:
                raise UserError(
                    f"the mini-batch (fingerprint {evaluator.fingerprint}) is not the one of the finished candidates "
                    f"({row.probe}): the data has changed; restore it, or use --overwrite to begin anew"
                )
            if row.scores.keys() != names or not (row.stds or {}).keys() <= names:
                own = ", ".join(row.scores) or "nothing"
                expected = ", ".join(column.name for column in evaluator.columns)
                raise finished.damaged(number, f"scores of {own}, not of {expected}")
            self._remember(row)

    def run(self, algorithm: Algorithm, first: Sequence[Proposal]) -> list[ScoreRow]:
        """Return the rows of all candidates that the algorithm proposes, in the order of their proposal.

        Args:
            algorithm: what proposes them.
            first: its first batch.
        """
        rows: list[ScoreRow] = []
        batch = first
        while batch:
            if not isinstance(self._evaluator, TrialEvaluator) and any(isinstance(each, Trial) for each in batch):
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
            desc="scoring" if scores else getattr(self._evaluator, "activity", "scoring"),
            mininterval=0.2,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),  # a file is no place for a bar
        ) as bar:
            task = cast(Task[Proposal, Evaluation], self._evaluator)  # it gets trials only where it takes them
            for network, found in self._executor.run(task, unknown):
                evaluation = self._failed(found.reason) if isinstance(found, WorkerFailure) else found
                self._append(network, sharing[network], evaluation)
                bar.update()

    def _network(self, proposal: Proposal) -> Proposal | None:
        """Return what is evaluated for a candidate, or None where its row says that there is nothing."""
        try:
            return with_architecture(proposal, self._canonical(architecture_of(proposal)))
        except TooLargeError:
            return proposal  # whose evaluation says so
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - any fault of one network is reported with it, also sys.exit
            self._append(proposal, [proposal], self._failed(describe_error(error)))
            return None

    def _failed(self, reason: str) -> Evaluation:
        return Evaluation(dict.fromkeys(column.name for column in self._evaluator.columns), "failed", reason)

    def _append(self, network: Proposal, proposals: Sequence[Proposal], values: Evaluation) -> None:
        evaluated_once = replace(values, seconds=0.0) if len(proposals) > 1 else values
        for proposal in proposals:
            row = row_of(self._space, proposal, network, values, self._seed, self._evaluator.fingerprint)
            self._finished.append(row)
            self._remember(row)
            self.fresh += 1
            values = evaluated_once

    def _remember(self, row: ScoreRow) -> None:
        self._by_proposal[proposal_of(row)] = row
        self._by_network.setdefault(with_architecture(proposal_of(row), row.canonical), row)


def row_of(space: str, proposal: Proposal, network: Proposal, values: Evaluation, seed: int, probe: str) -> ScoreRow:
    """Return the row of a finished candidate.

    Args:
        space: by its name.
        proposal: the candidate.
        network: what was evaluated for it.
        values: what came out.
        seed: of the weights.
        probe: the fingerprint of the mini-batch.
    """
    return ScoreRow(
        space=space,
        architecture=architecture_of(proposal),
        canonical=architecture_of(network),
        score=values.score,
        scores=values.scores,
        n_units=values.n_units,
        params=values.params,
        macs=values.macs,
        seed=seed,
        probe=probe,
        seconds=values.seconds,
        status=values.status,
        reason=values.reason,
        stds=values.stds,
        fidelity=proposal.fidelity if isinstance(proposal, Trial) else None,
    )
