"""Best-so-far of our evolution and of our densities against syne-tune's, on real accuracies of NAS-Bench-201."""

import csv
import random

import numpy as np
import pytest

from naswot_lightning.searching.algorithms.evolution import RegularizedEvolution
from naswot_lightning.searching.loop import simulate
from naswot_lightning.spaces.nasbench201 import OPS, NASBench201
from tests.searching.algorithms.tables import NO_LIMITS, SPACE, evaluator, made

EDGES = [f"edge {number}" for number in range(6)]
MEASURED = 50, 100, 200


class UniformMutation(NASBench201):
    """With the mutation that syne-tune has: all edges are as likely."""

    def mutate(self, architecture: str, rng: random.Random) -> str:
        decisions = list(self.decisions(architecture))
        edge = rng.randrange(6)
        decisions[edge] = rng.choice([option for option in range(5) if option != decisions[edge]])
        return self.from_decisions(decisions)


@pytest.fixture
def accuracies(shared):
    """Validation accuracy after 12 epochs; of unknown cells the mean of the nearest known ones."""
    with open(shared("nasbench201-accuracies-1500.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = np.array([SPACE.decisions(row["arch"]) for row in rows])
    values = np.array([float(row["cifar10_valid_xvalid_12"]) for row in rows])
    distances = {cell: (known != np.array(SPACE.decisions(cell))).sum(1) for cell in SPACE}
    return {cell: values[distance == distance.min()].mean() for cell, distance in distances.items()}


def best_of(searcher, accuracies):
    """The best so far of a searcher of syne-tune's."""
    found = []
    for trial in range(MEASURED[-1]):
        configuration = searcher.suggest()
        found.append(accuracies[SPACE.from_decisions([OPS.index(configuration[edge]) for edge in EDGES])])
        searcher.on_trial_complete(trial, configuration, -found[-1])
    return np.maximum.accumulate(found)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seeds"), [("evolution", 200), ("densities", 50)])
def test_what_is_found_is_what_syne_tunes_finds_and_by_densities_no_less(name, seeds, accuracies):
    """Densities of whole trainings alone: the table has no accuracies after fewer than 12 epochs."""
    config_space = pytest.importorskip("syne_tune.config_space", reason="pip install syne-tune")
    from syne_tune.optimizer.schedulers.searchers.kde import KernelDensityEstimator
    from syne_tune.optimizer.schedulers.searchers.regularized_evolution import RegularizedEvolution as Theirs

    edges, curves = {edge: config_space.choice(list(OPS)) for edge in EDGES}, ([], [])
    for seed in range(seeds):
        np.random.seed(seed)  # theirs draws from numpy's own generator, too
        if name == "evolution":
            ours = RegularizedEvolution(UniformMutation(), MEASURED[-1], seed, NO_LIMITS)
            theirs = Theirs(edges, population_size=10, sample_size=3, random_seed=seed)
        else:
            ours = made("bohb:rungs=1", samples=MEASURED[-1], seed=seed)
            theirs = KernelDensityEstimator(edges, random_seed=seed)
        curves[0].append([row.score for row in simulate(ours, evaluator(accuracies.get)).best])
        curves[1].append(best_of(theirs, accuracies))
    values = np.array(curves)[:, :, [count - 1 for count in MEASURED]]
    mean, error = values.mean(1), values.std(1, ddof=1) / np.sqrt(seeds)
    difference, most = mean[0] - mean[1], 3.5 * np.hypot(*error)
    print(f"{name}, {seeds} seeds, after {MEASURED} evaluations: ours {mean[0]}, syne-tune {mean[1]} %")
    assert (difference > -most).all()
    assert name == "densities" or (difference < most).all()
