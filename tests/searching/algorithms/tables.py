"""Small tables and made-up searches for the tests of algorithms."""

from collections.abc import Callable

from naswot_lightning.analysis.pareto import Objective
from naswot_lightning.scorer import Evaluation
from naswot_lightning.searching.algorithms.base import Limits, Proposal, Trial, architecture_of, get_algorithm
from naswot_lightning.searching.loop import row_of as row_of_evaluation
from naswot_lightning.spaces import get_space
from naswot_lightning.storage.score_rows import ScoreRow

SPACE = get_space("nasbench201")
NO_LIMITS = Limits()


def made(name, space=SPACE, samples=60, seed=3, limits=NO_LIMITS):
    constructor, options = get_algorithm(name)
    if getattr(constructor, "needs_objectives", False):
        options["objectives"] = (Objective("accuracy", True), Objective("cost", False))
        limits.costs = {**limits.costs, "cost": lambda architecture: float(architecture.count("conv"))}
    return constructor(space, samples, seed, limits, **options)


def row_of(proposal: Proposal, score: float | None, seconds: float = 1.0) -> ScoreRow:
    status, reason = ("failed", "out of memory") if score is None else ("ok", None)
    evaluation = Evaluation({"accuracy": score}, status, reason, seconds=seconds)
    return row_of_evaluation("nasbench201", proposal, proposal, evaluation, 0, "table")


def evaluator(
    score: Callable[[str], float | None], seconds: Callable[[str], float] = lambda _: 1.0
) -> Callable[[Proposal], ScoreRow]:
    """Scores alone cost nothing, and parts of a training their part."""

    def evaluate(proposal: Proposal) -> ScoreRow:
        share = proposal.fidelity if isinstance(proposal, Trial) else 1.0
        architecture = architecture_of(proposal)
        return row_of(proposal, score(architecture), share * seconds(architecture))

    return evaluate


def convolutions(architecture: str) -> float:
    """A separable objective: best where all edges are 3x3 convolutions."""
    return (3 * architecture.count("3x3~") + 2 * architecture.count("1x1")) / 18 - architecture.count("avg") / 6


def params(architecture: str) -> float:
    return float(SPACE.complexity(architecture).params)


class SmallTable:
    """A benchmark that only lists architectures."""

    space, known, name = "nasbench201", (), "small table"

    def __init__(self, architectures) -> None:
        self.architectures = list(architectures)
        self._set = set(self.architectures)

    def __contains__(self, architecture: object, /) -> bool:
        return architecture in self._set

    def accuracy(self, architecture, dataset, split, epochs=None, seed=None):
        return None
