"""Latency as the sum of a network's operators, each measured once on the device, corrected on whole networks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_map, tree_map_only

from naswot_lightning.hardware.measure import Device, time_passes

# Seconds for each operator, and for all of them at first.
_SECONDS, _MOST_SECONDS = 0.06, 60.0
# Kinds of operators of less than this share of the time have one factor together.
_LEAST_SHARE = 0.02
_PARTS = 8
# The share of networks left out of the fit that took at most the margin longer than predicted.
_COVERED = 0.95


def record(network: nn.Module, images: Tensor) -> Calls:
    """Return the calls of a forward pass in eval mode; both are on one device, which may be the meta device."""
    with torch.no_grad(), Calls() as calls:
        network.eval()(images)
    return calls


@dataclass
class OperatorTable:
    """The milliseconds of operators by their signatures: function, shapes, kernel, stride, groups.

    What is new is measured when it is asked for; what cannot run by itself counts as 0.
    """

    device: Device
    ms: dict[str, float] = field(default_factory=dict)

    def add(self, recorded: Iterable[Calls]) -> bool:
        """Measure the operators that are not known; return whether there were any."""
        plans = {name: plan for calls in recorded for name, plan in calls.plans.items() if name not in self.ms}
        runs = {}
        for name, plan in plans.items():
            try:
                run = _again(plan, torch.device(self.device.device))
                time_passes([run], self.device, seconds=0)
                runs[name] = run
            except Exception:  # noqa: BLE001 - a call that needs its own values, such as indices
                self.ms[name] = 0.0
        seconds = min(_SECONDS, _MOST_SECONDS / max(len(runs), 1))
        for name, samples in zip(runs, time_passes(list(runs.values()), self.device, 0, seconds), strict=True):
            # The least, which other work on the machine disturbs least.
            self.ms[name] = round(1e3 * min(samples), 9)
        return bool(plans)

    def times(self, calls: Calls) -> dict[str, float]:
        """Return the milliseconds of a forward pass by the kind of operator."""
        times: dict[str, float] = {}
        for name, count in calls.counts.items():
            kind = name[: name.index("(")]
            times[kind] = times.get(kind, 0.0) + count * self.ms[name]
        return times


class Prediction(NamedTuple):
    """What predictions of networks that were left out of the fit were worth."""

    networks: int
    error: float
    """median of |predicted / measured - 1|."""
    rank_correlation: float
    """Spearman's."""
    margin: float
    """so much longer than predicted, as a share, 95 % of the latencies are at most."""
    drift: float
    """from a network's fastest to its slowest latency, as a share: the median of the networks."""


@dataclass(frozen=True)
class Regression:
    """Latency as a sum with a factor for each kind of operator, one for each call, and a constant; none is negative."""

    kinds: tuple[str, ...]
    factors: np.ndarray

    @classmethod
    def fit(
        cls, passes: Sequence[tuple[Mapping[str, float], int]], latencies: Sequence[float] | np.ndarray
    ) -> Regression:
        """Fit to (times by kind, calls) of passes and their latencies, all in milliseconds, by relative errors."""
        from scipy.optimize import nnls

        names = sorted({name for times, _ in passes for name in times})
        total = {name: sum(times.get(name, 0.0) for times, _ in passes) for name in names}
        kinds = tuple(name for name in names if total[name] >= _LEAST_SHARE * sum(total.values()))
        features = np.stack([_features(kinds, *each) for each in passes]) / np.asarray(latencies)[:, None]
        return cls(kinds, nnls(features, np.ones(len(latencies)))[0])

    def __call__(self, times: Mapping[str, float], calls: int) -> float:
        """Return the milliseconds of a forward pass."""
        return float(_features(self.kinds, times, calls) @ self.factors)


def assess(passes: Sequence[tuple[Mapping[str, float], int]], rounds: Sequence[Sequence[float]]) -> Prediction:
    """Return the errors of predictions, each of a regression without the network, by cross-validation in 8 parts.

    ``rounds`` are the latencies of each network, in milliseconds, one for each time that it was measured.
    """
    from scipy.stats import spearmanr

    measured, predicted = np.array([np.median(each) for each in rounds]), np.empty(len(rounds))
    for part in range(_PARTS):
        chosen = [number for number in range(len(measured)) if number % _PARTS != part]
        regression = Regression.fit([passes[number] for number in chosen], measured[chosen].tolist())
        for number in range(part, len(measured), _PARTS):
            predicted[number] = regression(*passes[number])
    # The quantile that holds for the next network, too (split conformal prediction: Lei et al., 2018, section 2.2).
    beyond = sorted(ms / expected - 1 for each, expected in zip(rounds, predicted, strict=True) for ms in each)
    margin = beyond[min(math.ceil(_COVERED * (len(beyond) + 1)), len(beyond)) - 1]
    error, rank_correlation = np.median(np.abs(predicted / measured - 1)), spearmanr(measured, predicted)[0]
    drift = np.median([max(each) / min(each) - 1 for each in rounds])
    return Prediction(len(rounds), float(error), float(rank_correlation), max(float(margin), 0.0), float(drift))


def _features(kinds: Sequence[str], times: Mapping[str, float], calls: int) -> np.ndarray:
    of_kinds = [times.get(name, 0.0) for name in kinds]
    return np.array([1.0, calls, *of_kinds, sum(times.values()) - sum(of_kinds)])


class Calls(TorchFunctionMode):
    """While active, records calls of torch that return tensors: how often each, and what runs it again."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.plans: dict[str, _Plan] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Before the call, which may change its arguments.
        plan = func, *tree_map_only(Tensor, _Shape.of, (args, kwargs or {}))
        output = func(*args, **(kwargs or {}))
        if isinstance(output, Tensor) or (isinstance(output, tuple) and any(isinstance(o, Tensor) for o in output)):
            name = f"{resolve_name(func) or func}{plan[1]}{plan[2] or ''}"
            self.counts[name] += 1
            self.plans.setdefault(name, plan)
        return output


@dataclass(frozen=True)
class _Shape:
    """A tensor without its values."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> _Shape:
        return cls(tuple(tensor.shape), tensor.stride(), tensor.dtype)

    def __repr__(self) -> str:
        dense = accumulate(self.size[:0:-1], mul, initial=1)
        order = "" if tuple(dense)[::-1] == self.stride else f"@{list(self.stride)}"
        return f"{str(self.dtype)[6:]}{list(self.size)}{order}"

    def make(self, device: torch.device) -> Tensor:
        made = torch.empty_strided(self.size, self.stride, dtype=self.dtype, device=device)
        return made.uniform_(0.1, 1) if made.is_floating_point() else made.zero_()


_Plan = tuple[Callable[..., Any], Any, Any]


def _again(plan: _Plan, device: torch.device) -> Callable[[], object]:
    """Return what runs a recorded call on a device."""

    def place(leaf: Any) -> Any:
        if isinstance(leaf, torch.device):
            return device
        return leaf.make(device) if isinstance(leaf, _Shape) else leaf

    func, (args, kwargs) = plan[0], tree_map(place, plan[1:])
    return lambda: func(*args, **kwargs)
