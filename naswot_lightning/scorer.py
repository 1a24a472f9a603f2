"""From one architecture to its scores: built with weights of its own, on one fixed mini-batch."""

from __future__ import annotations

import math
import pickle
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import nn

from naswot_lightning.columns import Column, Criterion
from naswot_lightning.errors import UserError, describe_error, raise_machine_fault
from naswot_lightning.naswot import Precision, Units, activation_kernel
from naswot_lightning.naswot.isolation import process_restored
from naswot_lightning.networks import build_network, get_device, move_network
from naswot_lightning.scores.base import Measured, ObserverType, Probe, macs_of_pass
from naswot_lightning.scores.registry import get_score, observers_of
from naswot_lightning.seeds import derived_seed, renewed_generators
from naswot_lightning.spaces import Complexity, Space, SpaceError, get_space, trust
from naswot_lightning.storage.score_rows import Status

_CPU = torch.device("cpu")
_REASONS = {
    "failed": "not a number: the network's values or gradients are NaN or overflow",
    "degenerate": "the network gives different images the same code, constant feature maps, or no gradient",
}


@dataclass(frozen=True)
class Evaluation:
    """What an evaluator says of one architecture; what has no words here is as in ``ScoreRow``."""

    scores: Mapping[str, float | None]
    """by the names of the evaluator's columns, the one that this evaluation is for first; None where a value is not a
    number, or was not asked for."""
    status: Status
    reason: str | None = None
    """of another status than "ok", or what to doubt of a score, or why another is missing."""
    stds: Mapping[str, float | None] | None = None
    n_units: int | None = None
    params: int | None = None
    macs: int | None = None
    seconds: float = 0.0
    """that it took; of a benchmark's table, those that its training took."""

    @property
    def score(self) -> float | None:
        """The first of the scores."""
        return next(iter(self.scores.values()), None)


class ScoreEvaluator:
    """Scores networks of one space, each built with weights of its own.

    There is a mini-batch for each repeat, which is moved to the device once. The first of the scores decides the
    status; the criteria order the ranking, each score alone by default.
    """

    def __init__(
        self,
        space: Space,
        probes: Sequence[Probe],
        scores: Sequence[str] = ("naswot",),
        seed: int = 0,
        device: torch.device | str = "cpu",
        precision: Precision = "32",
        criteria: Sequence[Criterion] = (),
        units: Units = "rectifiers",
    ) -> None:
        self.space, self.probes = space, list(probes)
        self.scores = tuple(get_score(name) for name in scores)
        self.seed, self.device_name = seed, str(device)
        self.precision: Precision = precision
        self.units: Units = units
        self.criteria = tuple(criteria) or tuple(Criterion((column,)) for column in self.columns)

    @cached_property
    def device(self) -> torch.device:
        """The device of that name in this process."""
        return get_device(self.device_name)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The scores."""
        return tuple(score.column for score in self.scores)

    @property
    def fingerprint(self) -> str:
        """Of the first mini-batch."""
        return self.probes[0].fingerprint

    def prepare(self) -> None:
        """Move the mini-batches to the device; a GPU without bfloat16, where that is asked for, is a UserError."""
        gpu = self.device if self.precision == "bf16" and self.device.type == "cuda" else None
        if gpu is not None and not torch.cuda.is_bf16_supported(including_emulation=False):
            lacks = f"{torch.cuda.get_device_name(gpu)} has no bfloat16 instructions, as V100, T4 and older GPUs"
            raise UserError(f"--precision bf16: {lacks}; use --precision 32")
        self.probes = [probe.to(self.device) for probe in self.probes]
        _warm_up(self.device)

    def __call__(self, architecture: str) -> Evaluation:
        """Return the scores of one network with its model size; a failure is a status, too.

        Raises:
            MachineError: memory ran out, or the device is broken: no fault of the network.
        """
        start = time.perf_counter()
        repeats: list[dict[str, float]] = []
        faults: list[str] = []
        notes: list[str] = []
        size = n_units = None
        try:
            seed = derived_seed(self.seed, self.space.name, architecture, "passes")
            with process_restored(), renewed_generators(seed, self.device):
                if not self._counts_by_passes:
                    size = self._size(architecture, notes)
                for repeat, probe in enumerate(self.probes):
                    network = build_network(self.space, architecture, self.seed, probe.num_classes, repeat)
                    network = move_network(network, self.device, self.space.channels_last)
                    measured = Measured(network, probe, size, self.precision, self._observers, self.units)
                    repeats.append(values := {})
                    for score in self.scores:
                        # A score that fails leaves the others.
                        try:
                            with score.threads():
                                values[score.name] = float(score.function(measured))
                        except Exception as error:  # noqa: BLE001 - any fault of one network is reported with it
                            raise_machine_fault(error)
                            faults.append(f"{score.name}: " * (len(self.scores) > 1) + describe_error(error))
                            values[score.name] = math.nan
                    # Where units cannot be counted, the scores that need them have said why; the others do without.
                    try:
                        n_units = measured.n_units
                    except Exception as error:  # noqa: BLE001 - any fault of one network
                        raise_machine_fault(error)
                    notes += [measured.blind_spot] if measured.blind_spot else []
                    if self._counts_by_passes and size is None:
                        size = self._size(architecture, notes, measured)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - any fault of one network is reported with it, also sys.exit
            raise_machine_fault(error)
            repeats = [dict.fromkeys((score.name for score in self.scores), math.nan)]
            faults = [describe_error(error)]
        seconds = round(time.perf_counter() - start, 6)
        return summarize(repeats, faults, notes, n_units, size, seconds)

    @cached_property
    def _counts_by_passes(self) -> bool:
        """Whether the size is that of the network on the device, seen while it is scored.

        On the meta device a network of NDS takes as long as its score (DARTS: 60 ms). Spaces that count in their own
        way take no time, and a network that looks at values may do less for an image of zeros.
        """
        return self.space.builds_on_meta and getattr(self.space.complexity, "__func__", None) is Space.complexity

    @cached_property
    def _observers(self) -> list[ObserverType]:
        return observers_of(self.scores) + [macs_of_pass] * self._counts_by_passes

    def _size(self, architecture: str, notes: list[str], measured: Measured | None = None) -> Complexity | None:
        """Return the size, of a network that was scored or as the space counts it; None where that is impossible."""
        probe = self.probes[0]
        try:
            if measured is not None:
                return Complexity(measured.params, measured.macs)
            return self.space.complexity(architecture, probe.num_classes, probe.images.shape[1], probe.image_size)
        except SpaceError:
            raise
        except Exception as error:  # noqa: BLE001 - any fault of one network is reported with it
            raise_machine_fault(error)
            notes.append(f"its size cannot be counted: {describe_error(error)}")
            return None

    def __reduce__(self) -> tuple[Callable[..., ScoreEvaluator], tuple[Any, ...]]:
        """Send the space by its name: a user's functions cannot be sent themselves."""
        try:
            named = get_space(self.space.name) is self.space
        except SpaceError:
            named = False
        if not named:
            raise pickle.PicklingError(f"another process cannot make the space {self.space.name!r} of its name")
        names = tuple(score.name for score in self.scores)
        probes = [probe.to(_CPU) for probe in self.probes]
        settings = (names, self.seed, self.device_name, self.precision, self.criteria, self.units)
        return _evaluator_of_named_space, (self.space.name, probes, *settings)


