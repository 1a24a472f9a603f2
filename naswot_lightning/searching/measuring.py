"""The latency of a ranking's networks, measured and kept in ``hardware.json``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from naswot_lightning.columns import LATENCY_IQR_MS, LATENCY_MS, MODEL_MB, PEAK_MEMORY_MB
from naswot_lightning.config import SearchConfig
from naswot_lightning.console import counted, has_bars, print_text
from naswot_lightning.errors import UserError, describe_error, expect_name, reason_of
from naswot_lightning.hardware.measure import Device, Latency, forward_pass, measure_latencies, time_passes
from naswot_lightning.hardware.onnx import expect_installed
from naswot_lightning.networks import get_device
from naswot_lightning.spaces.errors import one_line
from naswot_lightning.storage.files import write_json
from naswot_lightning.storage.records import from_plain, parse_json

# Columns of each measure.
MEASURES = {"latency": (LATENCY_MS.name, LATENCY_IQR_MS.name), "memory": (PEAK_MEMORY_MB.name, MODEL_MB.name)}
# Networks that are held at once, and measured in turn.
_AT_ONCE = 16


def measured_columns(config: SearchConfig) -> list[str]:
    """Return the columns that ``--measure`` adds; an unknown measure, or a device that is not there, is a UserError."""
    names = [] if config.measure is None else config.measure.replace(" ", "").split(",")
    if "latency" in names:
        device_of(config)
    return [column for name in names for column in MEASURES[expect_name("measure", name, MEASURES)]]


def device_of(config: SearchConfig) -> Device:
    """Return where latencies are measured; a device or a runtime that is not there is a UserError."""
    device = str(get_device(config.latency_device, "--latency_device"))
    if config.latency_runtime == "onnxruntime":
        expect_installed("--latency_runtime onnxruntime", "onnxruntime", "onnx", "onnxscript")
        if config.latency_precision != "32" or config.latency_channels_last:
            raise UserError("--latency_runtime onnxruntime: leave out --latency_precision and --latency_channels_last")
    settings = config.latency_precision, config.latency_channels_last
    return Device(device, config.latency_batch, config.latency_threads, config.latency_runtime, *settings)


@dataclass
class Latencies:
    """Measures networks and stores their latencies, which the same device and settings use again.

    ``build`` returns the network of a canonical architecture; ``shape`` is that of one batch, (N, C, H, W).
    """

    path: Path
    device: Device
    build: Callable[[str], nn.Module]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        self._about = {**self.device.describe(), "images": list(self.shape)}
        self.networks: dict[str, Latency | str] = {}
        with suppress(FileNotFoundError):
            try:
                saved = parse_json(self.path.read_bytes())
                if saved["device"] == self._about:
                    self.networks = from_plain(dict[str, Latency | str], saved["networks"])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{self.path} is damaged ({reason_of(error)}): remove it") from None

    def add(self, architectures: Iterable[str]) -> None:
        """Measure those that are not known yet; for one that fails the reason is stored."""
        missing = [each for each in dict.fromkeys(architectures) if not isinstance(self.networks.get(each), Latency)]
        with tqdm(total=len(missing), desc="measured", unit="network", disable=not missing or not has_bars()) as bar:
            for found in measure_networks(missing, self.build, self.shape, self.device):
                self.networks |= found
                content = {name: each if isinstance(each, str) else vars(each) for name, each in self.networks.items()}
                write_json(self.path, {"device": self._about, "networks": content})
                bar.update(len(found))


def measure_networks(
    architectures: Sequence[str], build: Callable[[str], nn.Module], shape: tuple[int, ...], device: Device
) -> Iterator[dict[str, Latency | str]]:
    """Yield the latency of each network, or why there is none, for 16 networks at a time, which take turns."""
    # Not zeros: by them max pooling takes .4 of its time, as its comparisons always end the same way.
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    for start in range(0, len(architectures), _AT_ONCE):
        found: dict[str, Latency | str] = {}
        passes: dict[str, Callable[[], object]] = {}
        for each in architectures[start : start + _AT_ONCE]:
            try:
                run = forward_pass(build(each), images, device)
                time_passes([run], device, seconds=0)
                passes[each] = run
            except Exception as error:  # noqa: BLE001 - any fault of one network is reported with it
                found[each] = describe_error(error)
        yield found | dict(zip(passes, measure_latencies(list(passes.values()), device), strict=True))


def with_latencies(ranking: pd.DataFrame, latencies: Latencies, top: int) -> pd.DataFrame:
    """Measure the first networks of a ranking, print the noise, and return the ranking with the columns."""
    scored = ranking.loc[ranking["status"] == "ok", "canonical"]
    first = scored.head(top).tolist()
    latencies.add(first)
    found = {each: latencies.networks[each] for each in first}
    known = [each for each in found.values() if isinstance(each, Latency)]
    if known:
        shares = np.array([each.interval_ms / each.median_ms for each in known])
        passes = " to ".join(map(str, sorted({min(each.passes for each in known), max(each.passes for each in known)})))
        print_text(
            f"Latency of {counted(len(known), 'network')} ({latencies.device}): the median of {passes} passes, "
            f"±{100 * np.median(shares):.1f} % (95 %) for half of the networks, "
            f"±{100 * shares.max():.1f} % at most; smaller differences are noise"
        )
    if len(scored) > top:
        print_text(f"Only the first {top} of {len(scored):,} were measured; --measure_top {len(scored)} measures all")
    if reasons := {each: why for each, why in found.items() if isinstance(why, str)}:
        example, reason = next(iter(reasons.items()))
        print_text(one_line(f"{counted(len(reasons), 'network')} not measured, e.g. {example}: {reason}"))
    values = [latencies.networks.get(each) for each in ranking["canonical"]]
    pairs = [(each.median_ms, each.iqr_ms) if isinstance(each, Latency) else (np.nan, np.nan) for each in values]
    return ranking.assign(**dict(zip(MEASURES["latency"], np.array(pairs, dtype=float).T, strict=True)))
