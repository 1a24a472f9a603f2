import random

import numpy as np
import pytest
import torch

from naswot_lightning.searching.algorithms.reinforce import Policy
from naswot_lightning.searching.loop import simulate
from tests.searching.algorithms.tables import SPACE, convolutions, evaluator, made, row_of

SIZES = [5, 2, 3]


def test_gradient_and_steps_are_those_of_torch():
    rng = np.random.default_rng(0)
    policy = Policy(SIZES, 0.05)
    logits = torch.zeros(3, 5, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.05)
    for _ in range(50):
        decisions, advantage = [int(rng.integers(size)) for size in SIZES], float(rng.normal())
        adam.zero_grad()
        log_probability = sum(
            torch.distributions.Categorical(logits=logits[row, :size]).log_prob(torch.tensor(decision))
            for row, (size, decision) in enumerate(zip(SIZES, decisions, strict=True))
        )
        (-log_probability * advantage).backward()
        assert policy.gradient(decisions, advantage) == pytest.approx(logits.grad.numpy(), abs=1e-12)
        policy.learn(decisions, advantage)
        adam.step()
    for row, size in enumerate(SIZES):
        assert policy.logits[row, :size] == pytest.approx(logits.detach().numpy()[row, :size], abs=1e-9)
        assert policy.probabilities()[row].sum() == pytest.approx(1)
        assert not policy.probabilities()[row, size:].any()


def test_draws_have_the_probabilities_of_the_policy():
    policy = Policy(SIZES, 0.3)
    for _ in range(5):
        policy.learn([4, 0, 1], 1.0)
    rng = random.Random(0)
    drawn = np.array([policy.draw(rng) for _ in range(5_000)])
    for row, size in enumerate(SIZES):
        shares = np.bincount(drawn[:, row], minlength=size) / 5_000
        assert shares == pytest.approx(policy.probabilities()[row, :size], abs=0.03)


def test_the_baseline_is_an_average_without_bias():
    algorithm, policy = made("reinforce"), Policy([5] * 6, 0.01)
    rewards = [3.0, 5.0, 4.0, 9.0]
    algorithm.propose([row_of(SPACE[number], reward) for number, reward in enumerate(rewards)])
    for number, reward in enumerate(rewards):
        weights = 0.9 ** np.arange(number, -1, -1)
        policy.learn(SPACE.decisions(SPACE[number]), reward - np.average(rewards[: number + 1], weights=weights))
    assert algorithm._policy.logits == pytest.approx(policy.logits)
    nothing_to_learn = made("reinforce")
    nothing_to_learn.propose([row_of(SPACE[number], None) for number in range(5)])
    assert not nothing_to_learn._policy.logits.any()


def test_neither_unit_nor_zero_of_the_reward_matter():
    proposals = {
        tuple(row.architecture for row in simulate(made("reinforce"), evaluator(reward)).rows)
        for reward in (convolutions, lambda a: 100 * convolutions(a), lambda a: 1500 + 8 * convolutions(a))
    }
    assert len(proposals) == 1


def test_it_learns_from_the_rows_it_is_given():
    """Another history of the same length, or a shorter one, is learnt from the beginning."""
    used = made("reinforce", samples=400)
    rows = [row_of(SPACE[number], float(number)) for number in range(50)]
    others = [row_of(SPACE[number], float(-number)) for number in range(50, 110)]
    for each in (rows, others, rows[:20], others[:21]):
        assert used.propose(each) == made("reinforce", samples=400).propose(each)
