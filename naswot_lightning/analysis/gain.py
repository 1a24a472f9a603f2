"""What trained picks gain over random candidates of the same search, in test accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any, Literal

from naswot_lightning.analysis.results import CONTROL, Group, GroupSettings, Network
from naswot_lightning.analysis.statistics import CONFIDENCE
from naswot_lightning.columns import TEST_ACC
from naswot_lightning.console import counted

GainOutcome = Literal["beat", "lose to", "cannot be told from", "too little evidence"]
# What controls are compared with, the first that there is.
_PICKS = ("top", "named", "given", "pareto", None, "spread", "all")
# Fewer than this a side, and the advice is to train more of them.
_ENOUGH = 10


@dataclass(frozen=True)
class Gain:
    """The mean test accuracy of picks less that of controls, in percentage points."""

    settings: GroupSettings
    """what their trainings have in common."""
    picks: tuple[float, ...]
    """test accuracy in percent of each network, the mean over its seeds."""
    controls: tuple[float, ...]

    @property
    def value(self) -> float:
        """The difference of the means."""
        return fmean(self.picks) - fmean(self.controls)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of Welch 1947, "Student's" problem with unequal variances; None for fewer than two a side.

        Accuracies are few and near their upper end: with three a side a bootstrap would be far too narrow.

        >>> settings = GroupSettings("nasbench201", "digits", "test", 12, None)
        >>> gain = Gain(settings, (97.0, 98.0, 99.0), (90.0, 94.0, 95.0))
        >>> gain.value, [round(end, 3) for end in gain.interval]
        (5.0, [-0.741, 10.741])
        """
        from scipy.stats import t

        if min(len(self.picks), len(self.controls)) < 2:
            return None
        shares = [variance(values) / len(values) for values in (self.picks, self.controls)]
        if not sum(shares):
            return self.value, self.value
        sizes = (len(self.picks) - 1, len(self.controls) - 1)
        freedom = sum(shares) ** 2 / sum(share**2 / size for share, size in zip(shares, sizes, strict=True))
        half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(sum(shares))
        return self.value - half, self.value + half

    @property
    def outcome(self) -> GainOutcome:
        """What the interval says."""
        if self.interval is None:
            return "too little evidence"
        low, high = self.interval
        return "beat" if low > 0 else "lose to" if high < 0 else "cannot be told from"

    @property
    def short(self) -> str:
        """The gain with its interval."""
        interval = "" if self.interval is None else " [{:+.2f}, {:+.2f}]".format(*self.interval)
        return f"{self.value:+.2f} points{interval}"

    @property
    def sentence(self) -> str:
        """The outcome in words, with its numbers."""
        picks, controls = counted(len(self.picks), "pick"), counted(len(self.controls), "random candidate")
        numbers = f"test accuracy {fmean(self.picks):.2f} % ({picks}) against {fmean(self.controls):.2f} % ({controls})"
        numbers += f", {self.short}"
        more = f"--top {max(_ENOUGH, len(self.picks))} --controls {max(_ENOUGH, len(self.controls))}"
        if self.interval is None:
            return f"Picks against random: {numbers}; one network on a side gives no interval: train more with {more}."
        said = f"The picks {self.outcome} random candidates: {numbers} (95 %, Welch)"
        if self.outcome == "cannot be told from":
            half = (self.interval[1] - self.interval[0]) / 2
            said += f"; so few show a gain from {half:.2f} points on: train more with {more}"
        return f"{said}."

    def to_json(self) -> dict[str, Any]:
        """Return it as ``evidence.json`` holds it, in percentage points."""
        low, high = self.interval or (None, None)
        return {
            "picks": self.picks, "controls": self.controls, "gain": self.value, "low": low, "high": high,
            "interval": "Welch over networks", "outcome": self.outcome, "sentence": self.sentence,
        }  # fmt: skip


def gain_of(group: Group) -> Gain | None:
    """Return what a group's picks gain over its controls; None where there are none of one of them."""
    samples = group.samples
    picks = next((own for name in _PICKS if (own := _accuracies(samples.get(name, ())))), ())
    controls = _accuracies(samples.get(CONTROL, ()))
    return Gain(group.settings, picks, controls) if picks and controls else None


def _accuracies(networks: Sequence[Network]) -> tuple[float, ...]:
    means = (network.mean(TEST_ACC.name) for network in networks)
    return tuple(100 * mean for mean in means if mean is not None)
