"""One candidate: built with its own seed, scored on the probe, described in one row."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from naswot_lightning.data.probe import Probe
from naswot_lightning.proxies import compute_scores
from naswot_lightning.score import activation_kernel
from naswot_lightning.seeds import derived_seed
from spaces import Complexity, Space

Row = dict[str, Any]
Values = dict[str, float]  # by proxy; -inf degenerate, nan failed

_CPU = torch.device("cpu")


def build_network(
    space: Space,
    architecture: str,
    seed: int,
    num_classes: int,
    repeat: int = 0,
    auxiliary: bool = False,
    drop_path: float = 0.0,
) -> nn.Module:
    """Build an untrained network on the CPU with weights that depend on (seed, space, architecture) alone.

    Args:
        space: the search space.
        architecture: of that space.
        seed: of the run.
        num_classes: outputs.
        repeat: which of several initializations; the first is that of a run without repeats.
        auxiliary: with an auxiliary head, for training; the cells keep the weights that they have without.
        drop_path: a probability of drop path, for training.
    """
    built = space.with_training_parts(architecture, auxiliary, drop_path)
    parts = (seed, space.name, architecture, *((repeat,) if repeat else ()))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(*parts))
        return space.build(built, num_classes)


@dataclass(frozen=True)
class Scorer:
    """Scores networks of one space.

    Args:
        space: the search space.
        probes: a mini-batch for each repeat, anywhere; they are moved to the device once.
        proxies: names of the scores; the first one decides the status of a row.
        seed: of the weights.
        device: where networks run.
        bf16: run the forward pass of naswot in bfloat16 autocast.
    """

    space: Space
    probes: Sequence[Probe]
    proxies: Sequence[str] = ("naswot",)
    seed: int = 0
    device: torch.device = _CPU
    bf16: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "probes", [probe.to(self.device) for probe in self.probes])

    def __call__(self, architecture: str) -> Row:
        """Return the scores of one network with its plain size; a failure is a row, too.

        Returns:
            score (of the first proxy, None unless it is a number), scores and stds by proxy, n_units, params, macs,
            seconds, status "ok", "degenerate" or "failed", and the reason.
        """
        start = time.perf_counter()
        probe = self.probes[0]
        size = self.space.complexity(architecture, probe.num_classes, probe.images.shape[1], probe.image_size)
        repeats: list[Values] = []
        n_units, faults = None, []
        try:
            for repeat in range(len(self.probes)):
                values, n_units = self._score(architecture, repeat, size)
                repeats.append(values)
        except Exception as error:  # noqa: BLE001 - any fault of one network is reported in its row
            repeats = [dict.fromkeys(self.proxies, math.nan)]
            faults.append(f"{type(error).__name__}: {error}".splitlines()[0])
        return {
            **_summary(self.proxies, repeats, faults),
            "n_units": n_units,
            "params": size.params,
            "macs": size.macs,
            "seconds": round(time.perf_counter() - start, 6),
        }

    def _score(self, architecture: str, repeat: int, size: Complexity) -> tuple[Values, int]:
        probe = self.probes[repeat]
        network = self._placed(build_network(self.space, architecture, self.seed, probe.num_classes, repeat))
        images = probe.images if "naswot" in self.proxies else probe.images[:2]  # two suffice to count the units
        kernel = activation_kernel(network, images, precision="bf16" if self.bf16 else "32")
        known = {"params": size.params, "macs": size.macs, "rectified_units": kernel.n_units}
        values: Values = {name: float(known[name]) for name in self.proxies if name in known}
        if "naswot" in self.proxies:
            values["naswot"] = kernel.logdet()
        values |= compute_scores(network, probe, [name for name in self.proxies if name not in values])
        return {name: values[name] for name in self.proxies}, kernel.n_units

    def _placed(self, network: nn.Module) -> nn.Module:
        """Return the network on the device, in channels_last memory where its space allows that.

        The weights of convolutions alone: ``network.to(memory_format=...)`` makes every other tensor anew, too, which
        takes 4 ms where building a network of NAS-Bench-201 takes 11 ms.
        """
        if self.space.channels_last:
            for weight in network.parameters():
                if weight.dim() == 4:
                    weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return network if self.device.type == "cpu" else network.to(self.device)


def _summary(proxies: Sequence[str], repeats: Sequence[Values], faults: Sequence[str]) -> Row:
    """Return mean and standard deviation over the repeats, and what the values say of the network."""
    scores: dict[str, float | None] = {}
    stds: dict[str, float | None] = {}
    states = {}
    for name in proxies:
        values = [value[name] for value in repeats]
        states[name] = _status(values)
        usable = states[name] == "ok"
        scores[name] = statistics.fmean(values) if usable else None
        stds[name] = statistics.pstdev(values) if usable and len(values) > 1 else None
    reasons = [*faults, *(f"{name}: {_REASONS[state]}" for name, state in states.items() if state in _REASONS)]
    return {
        "score": scores[proxies[0]],
        "scores": scores,
        **({"stds": stds} if len(repeats) > 1 else {}),
        "status": states[proxies[0]],
        "reason": "; ".join(faults or reasons) or None,
    }


_REASONS = {
    "failed": "not a number: the network's values or gradients are NaN or overflow",
    "degenerate": "the network gives different images the same code, or no gradient",
}


def _status(values: Sequence[float]) -> str:
    if any(math.isnan(value) or value == math.inf for value in values):
        return "failed"
    return "degenerate" if -math.inf in values else "ok"
