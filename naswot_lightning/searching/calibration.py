"""Cheaper settings of the score, measured on a space: what each costs and how well it ranks like the full one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from tqdm import tqdm

from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.data.probe import probe_source
from naswot_lightning.errors import UserError
from naswot_lightning.execution.resources import has_bf16_instructions
from naswot_lightning.naswot import Precision
from naswot_lightning.networks import get_device
from naswot_lightning.scorer import Evaluation, ScoreEvaluator
from naswot_lightning.searching.loop import Search
from naswot_lightning.storage.files import write_csv

MOST_NETWORKS = 100
_COLUMNS = ("setting", "ms", "tau", "probe_size", "batch_size", "precision", "dataset", "seed")


@dataclass(frozen=True)
class Setting:
    """One way to score, what it costs, and how well it ranks."""

    probe_size: int
    """side of the images."""
    batch_size: int
    precision: Precision
    dataset: str
    seed: int
    """of the weights."""
    name: str = ""
    ms: float = math.nan
    """per network, the median."""
    tau: float | None = None
    """Kendall's, to the full setting; None where it is not defined."""


def calibrate(search: Search, networks: Sequence[str]) -> list[Setting]:
    """Score a few networks at every setting; return and write to ``calibration.csv`` the cost and agreement of each.

    The full setting comes first, and once more with another seed last. That is the yardstick: a setting that agrees
    with the full one as well as the full one agrees with itself loses nothing that weights do not already decide by
    chance. bf16 is measured where the device has instructions for it. ``networks`` are canonical ones, each once.
    """
    config = search.config
    side = search.load_probes()[0].images.shape[-1]
    full = Setting(side, config.batch_size, config.precision, config.dataset, config.seed)
    has_bf16 = has_bf16_instructions(get_device(search.device))
    settings = [*list_settings(full, has_bf16), replace(full, seed=full.seed + 1)]
    with search.folder.lock():
        scored = _score_all(search, settings, networks)
        found = []
        for setting, own in zip(settings, scored, strict=True):
            both = [(a.score, b.score) for a, b in zip(own, scored[0], strict=True)]
            pairs = [(a, b) for a, b in both if a is not None and b is not None]
            precision = "float32" if setting.precision == "32" else "bf16"
            name = f"{setting.probe_size} px, batch {setting.batch_size}, {precision}"
            name += ", noise" * (setting.dataset == "noise") + ", another seed" * (setting.seed != full.seed)
            ms = round(1e3 * statistics.median(evaluation.seconds for evaluation in own), 2)
            tau = kendall_tau([a for a, _ in pairs], [b for _, b in pairs])
            found.append(replace(setting, name=name, ms=ms, tau=tau))
        if found[-1].tau is None:
            raise UserError("--calibrate: fewer than two networks have a score; choose more --samples")
        rows = ({"setting": each.name, **asdict(each)} for each in found)
        write_csv(search.folder.path / "calibration.csv", rows, _COLUMNS)
    return found


def _score_all(search: Search, settings: Sequence[Setting], networks: Sequence[str]) -> list[list[Evaluation]]:
    """Return what each network scores at each setting."""
    config = search.config
    scored: list[list[Evaluation]] = []
    sources = {name: probe_source(name, config.data_dir, config.image_size) for name in {config.dataset, "noise"}}
    with tqdm(total=len(settings) * len(networks), unit=" networks", desc="calibrating") as bar:
        for setting in settings:
            probe = sources[setting.dataset](setting.batch_size, setting.seed, setting.probe_size)
            conditions = setting.seed, search.device, setting.precision
            evaluator = ScoreEvaluator(search.space, [probe], ("naswot",), *conditions, units=config.units)
            evaluator.prepare()
            scored.append([])
            for network in networks:
                scored[-1].append(evaluator(network))
                bar.update()
    return scored


def list_settings(full: Setting, bf16: bool = True) -> list[Setting]:
    """Return the settings to measure: half the side, fewer images, ``bf16``, noise; the full one first."""
    # Below 8 pixels or 8 images networks of most spaces cannot be built, or score alike.
    sides = [full.probe_size] + ([full.probe_size // 2] if full.probe_size >= 16 else [])
    batches = [full.batch_size // part for part in (1, 2, 4, 8) if full.batch_size // part >= 8] or [full.batch_size]
    found = [replace(full, probe_size=side, batch_size=batch) for side in sides for batch in batches]
    if bf16 and full.precision == "32":
        found += [replace(full, precision="bf16", probe_size=side) for side in sides]
    if full.dataset != "noise":
        found.append(replace(full, dataset="noise"))
    return found


def recommend(found: Sequence[Setting]) -> Setting:
    """Return the cheapest setting that agrees with the full one as well as the full one with itself reseeded."""
    yardstick = found[-1].tau
    assert yardstick is not None
    good = [each for each in found[:-1] if each.tau is not None and each.tau >= yardstick]
    return min(good, key=lambda each: each.ms)
