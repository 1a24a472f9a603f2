"""REINFORCE (Williams, 1992): a policy of independent decisions, made likelier where the reward was above average."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naswot_lightning.searching.algorithms.base import (
    SpaceAlgorithm,
    architecture_from_decisions,
    require_categorical,
    sample_within_limits,
    score_or_neg_inf,
)
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.score_rows import ScoreRow

# Of Adam's averages of gradients and of their squares, as in its paper.
_DECAYS = (0.9, 0.999)
_EPSILON = 1e-8


@dataclass
class Reinforce(SpaceAlgorithm):
    """Draws one architecture after the other from a policy that learns from each.

    As the authors of NAS-Bench-201 and NATS-Bench run it: a softmax for each decision, Adam, and the average reward as
    the baseline. Rewards are the scores as they are. Nothing depends on their unit or zero, as long as they differ:
    the baseline takes away what they share, and Adam's steps have the same length for rewards of any scale. A candidate
    that failed is rewarded like the worst before it.

    Decisions that exclude each other, or are not within the limits, are drawn again; where the policy draws nothing
    else any more, the architecture is drawn from the space. One that is drawn again counts again.
    """

    learning_rate: float = 0.01
    """of Adam."""
    momentum: float = 0.9
    """the weight of the past in the average reward."""

    def __post_init__(self) -> None:
        self._categorical = require_categorical(self.space, "reinforce")
        self._forget()

    def _forget(self) -> None:
        self._policy = Policy([len(options) for options in self._categorical.choices], self.learning_rate)
        self._rewards = self._weights = 0.0
        self._worst = math.inf
        self._learnt = 0
        self._latest: ScoreRow | None = None

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the next architecture."""
        if len(rows) >= self.samples:
            return ()
        # Learnt are the rows that are new; all of them, where those learnt from were others.
        if self._learnt and (len(rows) < self._learnt or rows[self._learnt - 1] != self._latest):
            self._forget()
        for index in range(self._learnt, len(rows)):
            self._learn(rows[index])
        rng = random.Random(derived_seed(self.seed, "reinforce", len(rows)))
        found = sample_within_limits(
            lambda: architecture_from_decisions(self._categorical, self._policy.draw(rng)), 1, self.limits
        )
        return found or sample_within_limits(lambda: self.space.sample(rng), 1, self.limits)

    def _learn(self, row: ScoreRow) -> None:
        self._learnt, self._latest = self._learnt + 1, row
        reward = score_or_neg_inf(row)
        if reward == -math.inf:
            reward = self._worst
        if reward == math.inf:
            # All failed so far: there is nothing to compare with.
            return
        self._worst = min(self._worst, reward)
        # The baseline is an exponential moving average; divided by its weights, it has no bias towards 0.
        self._rewards = self.momentum * self._rewards + (1 - self.momentum) * reward
        self._weights = self.momentum * self._weights + (1 - self.momentum)
        self._policy.learn(self._categorical.decisions(row.architecture), reward - self._rewards / self._weights)


class Policy:
    """An independent softmax for each decision, uniform at first, and its Adam (Kingma & Ba, 2015).

    ``logits`` are (decisions, most options), -inf where a decision has fewer options, as ``sizes`` say.
    """

    def __init__(self, sizes: Sequence[int], learning_rate: float) -> None:
        present = np.arange(max(sizes)) < np.array(sizes)[:, None]
        self.logits = np.where(present, 0.0, -np.inf)
        self._rows = np.arange(len(sizes))
        self._learning_rate = learning_rate
        self._steps = 0
        self._mean = np.zeros_like(self.logits)
        self._square = np.zeros_like(self.logits)

    def probabilities(self) -> np.ndarray:
        """Return (decisions, most options) probabilities; each row's sum is 1."""
        exponentials = np.exp(self.logits - self.logits.max(1, keepdims=True))
        return exponentials / exponentials.sum(1, keepdims=True)

    def draw(self, rng: random.Random) -> list[int]:
        """Return the option of each decision."""
        below = self.probabilities().cumsum(1)
        points = np.array([rng.random() for _ in self._rows])[:, None] * below[:, -1:]
        return (below <= points).sum(1).tolist()

    def learn(self, decisions: Sequence[int], advantage: float) -> None:
        """Make the decisions likelier where the advantage is positive: one step of Adam."""
        gradient = self.gradient(decisions, advantage)
        self._steps += 1
        first, second = _DECAYS
        self._mean = first * self._mean + (1 - first) * gradient
        self._square = second * self._square + (1 - second) * gradient**2
        step = self._mean / (1 - first**self._steps)
        scale = np.sqrt(self._square / (1 - second**self._steps)) + _EPSILON
        self.logits -= self._learning_rate * step / scale

    def gradient(self, decisions: Sequence[int], advantage: float) -> np.ndarray:
        """Return the gradient of -advantage x log-probability of the decisions, by the logits."""
        # d(-log softmax) / d(logits) = softmax - one-hot of the decision.
        gradient = self.probabilities()
        gradient[self._rows, list(decisions)] -= 1
        return advantage * gradient
