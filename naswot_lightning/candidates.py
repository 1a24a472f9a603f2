"""One candidate: built with its own seed, scored on the probe, described in one row."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from naswot_lightning.data.probe import Probe
from naswot_lightning.score import activation_kernel
from naswot_lightning.seeds import derived_seed
from spaces import Space

Row = dict[str, Any]

_CPU = torch.device("cpu")


def build_network(space: Space, architecture: str, seed: int, num_classes: int) -> nn.Module:
    """Build an untrained network on the CPU with weights that depend on (seed, space, architecture) alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, space.name, architecture))
        return space.build(architecture, num_classes)


@dataclass(frozen=True)
class Scorer:
    """Scores networks of one space on one probe.

    Args:
        space: the search space.
        probe: the mini-batch, anywhere; it is moved to the device once.
        seed: of the weights.
        device: where networks run.
        bf16: run the forward pass in bfloat16 autocast.
    """

    space: Space
    probe: Probe
    seed: int = 0
    device: torch.device = _CPU
    bf16: bool = False

    def __post_init__(self) -> None:
        images = self.probe.images.to(self.device)
        object.__setattr__(self, "probe", replace(self.probe, images=images))

    def __call__(self, architecture: str) -> Row:
        """Return the score of one network with its plain size; a failure is a row, too.

        Returns:
            score (None unless status is "ok"), n_units, params, macs, seconds, status "ok", "degenerate" or
            "failed", and the reason.
        """
        start = time.perf_counter()
        size = self.space.complexity(
            architecture, self.probe.num_classes, self.probe.images.shape[1], self.probe.image_size
        )
        try:
            score, n_units = self._score(architecture)
            status, reason = _judge(score)
        except Exception as error:  # noqa: BLE001 - any fault of one network is reported in its row
            score, n_units, status, reason = math.nan, None, "failed", f"{type(error).__name__}: {error}"
        return {
            "score": score if status == "ok" else None,
            "n_units": n_units,
            "params": size.params,
            "macs": size.macs,
            "seconds": round(time.perf_counter() - start, 6),
            "status": status,
            "reason": reason.splitlines()[0] if reason else None,
        }

    def _score(self, architecture: str) -> tuple[float, int]:
        network = build_network(self.space, architecture, self.seed, self.probe.num_classes)
        memory_format = torch.channels_last if self.space.channels_last else torch.preserve_format
        network = network.to(memory_format=memory_format).to(self.device)
        kernel = activation_kernel(network, self.probe.images, precision="bf16" if self.bf16 else "32")
        return kernel.logdet(), kernel.n_units


def _judge(score: float) -> tuple[str, str | None]:
    if math.isnan(score):
        return "failed", "NaN activations"
    if math.isinf(score):
        return "degenerate", "K_H is singular: the network gives different images the same code"
    return "ok", None
