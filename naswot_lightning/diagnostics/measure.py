"""What some figures show of networks that are scored anew: the scores of Figure 5, and how similar images are to them.

Images are similar to a network by its kernel, or by the rows of its Jacobian.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from naswot_lightning.analysis.evidence import NetworksWithAccuracy
from naswot_lightning.analysis.measurements import (
    BATCHES,
    NOISE,
    SIZES,
    WEIGHTS,
    AblationFile,
    AblationHeader,
    AblationLine,
    SelectedNetwork,
    Similarities,
    ablation_path,
    read_ablation,
)
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.probe import load_probe, probe_source
from naswot_lightning.errors import UserError
from naswot_lightning.naswot import NoRectifierError
from naswot_lightning.networks import build_network, get_device, move_network
from naswot_lightning.report.findings import networks_with_accuracy
from naswot_lightning.report.run import Run
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.scores.base import Measured
from naswot_lightning.scores.gradient_scores import jacobian_of
from naswot_lightning.scores.gradients import correlations_of_rows
from naswot_lightning.seeds import derived_seed
from naswot_lightning.spaces import Space, known_space, trust
from naswot_lightning.storage.files import JsonLines, lock_folder
from naswot_lightning.storage.run_folder import RunFolder

# Percentiles of accuracy: one network of each 5 % of the better half, as in the paper.
_BANDS = range(50, 100, 5)


class AblationCondition(NamedTuple):
    """A condition under which all networks are scored once; its first three fields tell it from others in the file."""

    ablation: str
    """what varies."""
    number: int
    batch_size: int
    weights: int
    """seed of the weights."""
    images: int
    """seed of the mini-batch."""


@dataclass(frozen=True)
class AblationPlan:
    """Which scores are wanted."""

    space: Space
    header: AblationHeader
    data_dir: str
    samples: int
    """scores of each network in each ablation."""
    batch_sizes: tuple[int, ...]
    device: torch.device

    @property
    def conditions(self) -> Iterator[AblationCondition]:
        """All conditions, in the order in which they are measured."""
        # The first of the mini-batches, and of the initializations, are those of the search.
        first, size = self.header.seed, self.header.batch_size
        for number, seed in enumerate(range(first, first + self.samples)):
            yield AblationCondition(BATCHES, number, size, first, seed)
            yield AblationCondition(NOISE, number, size, first, seed)
            yield AblationCondition(WEIGHTS, number, size, seed, first)
            for each in dict.fromkeys(self.batch_sizes):
                yield AblationCondition(SIZES, number, each, first, seed)


def select_by_percentile(architectures: Sequence[str], accuracies: np.ndarray, seed: int) -> list[SelectedNetwork]:
    """Return a network of each 5 % from the median of (n,) accuracies on, drawn by the seed; NaN is not known."""
    known = accuracies[~np.isnan(accuracies)]
    found = []
    for low in _BANDS:
        bottom, top = np.percentile(known, [low, low + 5])
        inside = np.flatnonzero((accuracies >= bottom) & (accuracies <= top))
        if len(inside):
            index = int(np.random.default_rng(derived_seed(seed, "percentile", low)).choice(inside))
            found.append(SelectedNetwork(low, architectures[index], float(accuracies[index])))
    return found


def measure_ablation(plan: AblationPlan, path: Path, overwrite: bool = False) -> AblationFile:
    """Return the scores of all networks under all conditions.

    Each condition is written as soon as it is measured, so that a killed command continues behind the last one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_folder(path.parent):
        kept = read_ablation(path)
        if kept is not None and kept.header != plan.header:
            if not overwrite:
                before, after = ({**asdict(each), "networks": None} for each in (kept.header, plan.header))
                odd = [f"{name} was {old!r}, now {after[name]!r}" for name, old in before.items() if old != after[name]]
                changed = "; ".join(odd) or "other networks, or other accuracies of them"
                raise UserError(f"{path} was made with different settings: {changed}; use --overwrite to measure again")
            path.unlink()
            kept = None
        done = set() if kept is None else set(_conditions_of(kept))
        missing = [condition for condition in plan.conditions if condition[:3] not in done]
        with JsonLines(path) as file:
            if kept is None:
                file.append(asdict(plan.header))
            if missing:
                _measure(plan, missing, file)
    found = read_ablation(path)
    # The file was just written.
    assert found is not None
    wanted = {condition[:3] for condition in plan.conditions}
    return replace(found, samples=found.samples[[each in wanted for each in _conditions_of(found)]])


def _conditions_of(found: AblationFile) -> Iterator[tuple[Any, ...]]:
    """Return what tells conditions apart, of each row."""
    return found.samples[["ablation", "number", "batch_size"]].itertuples(index=False, name=None)


def _measure(plan: AblationPlan, missing: Sequence[AblationCondition], file: JsonLines) -> None:
    own, space = plan.header, plan.space
    draw = probe_source(own.images, plan.data_dir, own.image_size, own.split_file)
    # Of the size of the data set's images.
    draw_noise = probe_source("noise", "", draw(2, own.seed, None).image_size)
    for each in tqdm(missing, "scoring", unit=" conditions", mininterval=10.0):
        draw_images = draw_noise if each.ablation == NOISE else draw
        probe = draw_images(each.batch_size, each.images, own.probe_size)
        # All networks share the mini-batch and the seed of the weights.
        evaluator = ScoreEvaluator(space, [probe], ("naswot",), each.weights, plan.device)
        evaluator.prepare()
        scores = []
        for network in own.networks:
            built = space.canonical(network.architecture) if own.canonical else network.architecture
            score = evaluator(built).score
            scores.append(None if score is None or math.isnan(score) else score)
        file.append(asdict(AblationLine(each.ablation, each.number, each.batch_size, tuple(scores))))


