"""Predicted latency of a search's candidates, from operators and networks measured once on the device."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from annotated_types import MinLen
from torch import nn
from tqdm import tqdm

from naswot_lightning.console import has_bars, print_text
from naswot_lightning.errors import UserError, reason_of
from naswot_lightning.hardware.measure import Device, Latency, zeros_for
from naswot_lightning.hardware.table import Calls, OperatorTable, Prediction, Regression, assess, record
from naswot_lightning.searching.measuring import measure_networks
from naswot_lightning.spaces import Space
from naswot_lightning.storage.files import write_json
from naswot_lightning.storage.records import STRICT, Above0, Amount, Positive, from_plain, parse_json

# Networks by which the sum of operators is corrected; of fewer than the second number the error is not known.
_NETWORKS, _LEAST_NETWORKS = 40, 16
# The speed of a shared machine drifts by 3 to 6 % up and down within seconds: all are measured in so many rounds, or
# until so many seconds are over.
_ROUNDS, _MOST_SECONDS = 5, 90.0
# The same networks differed by this much from one minute to the next.
_LEAST_MARGIN = 0.05
_DRAWS = 1_000
_KEPT = 1 << 16


@dataclass(frozen=True)
class Measured:
    """A network that the sum is corrected by."""

    ms: Annotated[list[Above0], MinLen(1)]
    """its latencies, one for each round."""
    kinds: dict[str, Amount]
    """the milliseconds of its operators by their kind."""
    calls: Positive

    __pydantic_config__ = STRICT


class PredictedLatency:
    """The latency of architectures of a space on a device, in milliseconds.

    When the first one is asked for, operators and 40 networks of the space are measured, which takes one to three
    minutes. What was measured is kept in the user's cache, and copied into the run folder, which comes first.

    Args:
        device: of torch's own runtime.
        space: the networks.
        canonical: returns the architecture of the network that a candidate stands for.
        build: returns the network with weights, or (``recorded=True``) to record its calls.
        shape: returns that of the images, (N, C, H, W).
        saved: the file of the run folder.
    """

    def __init__(
        self, device: Device, space: Space, canonical: Callable[[str], str], build: Callable[..., nn.Module],
        shape: Callable[[], tuple[int, ...]], saved: Path,
    ) -> None:  # fmt: skip
        self._device, self._space, self._canonical, self._saved = device, space, canonical, saved
        self._build, self._shape = build, shape
        self._table, self._networks = OperatorTable(device), dict[str, Measured]()
        self._times = lru_cache(maxsize=_KEPT)(self._measured_times)

    def __call__(self, architecture: str) -> float:
        """Return the prediction."""
        regression, _ = self._fitted
        return round(regression(*self._times(self._canonical(architecture))), 6)

    def upper(self, architecture: str) -> float:
        """Return the latency that 95 % of the networks with this prediction stay below, also if the speed drifts."""
        return self(architecture) * (1 + max(self._fitted[1].margin, _LEAST_MARGIN))

    def save(self) -> None:
        """Write all measurements into the run folder."""
        write_json(self._saved, self._content())

    def _content(self) -> dict[str, Any]:
        networks = {name: vars(each) for name, each in self._networks.items()}
        return {"about": self._about, "operators": self._table.ms, "networks": networks}

    @cached_property
    def _about(self) -> dict[str, Any]:
        # Another space, or other code of one's own, may have the name.
        calls = hashlib.sha256()
        with suppress(Exception):
            first = self._canonical(self._space.sample(random.Random(0)))
            calls.update(repr(sorted(self._record(first).counts.items())).encode())
        space = {"space": self._space.name, "code": calls.hexdigest()[:12], "images": list(self._shape())}
        return {**self._device.describe(), **space, "rounds": _ROUNDS}

    @cached_property
    def _cache(self) -> Path:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "naswot-lightning"
        return folder / f"latency-{hashlib.sha256(json.dumps(self._about).encode()).hexdigest()[:12]}.json"

    @cached_property
    def _fitted(self) -> tuple[Regression, Prediction]:
        with suppress(FileNotFoundError):
            self._load(self._saved)
        # What a run folder says, which may be somebody else's, does not reach other searches.
        self._is_own = not self._networks
        with suppress(FileNotFoundError):
            if self._is_own:
                self._load(self._cache)
        if not self._networks:
            self._measure_networks()
            self._keep()
        passes = [(each.kinds, each.calls) for each in self._networks.values()]
        rounds = [each.ms for each in self._networks.values()]
        worth = assess(passes, rounds)
        print_text(
            f"Latency predicted from {len(self._table.ms)} operators and {worth.networks} networks ({self._device}): "
            f"on networks left out of the fit, the median error is {100 * worth.error:.1f} %, Spearman's rank "
            f"correlation {worth.rank_correlation:.3f}; 95 % take at most {100 * worth.margin:.1f} % longer. "
            f"Repeated latencies of a network differ by {100 * worth.drift:.1f} %, as the machine's speed drifts. "
            f"--max_latency_ms leaves a margin of {100 * max(worth.margin, _LEAST_MARGIN):.1f} %"
        )
        return Regression.fit(passes, [median(each) for each in rounds]), worth

    def _load(self, path: Path) -> None:
        try:
            content = parse_json(path.read_bytes())
            if content["about"] == self._about:
                self._table.ms |= from_plain(dict[str, Amount], content["operators"])
                self._networks = from_plain(dict[str, Measured], content["networks"])
                if 0 < len(self._networks) < _LEAST_NETWORKS:
                    raise ValueError(f"{len(self._networks)} networks, fewer than {_LEAST_NETWORKS}")
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged ({reason_of(error)}): remove it") from None

    def _keep(self) -> None:
        # Without a home to write to, the next search measures again.
        with suppress(OSError):
            if self._is_own:
                write_json(self._cache, self._content())

    def _measured_times(self, architecture: str) -> tuple[dict[str, float], int]:
        """Return the milliseconds of a network by the kind of operator, and its calls."""
        calls = self._record(architecture)
        if self._table.add([calls]):
            self._keep()
        return self._table.times(calls), calls.counts.total()

    def _record(self, architecture: str) -> Calls:
        network = self._build(architecture, recorded=True)
        return record(network, zeros_for(network, self._shape()))

    def _measure_networks(self) -> None:
        """Measure the operators of some networks, and then these, in turn."""
        recorded, faults = {}, []
        for each in self._drawn():
            try:
                recorded[each] = self._record(each)
            except Exception as error:  # noqa: BLE001 - any fault of one network
                faults.append(reason_of(error))
        self._table.add(recorded.values())
        measured: dict[str, list[float]] = {}
        shape, end = self._shape(), time.perf_counter() + _MOST_SECONDS
        with tqdm(total=_ROUNDS * len(recorded), desc="networks measured", disable=not has_bars()) as bar:
            rounds = (measure_networks(list(recorded), self._build, shape, self._device) for _ in range(_ROUNDS))
            for found in chain.from_iterable(rounds):
                for each, latency in found.items():
                    if isinstance(latency, Latency):
                        measured.setdefault(each, []).append(latency.median_ms)
                    else:
                        faults.append(latency)
                bar.update(len(found))
                if time.perf_counter() > end and len(measured) >= _LEAST_NETWORKS:
                    break
        for each, ms in measured.items():
            self._networks[each] = Measured(ms, self._table.times(recorded[each]), recorded[each].counts.total())
        if len(self._networks) < _LEAST_NETWORKS:
            why = f" ({faults[0]})" if faults else ""
            raise UserError(
                f"--latency predicted: {len(self._networks)} different networks of {self._space.name} could be "
                f"measured{why}, expected {_LEAST_NETWORKS}; --measure latency measures each candidate"
            )

    def _drawn(self) -> list[str]:
        """Return different networks, the same for each search."""
        rng, found = random.Random(0), dict[str, None]()
        for _ in range(_DRAWS):
            found.setdefault(self._canonical(self._space.sample(rng)))
            if len(found) == _NETWORKS:
                break
        return list(found)
