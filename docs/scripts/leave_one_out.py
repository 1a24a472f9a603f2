"""How well the score diversity ranks spaces that it was not chosen on: the first table of docs/scores.md.

Once per set of architectures, a fraction of a second per network and draw; images are a folder of CLASS/FILE::

    python docs/scripts/leave_one_out.py measure SPACE TABLE.csv ACCURACY:CLASSES[,...] IMAGES DRAWS SET.npz

prints Kendall's tau of parameters, MACs, naswot and diversity, and keeps what they are made of: means over draws of the
weights and images, as of --repeats. Then, a minute::

    python docs/scripts/leave_one_out.py choose SET.npz SET.npz SET.npz [...]

chooses a score on all sets but one, for each in turn, and prints how it ranks that one.
"""

from __future__ import annotations

import csv
import math
import sys
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from naswot_lightning import naswot_score
from naswot_lightning.analysis.statistics import estimate_of, resampled_tau, with_resamples
from naswot_lightning.scores.base import Measured, Probe
from naswot_lightning.scores.diversity import _measure
from naswot_lightning.spaces import get_space

IMAGES, FIRST_IMAGES = 16, 1000
MEAN, STD = np.array([125.3, 123.0, 113.9]), np.array([63.0, 62.1, 66.7])
# Of the rectifiers: log sum P S h, log sum D h and mean log P; log (1 + depth) and log D of the last one, at most
# log (K - 1) of K classes, each of which may count by half.
PARTS, HALVED = ("codes", "directions", "average", "depth", "last"), ("depth", "last")
DIVERSITY = np.ones(len(PARTS))
BEST_OF = (10, 50, 71)
PAIRS = 5000
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
    names, classes = zip(*(each.split(":") for each in accuracies.split(",")), strict=True)
    if missing := [name for name in names if name not in rows[0]]:
        raise SystemExit(f"{table} has no column {missing[0]}: it has {', '.join(rows[0])}")
    space, probes = get_space(space_name), [draw_probe(folder, draw) for draw in range(int(draws))]
    parts, baselines = np.empty((len(probes), len(rows), len(PARTS))), np.empty((len(BASELINES), len(rows)))
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
    np.savez(out, parts=parts, baselines=baselines, accuracies=truth, names=names, classes=np.array(classes, int))
    print(file=sys.stderr)
    Set(out).report("diversity", DIVERSITY)


def parts_of(measured: Measured) -> list[float]:
    """Return the parts of one network, nan where no gradient reaches a rectifier."""
    found, scale = _measure(measured)
    live = [each for each in found if each.gradient > 0 and each.directions > 0]
    if not live or scale <= 0:
        return [math.nan] * len(PARTS)
    patterns, directions, spread, gradient = np.array([list(vars(each).values()) for each in live]).T
    health = 1 / (1 + gradient / scale)
    sums = (patterns * spread * health).sum(), (directions * health).sum()
    depth = 1 + (measured.convolutions.depth or 0)
    return [*np.log(sums), np.log(patterns).mean(), *np.log([depth, directions[-1]])]


