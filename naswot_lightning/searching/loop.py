"""A search under way: an algorithm proposes, candidates are evaluated, and it proposes again.

:class:`Loop` evaluates on an executor, and appends each row as it is finished. :func:`simulate` looks rows up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from torch import nn
from tqdm import tqdm

from naswot_lightning.analysis.pareto import Objective, non_dominated_ranks, objective_costs
from naswot_lightning.analysis.trajectory import Curve
from naswot_lightning.columns import (
    BENCHMARK_ACC,
    COSTS,
    LATENCY_MS,
    PARETO_RANK,
    PEAK_MEMORY_MB,
    PREDICTED_LATENCY_MS,
    SIZES,
    Criterion,
)
from naswot_lightning.config import SearchConfig, settings_affecting
from naswot_lightning.console import has_bars
from naswot_lightning.data.probe import Probe
from naswot_lightning.errors import UserError, describe_error
from naswot_lightning.execution.base import Executor, Task, WorkerFailure
from naswot_lightning.networks import build_network
from naswot_lightning.ranking import rank, write_ranking
from naswot_lightning.registry import resolve
from naswot_lightning.report.run import BenchmarkEvidence
from naswot_lightning.scorer import Evaluation
from naswot_lightning.searching.algorithms.base import (
    Algorithm,
    Limits,
    Proposal,
    Trial,
    architecture_of,
    proposal_of,
    score_or_neg_inf,
    with_architecture,
)
from naswot_lightning.searching.costs import batch_shape
from naswot_lightning.searching.evaluators.base import Evaluator, MultiFidelityEvaluator
from naswot_lightning.searching.evaluators.table import BenchmarkLookup
from naswot_lightning.searching.measuring import Latencies, device_of, measured_columns, with_latencies
from naswot_lightning.searching.predicting import PredictedLatency
from naswot_lightning.spaces import Space
from naswot_lightning.spaces.errors import TooLargeError
from naswot_lightning.storage.files import damaged_line
from naswot_lightning.storage.run_folder import RunFolder, note_versions
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows

_OF_LATENCY = ("latency", "latency_device", "latency_batch", "latency_threads", "latency_runtime")


@dataclass(frozen=True)
class SearchResult:
    """The result of a search."""

    finished: Sequence[ScoreRow]
    """all candidates of the folder in the order in which they were finished."""
    proposed: Sequence[ScoreRow]
    """all candidates in the order of their proposal; one that was proposed again is there again."""
    evaluated: Sequence[ScoreRow]
    """those that were evaluated whole, each once."""
    ranking: pd.DataFrame
    """of those, best first (:func:`~naswot_lightning.ranking.rank`)."""
    benchmark: BenchmarkEvidence | None
    """the comparison of the ranking with a table of known accuracies."""
    n_new: int
    """candidates that were not finished before."""
    unscored: Sequence[ScoreRow] = ()
    """those without a stored row: the machine failed, and they are tried again."""


@dataclass(frozen=True)
class Search:
    """A search, ready to run."""

    config: SearchConfig
    space: Space
    canonical: Callable[[str], str]
    """returns the architecture of the network that is evaluated for a candidate."""
    algorithm: Algorithm
    limits: Limits
    objectives: Sequence[Objective]
    """columns of the ranking that candidates are to be good in at once; none by default."""
    evaluator: Evaluator
    executor: Executor
    folder: RunFolder
    device: str
    load_probes: Callable[[], Sequence[Probe]]
    benchmark: BenchmarkLookup | None
    """known accuracies of the candidates, for the ranking."""

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What the ranking is ordered by, and its further columns."""
        return self.evaluator.criteria

    @property
    def settings(self) -> dict[str, Any]:
        """All settings as they are saved: those of this command alone are not."""
        return asdict(self.config) | {"overwrite": False, "trust": False}

    @property
    def identity(self) -> Mapping[str, Any]:
        """The settings that decide the candidates and their scores: a folder belongs to one set of them."""
        affecting = settings_affecting(self.config, "candidates")
        if not getattr(resolve("algorithm", self.config.algorithm), "needs_objectives", False):
            # Candidates that do not depend on objectives and latencies can be ranked by others, and measured otherwise.
            decides = {PREDICTED_LATENCY_MS.name, PEAK_MEMORY_MB.name} & self.limits.budgets.keys()
            idle = {"objectives"} if decides else {"objectives", *_OF_LATENCY}
            affecting = tuple(name for name in affecting if name not in idle)
        if isinstance(self.evaluator, MultiFidelityEvaluator):
            affecting += settings_affecting(self.config, "training")
        if not isinstance(self.evaluator, MultiFidelityEvaluator) or self.evaluator.scorer:
            affecting += (*settings_affecting(self.config, "scores"), "device")
        return {name: getattr(self.config, name) for name in affecting}

    def cost_of(self, name: str, rows: Sequence[ScoreRow]) -> np.ndarray:
        """Return a cost of each candidate, (n,); NaN where it is not known, or its network cannot be built."""
        found = np.full(len(rows), np.nan)
        for number, row in enumerate(rows):
            if row.status != "failed" and (cost := self.limits.costs[name](row.architecture)) is not None:
                found[number] = cost
        return found

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the run folder within a block, see :meth:`RunFolder.open`; note the versions of the libraries."""
        with self.folder.open(self.settings, self.identity, self.config.overwrite, asdict(SearchConfig())):
            note_versions(self.folder.versions)
            yield

    @contextmanager
    def loop(self) -> Iterator[Loop]:
        """Give the loop that evaluates candidates, from the rows of the open folder; its workers end with the block."""
        with ExitStack() as opened, ScoreRows(self.folder.scores) as finished:
            for each in (self.evaluator, self.executor):
                if isinstance(each, AbstractContextManager):
                    opened.enter_context(each)
            yield Loop(self.space.name, self.canonical, self.evaluator, self.executor, self.config.seed, finished)

    def first_batch(self) -> Sequence[Proposal]:
        """Return the first candidates; none within the limits is a UserError."""
        batch = self.algorithm.propose([])
        if not batch:
            raise self.limits.nothing_fits()
        return batch

    def latencies(self) -> Latencies:
        """Return the latencies that the folder holds, to which more can be measured."""
        probe, device = self.load_probes()[0], device_of(self.config)

        def build(architecture: str) -> nn.Module:
            return build_network(self.space, architecture, self.config.seed, probe.num_classes)

        return Latencies(self.folder.path / "hardware.json", device, build, batch_shape(self.config, probe))

    def write_result(self, loop: Loop, proposed: Sequence[ScoreRow]) -> SearchResult:
        """Write the ranking of the candidates that a loop has evaluated into the open folder."""
        folder = self.folder
        folder.expect_in_place()
        # Trials of a part of the epochs do not compare with whole evaluations: they are not ranked.
        evaluated = [row for row in {proposal_of(row): row for row in proposed}.values() if row.fidelity is None]
        if not evaluated:
            raise UserError("no candidate was trained for all epochs; give a larger --samples or --budget")
        measured = measured_columns(self.config)
        shown = {*self.limits.budgets, *(each.name for each in self.objectives), *measured, PREDICTED_LATENCY_MS.name}
        shown &= self.limits.costs.keys() - SIZES.keys()
        columns = dict.fromkeys((*COSTS, *self.limits.costs))
        known = {name: self.cost_of(name, evaluated) for name in columns if name in shown}
        for cost in self.limits.costs.values():
            if isinstance(cost, PredictedLatency):
                cost.save()
        known |= {} if self.benchmark is None else {BENCHMARK_ACC.name: self.benchmark.accuracies(evaluated)}
        ranking = rank(evaluated, self.criteria, known)
        if LATENCY_MS.name in measured:
            ranking = with_latencies(ranking, self.latencies(), self.config.measure_top)
        if self.objectives:
            costs = objective_costs(ranking, self.objectives)
            there = ~np.isnan(costs[:, 0])
            ranking[PARETO_RANK] = pd.Series(non_dominated_ranks(costs[there]), np.flatnonzero(there), "Int64")
        write_ranking(folder.path, ranking)
        evidence = self.benchmark.write_evidence(folder.path, ranking) if self.benchmark else None
        return SearchResult(loop.finished.rows, proposed, evaluated, ranking, evidence, loop.fresh, loop.unscored)


@dataclass
class Loop:
    """Evaluates candidates; rows that were evaluated on other data are a UserError."""

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

    unscored: list[ScoreRow] = field(default_factory=list, init=False)
    """candidates that failed by the machine's fault: rows of this run alone, which the next one tries again."""

    def __post_init__(self) -> None:
        self._unscored: set[Proposal] = set()
        self._by_proposal: dict[Proposal, ScoreRow] = {}
        self._by_network: dict[Proposal, ScoreRow] = {}
        expect_same_evaluator(self.finished.rows, self.evaluator, self.finished.path)
        for row in self.finished.rows:
            self._remember(row)

    def run(self, algorithm: Algorithm, first: Sequence[Proposal]) -> list[ScoreRow]:
        """Return the rows of all candidates that the algorithm proposes after its first batch, in their order."""
        rows: list[ScoreRow] = []
        batch = first
        # It gets trials only where it takes them.
        task = cast(Task[Proposal, Evaluation], self.evaluator)
        while batch:
            if not hasattr(self.evaluator, "epochs") and any(isinstance(each, Trial) for each in batch):
                begins = "the algorithm needs trainings, also of a part of the epochs"
                raise UserError(f"{begins}; choose an evaluator that trains, such as --evaluator train")
            if unknown := self._unknown(batch):
                with self._bar(unknown) as bar:
                    for network, found in self.executor.run(task, list(unknown)):
                        if isinstance(found, WorkerFailure):
                            if found.kind != "architecture":
                                self._unscored.add(network)
                            found = self._failed(found.reason)
                        self._append(network, unknown[network], found)
                        bar.update()
            rows.extend(map(self._by_proposal.__getitem__, batch))
            batch = algorithm.propose(rows)
        return rows

    def _unknown(self, batch: Sequence[Proposal]) -> dict[Proposal, list[Proposal]]:
        """Return the networks that are not evaluated yet, each with its candidates; append the rows of the others."""
        unknown: dict[Proposal, list[Proposal]] = {}
        for proposal in dict.fromkeys(batch):
            if proposal not in self._by_proposal and (network := self._network(proposal)) is not None:
                unknown.setdefault(network, []).append(proposal)
        for network in [each for each in unknown if each in self._by_network]:
            # An equal network was evaluated before: its values count again, its seconds do not.
            row = self._by_network[network]
            known = Evaluation(row.scores, row.status, row.reason, row.stds, row.n_units, row.params, row.macs)
            self._append(network, unknown.pop(network), known)
        return unknown

    def _bar(self, unknown: Collection[Proposal]) -> tqdm[Any]:
        # Trials without epochs are scores, whatever the evaluator does with whole ones.
        scores = all(isinstance(each, Trial) and not each.fidelity for each in unknown)
        activity = "scoring" if scores else getattr(self.evaluator, "activity", "scoring")
        # A file is no place for a bar.
        shown = {"mininterval": 0.2, "dynamic_ncols": True, "disable": not has_bars()}
        return tqdm(total=len(unknown), unit=" networks", desc=activity, **shown)

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
            if network in self._unscored:
                self.unscored.append(row)
            else:
                self.finished.append(row)
                self.fresh += 1
            self._remember(row)
            if len(proposals) > 1:
                # Only the first of those that share a network took the seconds.
                evaluation = replace(evaluation, seconds=0.0)

    def _remember(self, row: ScoreRow) -> None:
        self._by_proposal[proposal_of(row)] = row
        self._by_network.setdefault(with_architecture(proposal_of(row), row.canonical), row)


def expect_same_evaluator(rows: Sequence[ScoreRow], evaluator: Evaluator, path: Path) -> None:
    """Raise :class:`UserError` where a row of a file was evaluated on other data, or has other scores."""
    names, fingerprint = dict.fromkeys(column.name for column in evaluator.columns), evaluator.fingerprint
    for number, row in enumerate(rows, start=1):
        if row.probe != fingerprint:
            other = f"(fingerprint {row.probe}) differs from that of the data here ({fingerprint})"
            cure = "the data has changed; restore it, give its folder with --data_dir, or use --overwrite to start over"
            raise UserError(f"{path}, line {number}: its probe batch {other}: {cure}")
        if row.scores.keys() != names.keys() or not (row.stds or {}).keys() <= names.keys():
            own = ", ".join(row.scores) or "nothing"
            raise damaged_line(path, number, f"scores of {own}, not of {', '.join(names)}")


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
        """The best so far by score, the first of equal ones, out of whole evaluations that succeeded; None before one.

        Scores at initialization and trainings of a part of the epochs do not compare with whole ones: none counts.
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
    et al., 2021); those of NAS-Bench-201 leave it out. ``evaluate`` looks a proposal up, with the seconds that it took.
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
