"""Cheaper settings of the score, measured on a space: what each costs and how well it ranks like the full one."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from naswot_lightning.candidates import Scorer
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.probe import load_probe
from naswot_lightning.devices import has_bf16_instructions
from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import write_whole
from naswot_lightning.ranking import kendall_tau, to_csv
from naswot_lightning.tables import print_table
from spaces import Space

Row = dict[str, Any]

MOST_NETWORKS = 100
_COLUMNS = ("setting", "ms", "tau", "probe_size", "batch_size", "precision", "dataset", "seed")


@dataclass(frozen=True)
class Setting:
    """One way to score: side of the images, images, precision, data set and seed of the weights."""

    probe_size: int
    batch_size: int
    precision: str
    dataset: str
    seed: int

    def label(self) -> str:
        """Return it as the table shows it."""
        noise = ", noise" if self.dataset == "noise" else ""
        return (
            f"{self.probe_size} px, batch {self.batch_size}, {'float32' if self.precision == '32' else 'bf16'}{noise}"
        )


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


def calibrate(config: SearchConfig, space: Space, networks: Sequence[str], device: torch.device) -> int:
    """Score a few networks at every setting, print cost and Kendall's tau to the full setting, recommend one.

    The yardstick is the full setting itself with another seed: a setting that agrees with the full one as well as the
    full one agrees with itself loses nothing that weights do not already decide by chance. bf16 is measured where the
    device has instructions for it. The table is also written to ``calibration.csv``.

    Raises:
        UserError: fewer than two networks have a score.
    """
    networks = list(dict.fromkeys(networks))[:MOST_NETWORKS]
    probe = load_probe(config.dataset, config.data_dir, config.batch_size, config.seed, None, config.image_size)
    full = Setting(
        config.probe_size or probe.image_size, config.batch_size, config.precision, config.dataset, config.seed
    )
    settings = [*list_settings(full, has_bf16_instructions(device)), replace(full, seed=full.seed + 1)]
    with tqdm(total=len(settings) * len(networks), unit=" networks", desc="calibrating") as bar:
        scored = [_score_all(config, space, networks, setting, device, bar) for setting in settings]
    rows = [_row(setting, own, scored[0]) for setting, own in zip(settings, scored, strict=True)]
    if rows[-1]["tau"] is None:
        raise UserError("--calibrate: fewer than two of the networks have a score; choose more --samples")
    rows[-1]["setting"] += ", another seed"
    _report(config, rows, len(networks))
    return 0


def _score_all(
    config: SearchConfig, space: Space, networks: Sequence[str], setting: Setting, device: torch.device, bar: Any
) -> list[Row]:
    size = setting.probe_size
    probe = load_probe(setting.dataset, config.data_dir, setting.batch_size, setting.seed, size, _side(config, setting))
    scorer = Scorer(space, [probe], ("naswot",), setting.seed, device, setting.precision == "bf16")
    rows = []
    for network in networks:
        rows.append(scorer(network))
        bar.update()
    return rows


def _side(config: SearchConfig, setting: Setting) -> int | None:
    return None if setting.dataset == "noise" else config.image_size


def _row(setting: Setting, own: Sequence[Row], full: Sequence[Row]) -> Row:
    both = [(a["score"], b["score"]) for a, b in zip(own, full, strict=True) if a["status"] == b["status"] == "ok"]
    return {
        "setting": setting.label(),
        "ms": round(1e3 * statistics.median(row["seconds"] for row in own), 2),
        "tau": kendall_tau([a for a, _ in both], [b for _, b in both]),
        **setting.__dict__,
    }


def recommend(rows: Sequence[Row]) -> Row:
    """Return the cheapest setting that agrees with the full one as well as the full one with itself reseeded."""
    yardstick = rows[-1]["tau"]
    good = [row for row in rows[:-1] if row["tau"] is not None and row["tau"] >= yardstick]
    return min(good, key=lambda row: row["ms"])


def _report(config: SearchConfig, rows: Sequence[Row], count: int) -> None:
    path = Path(config.run_dir) / "calibration.csv"
    write_whole(path, to_csv(rows, _COLUMNS))
    print_table(
        f"naswot on {config.space}, {config.dataset}: {count} networks; tau is Kendall's, to the full setting",
        ("ms a network", "tau", "setting"),
        ([row["ms"], row["tau"], row["setting"]] for row in rows),
    )
    best = recommend(rows)
    noise = " --dataset noise" if best["dataset"] == "noise" else ""
    print(
        f"\nRecommended: --probe_size {best['probe_size']} --batch_size {best['batch_size']} "
        f"--precision {best['precision']}{noise}\n"
        f"the cheapest ({best['ms']} ms, {rows[0]['ms'] / best['ms']:.1f} times less than the full one) whose tau,\n"
        f"{best['tau']:.3f}, is not below that of the full setting with another seed, {rows[-1]['tau']:.3f}."
        f"\n\nTable: {path}"
    )
