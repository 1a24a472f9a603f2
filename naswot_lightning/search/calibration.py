"""Cheaper settings of the score, measured on a space: what each costs and how well it ranks like the full one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from tqdm import tqdm

from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.errors import UserError
from naswot_lightning.score import Precision
from naswot_lightning.scorer import Evaluation, ScoreEvaluator
from naswot_lightning.storage.files import write_csv
from naswot_lightning.storage.run_folder import RunFolder

MOST_NETWORKS = 100
_COLUMNS = ("setting", "ms", "tau", "probe_size", "batch_size", "precision", "dataset", "seed")


@dataclass(frozen=True)
class Setting:
    """One way to score: side of the images, images, precision, data set and seed of the weights."""

    probe_size: int
    batch_size: int
    precision: Precision
    dataset: str
    seed: int

    def label(self) -> str:
        """Return it as the table shows it."""
        noise = ", noise" if self.dataset == "noise" else ""
        return (
            f"{self.probe_size} px, batch {self.batch_size}, {'float32' if self.precision == '32' else 'bf16'}{noise}"
        )


@dataclass(frozen=True)
class Calibration:
    """How to score at other settings than the search's.

    Attributes:
        full: the search's own setting.
        bf16: whether bfloat16 is worth measuring on the device.
        evaluator: what scores at a setting.
    """

    full: Setting
    bf16: bool
    evaluator: Callable[[Setting], ScoreEvaluator]


@dataclass(frozen=True)
class Measurement:
    """What a setting costs, and how well it ranks.

    Attributes:
        setting: the setting.
        label: of it, in the table.
        ms: a network, the median.
        tau: Kendall's, to the full setting; None where it is not defined.
    """

    setting: Setting
    label: str
    ms: float
    tau: float | None


def list_settings(full: Setting, bf16: bool = True) -> list[Setting]:
    """Return the settings to measure: half the side, fewer images, ``bf16``, noise; the full one first."""
    sides = [full.probe_size] + ([full.probe_size // 2] if full.probe_size >= 16 else [])
    batches = [
        size
        for size in (full.batch_size, full.batch_size // 2, full.batch_size // 4, full.batch_size // 8)
        if size >= 8
    ]
    grid = [
        replace(full, probe_size=side, batch_size=batch) for side in sides for batch in batches or [full.batch_size]
    ]
    lower = bf16 and full.precision == "32"
    low = [replace(full, precision="bf16", probe_size=side) for side in sides] if lower else []
    noise = [replace(full, dataset="noise")] if full.dataset != "noise" else []
    return grid + low + noise


def calibrate(calibration: Calibration, networks: Sequence[str], folder: RunFolder) -> list[Measurement]:
    """Score a few networks at every setting; return and write to ``calibration.csv`` the cost and agreement of each.

    The yardstick is the full setting itself with another seed: a setting that agrees with the full one as well as the
    full one agrees with itself loses nothing that weights do not already decide by chance. bf16 is measured where the
    device has instructions for it.

    Args:
        calibration: how to score.
        networks: canonical ones, each once; the first hundred are scored.
        folder: of the table.

    Raises:
        UserError: fewer than two networks have a score.
    """
    with folder.lock():
        found = measure(calibration, networks[:MOST_NETWORKS])
        write_csv(folder.path / "calibration.csv", [_csv_row(each) for each in found], _COLUMNS)
    return found


def measure(calibration: Calibration, networks: Sequence[str]) -> list[Measurement]:
    """Return what each setting costs and how well it ranks, the full one first, with another seed last.

    Raises:
        UserError: fewer than two networks have a score.
    """
    full = calibration.full
    settings = [*list_settings(full, calibration.bf16), replace(full, seed=full.seed + 1)]
    with tqdm(total=len(settings) * len(networks), unit=" networks", desc="calibrating") as bar:
        scored = [_score_all(calibration.evaluator(setting), networks, bar) for setting in settings]
    found = [_measurement(setting, own, scored[0]) for setting, own in zip(settings, scored, strict=True)]
    if found[-1].tau is None:
        raise UserError("--calibrate: fewer than two of the networks have a score; choose more --samples")
    return [*found[:-1], replace(found[-1], label=f"{found[-1].label}, another seed")]


def _score_all(evaluator: ScoreEvaluator, networks: Sequence[str], bar: tqdm) -> list[Evaluation]:
    evaluator.prepare()
    found = []
    for network in networks:
        found.append(evaluator(network))
        bar.update()
    return found


def _measurement(setting: Setting, own: Sequence[Evaluation], full: Sequence[Evaluation]) -> Measurement:
    both = [(a.scores["naswot"], b.scores["naswot"]) for a, b in zip(own, full, strict=True)]
    pairs = [(a, b) for a, b in both if a is not None and b is not None]
    ms = round(1e3 * statistics.median(values.seconds for values in own), 2)
    tau = kendall_tau([a for a, _ in pairs], [b for _, b in pairs])
    return Measurement(setting, setting.label(), ms, tau)


def recommend(found: Sequence[Measurement]) -> Measurement:
    """Return the cheapest setting that agrees with the full one as well as the full one with itself reseeded."""
    yardstick = found[-1].tau
    assert yardstick is not None
    good = [each for each in found[:-1] if each.tau is not None and each.tau >= yardstick]
    return min(good, key=lambda each: each.ms)


def _csv_row(found: Measurement) -> dict[str, object]:
    return {"setting": found.label, "ms": found.ms, "tau": found.tau, **asdict(found.setting)}