class Set:
    """The architectures of one file, with their accuracies."""

    def __init__(self, file: str) -> None:
        if not Path(file).is_file():
            raise SystemExit(f"no file {file}: the command measure makes it")
        kept = np.load(file)
        self.name, self.names, self.accuracies = Path(file).stem, kept["names"], kept["accuracies"]
        self.baselines = np.nan_to_num(kept["baselines"], nan=-1e300, neginf=-1e300)
        self.dead = np.isnan(kept["parts"]).any((0, 2))
        # (networks, parts) per accuracy: K classes are told apart in K - 1 directions, those of a simplex.
        self.parts = []
        for count in kept["classes"]:
            parts = np.nan_to_num(kept["parts"])
            parts[..., -1] = np.minimum(parts[..., -1], math.log(max(count - 1, 1)))
            self.parts.append(np.where(self.dead[:, None], -30, parts.mean(0)))
        self.pairs: list[tuple[np.ndarray, ...]] = []

    def draw_pairs(self, rng: np.random.Generator) -> None:
        """Draw pairs of networks, whose taus are cheap for thousands of scores."""
        for accuracy in self.accuracies:
            first, second = rng.choice(len(accuracy), PAIRS), rng.choice(len(accuracy), PAIRS)
            sign = np.sign(accuracy[first] - accuracy[second])
            self.pairs.append((first[sign != 0], second[sign != 0], sign[sign != 0]))

    def margins(self, weights: np.ndarray) -> np.ndarray:
        """Return (accuracies, scores): tau of each score, less the best baseline's."""
        margins = []
        for (first, second, sign), measured in zip(self.pairs, self.parts, strict=True):
            best = max((np.sign(values[first] - values[second]) * sign).mean() for values in self.baselines)
            differences = np.sign((measured[first] - measured[second]) @ weights)
            margins.append((differences * sign[:, None]).mean(0) - best)
        return np.array(margins)

    def report(self, label: str, weights: np.ndarray) -> None:
        """Print taus, and the difference from the best baseline, with 95 % intervals."""
        n = len(self.dead)
        for name, accuracy, measured in zip(self.names, self.accuracies, self.parts, strict=True):
            values = np.where(self.dead, -1e9, measured @ weights)
            taus = [float(resampled_tau(each, accuracy, np.ones((1, n)))[0]) for each in self.baselines]
            best = self.baselines[int(np.argmax(taus))]
            of_all = with_resamples(n)
            resampled = resampled_tau(values, accuracy, of_all)
            tau, less = estimate_of(resampled, n), estimate_of(resampled - resampled_tau(best, accuracy, of_all), n)
            told = "  ".join(f"{each} {value:.3f}" for each, value in zip(BASELINES, taus, strict=True))
            print(f"{self.name} {name}, n = {n}:  {told}  {label} {tau:.3f}  less the best {less:.3f}", flush=True)


def formulas() -> np.ndarray:
    """Return (parts, 71): the weights of all sums."""
    choices = [(0, 1 / 2, 1) if part in HALVED else (0, 1) for part in PARTS]
    return np.array([weights for weights in product(*choices) if any(weights)]).T


@cache
def margins_of_all(one: Set) -> np.ndarray:
    """Return (accuracies, formulas): their margins."""
    return one.margins(formulas())


def mean_of_best(sets: list[Set], count: int) -> np.ndarray:
    """Return the mean of the weights with the largest smallest margin over all accuracies of the sets."""
    smallest = np.concatenate([margins_of_all(each) for each in sets]).min(0)
    return np.asarray(formulas()[:, np.argsort(-smallest)[:count]].mean(1))


def left_out(sets: list[Set], count: int) -> float:
    """Return the smallest margin where each set in turn is left out of the choice."""
    return min(
        float(each.margins(mean_of_best([one for one in sets if one is not each], count)[:, None]).min())
        for each in sets
    )


def choose(*files: str) -> None:
    """Choose on all sets but one, for each in turn; the count by leaving out one more of the others."""
    sets, rng = [Set(file) for file in files], np.random.default_rng(3)
    for each in sets:
        each.draw_pairs(rng)
    for one in (*sets, None):
        rest = [each for each in sets if each is not one]
        count = max(BEST_OF, key=lambda count: left_out(rest, count))
        weights = mean_of_best(rest, count)
        told = ", ".join(f"{weight:.2f} {part}" for part, weight in zip(PARTS, weights / weights.max(), strict=True))
        print(f"{f'without {one.name}' if one else 'of all'}: {told} (mean of {count})")
        for each in [one] if one else sets:
            each.report("chosen", weights)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", space, table, accuracies, images, draws, out]:
            measure(space, table, accuracies, images, draws, out)
        case ["choose", first, second, third, *more]:
            choose(first, second, third, *more)
        case _:
            raise SystemExit(__doc__)
