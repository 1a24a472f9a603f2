"""What some figures show that no file of a run holds: it is measured once, and kept in the run folder.

Beside the ablation these are matrices: how similar images are to a network, by its kernel or its Jacobian's rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from naswot_lightning.analysis.evidence import NetworksWithAccuracy
from naswot_lightning.analysis.measurements import (
    BATCHES,
    MOST_IMAGES,
    NOISE,
    SIZES,
    WEIGHTS,
    AblationFile,
    AblationHeader,
    AblationLine,
    MatrixKind,
    SelectedNetwork,
    Similarities,
    SimilarityMetadata,
    ablation_path,
    read_ablation,
    similarities_path,
)
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.probe import Probe, load_probe, probe_source
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
            for each in self.batch_sizes:
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


def select_best(architectures: Sequence[str], accuracies: np.ndarray) -> list[SelectedNetwork]:
    """Return the ten most accurate of few networks, each with the 5 % of the accuracies that it lies in.

    >>> [each.percentile for each in select_best(["a", "b", "c"], np.array([70.0, 90.0, 80.0]))]
    [0, 50, 95]
    """
    order = np.argsort(accuracies, kind="stable")[-len(_BANDS) :]
    below = len(accuracies) - len(order)
    found = []
    for rank, index in enumerate(order.tolist(), start=below):
        share = 100 * rank / max(len(accuracies) - 1, 1)
        percentile = min(5 * int(share / 5), _BANDS[-1])
        found.append(SelectedNetwork(percentile, architectures[index], float(accuracies[index])))
    return found


def measure_ablation(plan: AblationPlan, path: Path, overwrite: bool = False) -> AblationFile:
    """Return the scores of all networks under all conditions.

    Each condition is written as soon as it is measured, so that a killed command continues behind the last one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = list(plan.conditions)
    with lock_folder(path.parent):
        kept = read_ablation(path)
        if kept is not None and kept.header != plan.header:
            if not overwrite:
                before, after = ({**asdict(each), "networks": None} for each in (kept.header, plan.header))
                odd = [f"{name} was {old!r}, now {after[name]!r}" for name, old in before.items() if old != after[name]]
                changed = "; ".join(odd) or "other networks, or other accuracies of them"
                raise UserError(f"{path} was made with other settings: {changed}; use --overwrite to measure anew")
            path.unlink()
            kept = None
        with JsonLines(path) as file:
            if kept is None:
                file.append(asdict(plan.header))
            done = set(_keys(kept)) if kept else set()
            missing = [condition for condition in wanted if condition[:3] not in done]
            if missing:
                _measure(plan, missing, len(wanted), file)
    found = read_ablation(path)
    # The file was just written.
    assert found is not None
    keys = {condition[:3] for condition in wanted}
    return AblationFile(found.header, found.samples[[key in keys for key in _keys(found)]])


def _keys(found: AblationFile) -> Iterator[tuple[Any, ...]]:
    return zip(*(found.samples[name].tolist() for name in ("ablation", "number", "batch_size")), strict=True)


def _measure(plan: AblationPlan, missing: Sequence[AblationCondition], wanted: int, file: JsonLines) -> None:
    own, space = plan.header, plan.space
    draw = probe_source(own.images, plan.data_dir, own.image_size, own.split_file)
    # Of the size of the data set's images.
    draw_noise = probe_source("noise", "", draw(2, own.seed, None).image_size)
    for each in tqdm(missing, "scoring", wanted, initial=wanted - len(missing), unit=" conditions", mininterval=10.0):
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
# Of fewer networks with an accuracy there is none in some 5 % of the accuracies.
_FEW = 20


@dataclass(frozen=True)
class RunNetworks:
    """The networks of a run and its mini-batch, as its search saw them."""

    space: Space
    images: str
    """the data set of the mini-batch."""
    data_dir: str
    settings: Mapping[str, Any]
    device: torch.device

    def setting(self, name: str) -> Any:
        """Return a setting of the run; the search's default where picks were given by hand."""
        return self.settings.get(name, getattr(SearchConfig(), name))

    @cached_property
    def probe(self) -> Probe:
        """The mini-batch of the search."""
        rest = (self.setting(name) for name in ("batch_size", "seed", "probe_size", "image_size", "split_file"))
        return load_probe(self.images, self.data_dir, *rest).to(self.device)

    def measured(self, architecture: str) -> Measured:
        """Return a network, with the weights that it had in the search, on the mini-batch."""
        # The seed and the architecture alone decide the weights.
        network = build_network(self.space, architecture, self.setting("seed"), self.probe.num_classes)
        network = move_network(network, self.device, self.space.channels_last)
        return Measured(network, self.probe, units=self.setting("units"))