# Of Figure 1: columns, and networks in each.
_RANGES, _EACH = 5, 3
# Images of a mini-batch whose similarities are shown.
_MOST_IMAGES = 256


def measure_for_figure(figure: str, folder: RunFolder, run: Run, config: ReportConfig) -> Run:
    """Return a run with what a figure shows of its networks, scored anew; of any other figure the run as it is."""
    if figure not in ("figure1", "figure5", "jacobian_histograms"):
        return run
    found = networks_with_accuracy(run)
    if found is None:
        raise UserError(
            f"{figure}: no accuracy is known in {folder.path}; search with --benchmark, or train picks: "
            f"naswot train --run_dir {folder.path} --top 10 --select spread"
        )
    if config.trust:
        trust(found.space)
        trust(found.images)
    # Of picks that were given by hand, the search's defaults.
    settings = {**vars(SearchConfig()), **run.settings}
    if config.data_dir is not None:
        settings["data_dir"] = config.data_dir
    space, device = known_space(found.space), get_device(config.device)
    if figure == "figure1":
        return replace(run, kernels=_similarities(figure, found, space, settings, device))
    if figure == "jacobian_histograms":
        return replace(run, jacobians=_similarities(figure, found, space, settings, device))
    header = AblationHeader(
        **{name: settings[name] for name in ("image_size", "probe_size", "split_file", "batch_size", "seed")},
        space=space.name,
        images=found.images,
        canonical=bool(settings["canonical"]),
        source=found.source,
        networks=tuple(select_by_percentile(found.architectures, found.accuracies, settings["seed"])),
    )
    plan = AblationPlan(space, header, settings["data_dir"], config.samples, tuple(config.batch_sizes), device)
    path = ablation_path(folder.path)
    measure_ablation(plan, path, config.overwrite)
    return replace(run, ablation=read_ablation(path))


def _similarities(
    figure: str, known: NetworksWithAccuracy, space: Space, settings: Mapping[str, Any], device: torch.device
) -> Similarities:
    """Return the matrices of a few networks of each range of accuracy; where none has one, a UserError."""
    seed = settings["seed"]
    mini_batch = (
        settings[name] for name in ("data_dir", "batch_size", "seed", "probe_size", "image_size", "split_file")
    )
    probe = load_probe(known.images, *mini_batch).to(device)
    found: list[tuple[int, float, np.ndarray]] = []
    ranges = in_ranges(known.accuracies, seed)
    for number, indices in enumerate(ranges):
        for index in indices:
            # The weights are those of the search: the seed and the architecture alone decide them.
            network = build_network(space, known.architectures[index], seed, probe.num_classes)
            measured = Measured(move_network(network, device, space.channels_last), probe, units=settings["units"])
            matrix = (
                _jacobian_correlations(measured) if figure == "jacobian_histograms" else _normalised_kernel(measured)
            )
            if matrix is not None:
                shown = matrix[:_MOST_IMAGES, :_MOST_IMAGES].cpu().numpy().astype(np.float32)
                found.append((number, float(known.accuracies[index]), shown))
    chosen = sum(map(len, ranges))
    if not found:
        raise UserError(f"{figure}: none of {chosen} networks of {known.space} has anything to show")
    left_out = f", {chosen - len(found)} left out" if len(found) < chosen else ""
    title = (
        f"{known.space}, {len(probe.images)} images of {known.images}, seed {seed}; {len(found)} of "
        f"n = {len(known.accuracies):,} networks{left_out}, by {known.source}"
    )
    columns, accuracies, matrices = zip(*found, strict=True)
    return Similarities(np.stack(matrices), accuracies, columns, title)


def in_ranges(accuracies: np.ndarray, seed: int) -> list[list[int]]:
    """Return indices of networks that stand for ranges of accuracy, the least accurate first.

    A range holds the same share of the networks, some of which are drawn by the seed.

    >>> in_ranges(np.array([10.0, 50.0, 20.0]), seed=0)
    [[0], [2], [1]]
    """
    parts = np.array_split(np.argsort(accuracies, kind="stable"), min(_RANGES, len(accuracies)))
    rng = np.random.default_rng(derived_seed(seed, "accuracy ranges"))
    kept = (np.sort(rng.permutation(len(part))[:_EACH]) for part in parts)
    return [part[indices].tolist() for part, indices in zip(parts, kept, strict=True)]


def _normalised_kernel(measured: Measured) -> torch.Tensor | None:
    """Return K_H / N_A, whose diagonal is 1; None where there is none."""
    try:
        kernel = measured.kernel
    except NoRectifierError:
        return None
    return None if kernel.has_nan else kernel.matrix / kernel.n_units


def _jacobian_correlations(measured: Measured) -> torch.Tensor | None:
    """Return the correlations of the Jacobian's rows; None where a row is constant or not finite."""
    found = correlations_of_rows(jacobian_of(measured))
    return found if bool(found.isfinite().all() and found.diagonal().all()) else None
