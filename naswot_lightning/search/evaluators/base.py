"""What says how good an architecture is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from naswot_lightning.columns import Column, Criterion
from naswot_lightning.scorer import Evaluation, Json, ScoreEvaluator
from naswot_lightning.search.trial import Proposal

if TYPE_CHECKING:
    import torch

    from naswot_lightning.benchmarks import Benchmark
    from naswot_lightning.config import PlainValue
    from naswot_lightning.data.probe import Probe
    from naswot_lightning.score import Precision
    from spaces import Space


@dataclass(frozen=True)
class Conditions:
    """What a search asks of its evaluator.

    Attributes:
        space: the search space.
        criteria: those of ``--score``; an evaluator that knows no scores has its own.
        seed: of the run.
        device: where networks run.
        precision: of the forward pass.
        settings: the options that decide the values, by their names.
        load_probes: returns the data set's mini-batches, one for each repeat; they are loaded once.
        load_scores: returns what scores networks, for an algorithm that begins with scores; None for any other.
        epochs: of a whole training; None leaves it to the evaluator.
        images: the data set to train on, by the names of its options.
        benchmark: a table of known accuracies.
        benchmark_path: its file.
        benchmark_dataset: whose accuracies of the table are meant; the data set of the images by default.
        training: further options of a training, by their names in train.py.
        folder: of the run.
        workers: trainings side by side; None leaves it to the evaluator.
    """

    space: Space
    criteria: tuple[Criterion, ...]
    seed: int
    device: torch.device
    precision: Precision
    settings: Mapping[str, Json]
    load_probes: Callable[[], Sequence[Probe]]
    load_scores: Callable[[], ScoreEvaluator] | None = None
    epochs: int | None = None
    images: Mapping[str, Json] = field(default_factory=dict)
    benchmark: Benchmark | None = None
    benchmark_path: Path | None = None
    benchmark_dataset: str | None = None
    training: Mapping[str, PlainValue] = field(default_factory=dict)
    folder: Path = Path()
    workers: int | None = None


def score_evaluator(conditions: Conditions) -> ScoreEvaluator:
    """Return the evaluator of the scores that are asked for."""
    names = dict.fromkeys(part.name for criterion in conditions.criteria for part in criterion.parts)
    return ScoreEvaluator(
        conditions.space,
        conditions.load_probes(),
        list(names),
        conditions.seed,
        conditions.device,
        conditions.precision,
        conditions.settings,
        conditions.criteria,
    )


class Evaluator(Protocol):
    """A :class:`~naswot_lightning.execution.base.Task` from architectures to values.

    Attributes:
        columns: what it measures; the first decides the status.
        criteria: what the ranking is ordered by, out of these columns; the first decides.
        fingerprint: of the data that it measures on; every row of a run folder has the same.
    """

    @property
    def columns(self) -> tuple[Column, ...]: ...  # noqa: D102 - above

    @property
    def criteria(self) -> tuple[Criterion, ...]: ...  # noqa: D102 - above

    @property
    def fingerprint(self) -> str: ...  # noqa: D102 - above

    def identity(self) -> Mapping[str, Json]:
        """Return the settings that decide its values: a run folder belongs to one set of them."""
        ...

    def prepare(self) -> None:
        """Get ready; called once in each process."""
        ...

    def __call__(self, architecture: str, /) -> Evaluation:
        """Return the values of one architecture; a fault of its network is a status, not an error."""
        ...


@runtime_checkable
class TrialEvaluator(Protocol):
    """An evaluator that also takes trials of an architecture, with a part of the effort.

    Attributes:
        epochs: of a whole evaluation.
    """

    @property
    def epochs(self) -> int: ...  # noqa: D102 - above

    def __call__(self, proposal: Proposal, /) -> Evaluation:
        """Return the values of an architecture, or of a trial of it."""
        ...
