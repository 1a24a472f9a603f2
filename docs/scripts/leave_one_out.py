"""How well the score diversity ranks spaces that it was not chosen on: the first table of docs/scores.md.

Once per set of architectures, a fraction of a second per network and draw; images are a folder of CLASS/FILE::

    python docs/scripts/leave_one_out.py measure SPACE TABLE.csv ACCURACY[:CLASSES][,...] IMAGES DRAWS SET.npz

prints Kendall's tau of parameters, MACs, naswot and diversity, and keeps what they are made of: means over draws of the
weights and images, as of --repeats. Then, a minute::

    python docs/scripts/leave_one_out.py choose SET.npz SET.npz SET.npz [...]

chooses among 32 designs of the score on all sets but one, for each in turn, and prints how the choice ranks that one.
"""

from __future__ import annotations

import csv
import math
import sys
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import kendalltau

from naswot_lightning import naswot_score
from naswot_lightning.analysis.statistics import estimate_of, resampled_tau, with_resamples
from naswot_lightning.scores.base import Measured, Probe
from naswot_lightning.scores.diversity import _measure
from naswot_lightning.spaces import get_space

IMAGES, FIRST_IMAGES = 16, 1000
MEAN, STD = np.array([125.3, 123.0, 113.9]), np.array([63.0, 62.1, 66.7])
# A score is log sum P S h + log sum D h + mean log P h (or P) + log (1 + depth) + log D of the last rectifier (at most
# K - 1, or not), with h of the gradient's norm or of its square, the depth of the middle path or of the longest, and S
# the gradient's directions as a share of what pixels and channels allow, or of the channels alone.
DESIGNS = list(product(("norm", "square"), ("P h", "P"), ("middle", "longest"), ("K - 1", ""), ("pixels", "")))
DIVERSITY, BEST = DESIGNS[:1], 16
BASELINES = ("params", "macs", "naswot")


def draw_probe(folder: str, draw: int) -> Probe:
    """Return 16 of a folder's images of 32 pixels."""
    files = sorted(Path(folder).glob("*/*"))
    if len(files) < IMAGES:
        raise SystemExit(f"{folder} holds {len(files)} files in folders of classes: {IMAGES} images are needed")
    drawn = np.random.default_rng(FIRST_IMAGES + draw).permutation(len(files))[:IMAGES]
    pixels = np.stack([np.asarray(Image.open(files[i]).convert("RGB").resize((32, 32))) for i in drawn])
    images = torch.tensor(((pixels - MEAN) / STD).transpose(0, 3, 1, 2), dtype=torch.float32)
    return Probe(images, torch.zeros(IMAGES, dtype=torch.int64), 10, 32, "")


def measure(space_name: str, table: str, accuracies: str, folder: str, draws: str, out: str) -> None:
    """Measure every architecture of a table, and print how well the score and the baselines rank it."""
    if not Path(table).is_file():
        raise SystemExit(f"no table {table}: a CSV file with the columns architecture and {accuracies} is needed")
    rows = list(csv.DictReader(Path(table).read_text().splitlines()))
    names, _, classes = zip(*(each.partition(":") for each in accuracies.split(",")), strict=True)
    if missing := [name for name in names if name not in rows[0]]:
        raise SystemExit(f"{table} has no column {missing[0]}: it has {', '.join(rows[0])}")
    space, probes = get_space(space_name), [draw_probe(folder, draw) for draw in range(int(draws))]
    parts, baselines = np.empty((len(probes), len(rows), 12)), np.empty((len(BASELINES), len(rows)))
    for i, row in enumerate(rows):
        architecture, scores = space.canonical(row.get("architecture") or row["arch"]), []
        for draw, probe in enumerate(probes):
            torch.manual_seed(1_000_000 * draw + i)
            network = space.build(architecture, 10)
            parts[draw, i] = parts_of(Measured(network, probe))
            scores.append(naswot_score(network, probe.images))
        # Sizes of the trained network where the table has them: here it may be narrower.
        size = space.complexity(architecture)
        baselines[:, i] = row.get("params") or size.params, row.get("macs") or size.macs, np.mean(scores)
        print(f"\r{i + 1} of {len(rows)}", end="", file=sys.stderr)
    truth = np.array([[float(row[name]) for row in rows] for name in names])
    counts = [int(each or 10) for each in classes]
    np.savez(out, parts=parts, baselines=baselines, accuracies=truth, names=names, classes=counts)
    print(file=sys.stderr)
    Set(out).report("diversity", DIVERSITY)