@lru_cache(maxsize=1)
def _warm_up(device: torch.device) -> None:
    """Load what the first score of a process loads, so that it is not counted as that score's time.

    On a GPU that is cuDNN and cuBLAS, on the CPU the compiled loops (0.4 s, and 7 s after an installation).
    """
    with process_restored(), renewed_generators(0, device):
        layers = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(3, 1, 1), nn.Flatten()
        network = nn.Sequential(*layers, nn.Linear(512, 2)).to(device)
        images = torch.randn(2, 3, 8, 8, device=device)
        if device.type != "cpu":
            network(images).sum().backward()
        activation_kernel(network, images)


def _evaluator_of_named_space(space: str, *arguments: Any) -> ScoreEvaluator:
    # The process that sent them trusts the scores.
    for name in arguments[1]:
        trust(name)
    return ScoreEvaluator(get_space(space), *arguments)


def summarize(
    repeats: Sequence[Mapping[str, float]], faults: Sequence[str], notes: Sequence[str], n_units: int | None,
    size: Complexity | None, seconds: float,
) -> Evaluation:  # fmt: skip
    """Return mean and population standard deviation over the repeats, and what the values say of the network."""
    by_name = {name: [values[name] for values in repeats] for name in repeats[0]}
    states: dict[str, Status] = {}
    for name, values in by_name.items():
        failed = any(math.isnan(value) or value == math.inf for value in values)
        states[name] = "failed" if failed else "degenerate" if -math.inf in values else "ok"
    # Scores with the same fault are named together; one that raised has said what it is.
    said = list(faults)
    for state, reason in _REASONS.items():
        names = [name for name, found in states.items() if found == state and not (state == "failed" and faults)]
        said += [f"{', '.join(names)}: {reason}"] if names else []
    usable = {name: values if states[name] == "ok" else [] for name, values in by_name.items()}
    stds = {name: statistics.pstdev(values) if len(values) > 1 else None for name, values in usable.items()}
    return Evaluation(
        scores={name: statistics.fmean(values) if values else None for name, values in usable.items()},
        status=next(iter(states.values())),
        reason="; ".join(dict.fromkeys([*said, *notes])) or None,
        stds=stds if len(repeats) > 1 else None,
        n_units=n_units,
        params=size.params if size else None,
        macs=size.macs if size else None,
        seconds=seconds,
    )