def compute_similarities(kind: MatrixKind, known: NetworksWithAccuracy, networks: RunNetworks) -> Similarities:
    """Return the matrices of a few networks of each range of accuracy; where none has one, a UserError."""
    ranges, matrices = in_ranges(known.accuracies, networks.setting("seed")), {}
    for column, index in ((column, index) for column, indices in enumerate(ranges) for index in indices):
        matrix = _matrix(kind, networks.measured(known.architectures[index]))
        if matrix is not None:
            matrices[column, index] = matrix[:MOST_IMAGES, :MOST_IMAGES].cpu().numpy()
    looked_at = sum(map(len, ranges))
    kept = list(matrices)
    if not kept:
        raise UserError(f"none of {looked_at} networks of {known.space} has {kind} to show")
    metadata = SimilarityMetadata(
        kind=kind,
        space=known.space,
        images=networks.images,
        batch_size=len(networks.probe.images),
        probe=networks.probe.fingerprint,
        seed=networks.setting("seed"),
        source=known.source,
        known=len(known.accuracies),
        architectures=tuple(known.architectures[index] for _, index in kept),
        accuracies=tuple(float(known.accuracies[index]) for _, index in kept),
        columns=tuple(column for column, _ in kept),
        left_out=looked_at - len(kept),
    )
    return Similarities(metadata, np.stack(list(matrices.values())).astype(np.float32))


def in_ranges(accuracies: np.ndarray, seed: int, ranges: int = _RANGES, each: int = _EACH) -> list[list[int]]:
    """Return indices of networks that stand for ranges of accuracy, the least accurate first.

    A range holds the same share of the networks, some of which are drawn by the seed.

    >>> in_ranges(np.array([10.0, 50.0, 20.0, 40.0]), seed=0, ranges=2, each=2)
    [[0, 2], [3, 1]]
    """
    parts = np.array_split(np.argsort(accuracies, kind="stable"), min(ranges, len(accuracies)))
    rng = np.random.default_rng(derived_seed(seed, "accuracy ranges"))
    kept = (np.sort(rng.permutation(len(part))[:each]) for part in parts)
    return [part[indices].tolist() for part, indices in zip(parts, kept, strict=True)]


def _matrix(kind: MatrixKind, measured: Measured) -> torch.Tensor | None:
    """Return K_H / N_A, whose diagonal is 1, or the correlations of the Jacobian's rows; None where there is none."""
    if kind == "jacobians":
        found = correlations_of_rows(jacobian_of(measured))
        return found if bool(found.isfinite().all() and found.diagonal().all()) else None
    try:
        kernel = measured.kernel
    except NoRectifierError:
        return None
    # N_A is the diagonal of K_H.
    return None if kernel.has_nan else kernel.matrix / kernel.n_units


def measure_for_figure(figure: str, folder: RunFolder, run: Run, config: ReportConfig) -> None:
    """Measure what a figure shows into the run folder; of any other figure nothing."""
    if figure not in ("figure1", "figure5", "jacobian_histograms"):
        return
    found = networks_with_accuracy(run)
    if found is None:
        raise UserError(
            f"{figure}: no accuracy is known in {folder.path}; search with --benchmark, or train picks: "
            f"naswot train --run_dir {folder.path} --top 10 --select spread"
        )
    if config.trust:
        trust(found.space)
        trust(found.images)
    data_dir = str(run.settings.get("data_dir", "data")) if config.data_dir is None else config.data_dir
    networks = RunNetworks(known_space(found.space), found.images, data_dir, run.settings, get_device(config.device))
    if figure == "figure5":
        known = found.architectures, found.accuracies
        few, seed = len(found.accuracies) < _FEW, networks.setting("seed")
        names = ("image_size", "probe_size", "split_file", "batch_size", "seed")
        same = {name: networks.setting(name) for name in names}
        header = AblationHeader(
            **same,
            space=networks.space.name,
            images=networks.images,
            canonical=bool(run.settings.get("canonical", True)),
            source=found.source,
            networks=tuple(select_best(*known) if few else select_by_percentile(*known, seed)),
        )
        sizes = tuple(dict.fromkeys(config.batch_sizes))
        plan = AblationPlan(networks.space, header, data_dir, config.samples, sizes, networks.device)
        measure_ablation(plan, ablation_path(folder.path), config.overwrite)
        return
    kind: MatrixKind = "kernels" if figure == "figure1" else "jacobians"
    compute_similarities(kind, found, networks).write(similarities_path(folder.path, kind))
