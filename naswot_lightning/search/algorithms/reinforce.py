"""REINFORCE (Williams, 1992): a policy of independent decisions, made likelier where the reward was above average."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from naswot_lightning.search.algorithms.base import (
    Limits,
    architecture_from_decisions,
    require_categorical,
    require_nonempty,
    sample_within_limits,
    score_or_neg_inf,
)
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.score_rows import ScoreRow
from spaces import Space

_DECAYS = (0.9, 0.999)  # of Adam's averages of gradients and of their squares
_EPSILON = 1e-8


class Reinforce:
    """Draws one architecture after the other from a policy that learns from each.

    As the authors of NAS-Bench-201 and NATS-Bench run it: a softmax for each decision, Adam, and the average reward as
    the baseline. Rewards are the scores as they are. Nothing depends on their unit or zero, as long as they differ:
    the baseline takes away what they share, and Adam's steps have the same length for rewards of any scale. A candidate
    that failed is rewarded like the worst before it.

    Decisions that exclude each other, or are not within the limits, are drawn again; where the policy draws nothing
    else any more, the architecture is drawn from the space.

    Args:
        space: of independent decisions.
        samples: how many are evaluated; an architecture that is drawn again counts again.
        seed: of the run.
        limits: what candidates are within.
        learning_rate: of Adam.
        momentum: the weight of the past in the average reward.

    Raises:
        UserError: the space is not one of decisions.
    """

    def __init__(
        self,
        space: Space,
        samples: int,
        seed: int,
        limits: Limits,
        learning_rate: float = 0.01,
        momentum: float = 0.9,
    ) -> None:
        self._space, self._samples, self._seed, self._limits = space, samples, seed, limits
        self._decisions = require_categorical(space, "reinforce")
        self._learning_rate, self._momentum = learning_rate, momentum
        self._forget()

    def _forget(self) -> None:
        self._policy = Policy([len(options) for options in self._decisions.choices], self._learning_rate)
        self._baseline = Average(self._momentum)
        self._worst = math.inf
        self._learnt = 0
        self._latest: ScoreRow | None = None

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the next architecture.

        Raises:
            UserError: nothing is within the limits.
        """
        if len(rows) >= self._samples:
            return ()
        self._learn(rows)
        rng = random.Random(derived_seed(self._seed, "reinforce", len(rows)))
        found = sample_within_limits(
            lambda: architecture_from_decisions(self._decisions, self._policy.draw(rng)), 1, self._limits
        )
        found = found or sample_within_limits(lambda: self._space.sample(rng), 1, self._limits)
        return found if rows else require_nonempty(found)

    def _learn(self, rows: Sequence[ScoreRow]) -> None:
        """Learn from the rows that are new; from all of them, where those learnt from were others."""
        if self._learnt and (len(rows) < self._learnt or rows[self._learnt - 1] != self._latest):
            self._forget()
        for place in range(self._learnt, len(rows)):
            self._latest = row = rows[place]
            reward = score_or_neg_inf(row)
            if reward == -math.inf:
                reward = self._worst
            if reward == math.inf:
                # All failed so far: there is nothing to compare with.
                continue
            self._worst = min(self._worst, reward)
            self._baseline.add(reward)
            self._policy.learn(self._decisions.decisions(row.architecture), reward - self._baseline.value)
        self._learnt = len(rows)


class Average:
    """An exponential moving average, without a bias towards 0.

    Args:
        momentum: the weight of the past.
    """

    def __init__(self, momentum: float) -> None:
        self._momentum = momentum
        self._sum = self._weight = 0.0

    def add(self, value: float) -> None:
        """Add a value."""
        self._sum = self._momentum * self._sum + (1 - self._momentum) * value
        self._weight = self._momentum * self._weight + (1 - self._momentum)

    @property
    def value(self) -> float:
        """The average of the values so far."""
        return self._sum / self._weight


class Policy:
    """An independent softmax for each decision, uniform at first, and its Adam (Kingma & Ba, 2015).

    Args:
        sizes: how many options each decision has.
        learning_rate: of Adam.

    Attributes:
        logits: (decisions, most options), -inf where a decision has fewer options.
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
        gradient = self.probabilities()
        gradient[self._rows, list(decisions)] -= 1
        return advantage * gradient