def parts_of(measured: Measured) -> list[float]:
    """Return what the designs are made of, of one network; nan where no gradient reaches a rectifier."""
    found, scale = _measure(measured)
    live = [each for each in found if each.gradient > 0 and each.directions > 0]
    if not live or scale <= 0:
        return [math.nan] * 12
    _, channels, patterns, directions, of_gradient, gradient = np.array([list(vars(each).values()) for each in live]).T
    shares = np.array([each.spread for each in live]), of_gradient / channels
    parts = []
    for ratio in (gradient / scale, (gradient / scale) ** 2):
        health = 1 / (1 + ratio)
        parts += [(patterns * share * health).sum() for share in shares]
        parts += [(directions * health).sum(), math.exp(np.log(health).mean())]
    most, least = measured.convolutions.depth or 0, measured.convolutions.least_depth or 0
    return list(np.log([*parts, math.exp(np.log(patterns).mean()), 1 + (most + least) / 2, 1 + most, directions[-1]]))


class Set:
    """The architectures of one file, with their accuracies."""

    def __init__(self, file: str) -> None:
        if not Path(file).is_file():
            raise SystemExit(f"no file {file}: the command measure makes it")
        kept = np.load(file)
        self.name, self.names, self.accuracies = Path(file).stem, kept["names"], kept["accuracies"]
        self.parts, self.classes = kept["parts"], kept["classes"]
        self.baselines = np.nan_to_num(kept["baselines"], nan=-1e300, neginf=-1e300)

    def values(self, design: tuple[str, ...], classes: int) -> np.ndarray:
        """Return a design's scores of all networks, means over the draws; those without one are last."""
        norm, average, depth, bound, share = design
        columns = np.moveaxis(self.parts, -1, 0)
        *codes, directions, health = columns[:4] if norm == "norm" else columns[4:8]
        patterns, middle, longest, last = columns[8:]
        # K classes are told apart in K - 1 directions, those of a simplex.
        seen = np.minimum(last, math.log(max(classes - 1, 1))) if bound else last
        values = codes[0 if share else 1] + directions + patterns + (middle if depth == "middle" else longest) + seen
        return np.nan_to_num((values + (health if average == "P h" else 0)).mean(0), nan=-1e9)

    def smallest_margin(self, design: tuple[str, ...]) -> float:
        """Return tau of a design less that of the best baseline, of the accuracy where that is least."""
        margins = []
        for accuracy, classes in zip(self.accuracies, self.classes, strict=True):
            best = max(kendalltau(each, accuracy).statistic for each in self.baselines)
            margins.append(kendalltau(self.values(design, classes), accuracy).statistic - best)
        return min(margins)

    def report(self, label: str, designs: list[tuple[str, ...]]) -> None:
        """Print taus of the mean of some designs, and the difference from the best baseline, with 95 % intervals."""
        for name, accuracy, classes in zip(self.names, self.accuracies, self.classes, strict=True):
            values = np.mean([self.values(design, classes) for design in designs], axis=0)
            taus = [kendalltau(each, accuracy).statistic for each in self.baselines]
            best, n = self.baselines[int(np.argmax(taus))], len(accuracy)
            of_all = with_resamples(n)
            resampled = resampled_tau(values, accuracy, of_all)
            tau, less = estimate_of(resampled, n), estimate_of(resampled - resampled_tau(best, accuracy, of_all), n)
            told = "  ".join(f"{each} {value:.3f}" for each, value in zip(BASELINES, taus, strict=True))
            print(f"{self.name} {name}, n = {n}:  {told}  {label} {tau:.3f}  less the best {less:.3f}", flush=True)


def choose(*files: str) -> None:
    """Report, for each set, the mean of the designs whose smallest margin on all others is largest; then diversity."""
    sets = [Set(file) for file in files]
    margins = [{design: one.smallest_margin(design) for design in DESIGNS} for one in sets]
    for one, own in zip(sets, margins, strict=True):
        rest = {design: min(each[design] for each in margins if each is not own) for design in DESIGNS}
        ranked = sorted(DESIGNS, key=rest.__getitem__, reverse=True)
        print(f"without {one.name}: first {', '.join(filter(None, ranked[0]))}")
        one.report("chosen", ranked[:BEST])
    for one in sets:
        one.report("diversity", DIVERSITY)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", space, table, accuracies, images, draws, out]:
            measure(space, table, accuracies, images, draws, out)
        case ["choose", first, second, third, *more]:
            choose(first, second, third, *more)
        case _:
            raise SystemExit(__doc__)
