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
    """Validation accuracy after 12 epochs, and after 200: of unknown cells the mean of the nearest known ones."""
    with open(shared("nasbench201-accuracies-1500.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = np.array([SPACE.decisions(row["arch"]) for row in rows])
    values = np.array([[float(row[f"cifar10_valid_xvalid_{epochs}"]) for epochs in (12, 200)] for row in rows])
    found = {}
    for cell in SPACE:
        distances = (known != np.array(SPACE.decisions(cell))).sum(1)
        found[cell] = values[distances == distances.min()].mean(0)
    return {cell: value[0] for cell, value in found.items()}, {cell: value[1] for cell, value in found.items()}


def oracles_best(searcher, accuracies, count):
    """The early and the final accuracy of the best so far."""
    early, final = accuracies
    best, curve = -np.inf, []
    for trial in range(count):
        configuration = searcher.suggest()
        cell = SPACE.from_decisions([OPS.index(configuration[edge]) for edge in EDGES])
        searcher.on_trial_complete(trial, configuration, -early[cell])
        if early[cell] > best:
            best, chosen = early[cell], cell
        curve.append((best, final[chosen]))
    return np.array(curve)


def our_best(algorithm, accuracies):
    early, final = accuracies
    history = simulate(algorithm, evaluator(early.get))
    return np.array([(row.score, final[row.architecture]) for row in history.best])


def described(name, curves):
    """Print means and standard deviations over seeds; return them, (measured, early or final)."""
    values = np.array(curves)[:, [count - 1 for count in MEASURED]]
    mean, deviation = values.mean(0), values.std(0, ddof=1)
    for count, means, deviations in zip(MEASURED, mean, deviation, strict=True):
        pairs = ", ".join(f"{m:.2f} ± {d:.2f}" for m, d in zip(means, deviations, strict=True))
        print(f"{name}, {count} evaluations, {len(curves)} seeds: after 12 and 200 epochs {pairs} %")
    return mean, deviation / np.sqrt(len(curves))


def compared(ours, theirs, seeds, accuracies):
    """The mean and its error of both, each made of a seed; theirs also draws from numpy's own generator."""
    config_space = pytest.importorskip("syne_tune.config_space", reason="pip install syne-tune")
    edges = {edge: config_space.choice(list(OPS)) for edge in EDGES}
    curves = [], []
    for seed in range(seeds):
        curves[0].append(our_best(ours(seed), accuracies))
        np.random.seed(seed)
        curves[1].append(oracles_best(theirs(edges, seed), accuracies, 200))
    return described("ours", curves[0]), described("syne-tune", curves[1])


@pytest.mark.slow
def test_evolution_finds_what_syne_tunes_finds(accuracies):
    def theirs(edges, seed):
        from syne_tune.optimizer.schedulers.searchers.regularized_evolution import RegularizedEvolution as Theirs

        return Theirs(edges, population_size=10, sample_size=3, random_seed=seed)

    def ours(seed):
        return RegularizedEvolution(UniformMutation(), 200, seed, NO_LIMITS)

    (mean, error), (their_mean, their_error) = compared(ours, theirs, 200, accuracies)
    assert (np.abs(mean - their_mean) < 3.5 * np.hypot(error, their_error)).all()


@pytest.mark.slow
def test_densities_find_no_less_than_syne_tunes(accuracies):
    """Whole trainings alone: the table has no accuracies after fewer than 12 epochs."""

    def theirs(edges, seed):
        from syne_tune.optimizer.schedulers.searchers.kde import KernelDensityEstimator

        return KernelDensityEstimator(edges, random_seed=seed)

    def ours(seed):
        return made("bohb:rungs=1", samples=200, seed=seed)

    (mean, error), (their_mean, their_error) = compared(ours, theirs, 50, accuracies)
    assert (mean > their_mean - 3.5 * np.hypot(error, their_error)).all()
