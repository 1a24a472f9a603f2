"""Networks whose accuracies are known, and which of them stand for ranges of accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.fields import Floats

RANGES, EACH = 5, 3  # of Figure 1: columns, and networks in each


@dataclass(frozen=True)
class Known:
    """The n networks of a run whose accuracies are known.

    Attributes:
        space: of the networks.
        images: the data set of the mini-batch that scored them.
        source: which accuracy it is.
        architectures: of the networks that were scored or trained, without dead branches where the run has none.
        accuracies: (n,) percent.
        scores: by name, that which ranks first; (n,) NaN where one is missing.
        sizes: parameters and multiply-accumulates by name; (n,) NaN where one is not known.
    """

    space: str
    images: str
    source: str
    architectures: tuple[str, ...]
    accuracies: Floats
    scores: Mapping[str, Floats]
    sizes: Mapping[str, Floats]


def in_ranges(accuracies: Floats, seed: int, ranges: int = RANGES, each: int = EACH) -> list[list[int]]:
    """Return places of networks that stand for ranges of accuracy, the least accurate first.

    A range holds the same share of the networks, some of which are drawn by the seed.

    >>> in_ranges(np.array([10.0, 50.0, 20.0, 40.0]), seed=0, ranges=2, each=2)
    [[0, 2], [3, 1]]
    """
    parts = np.array_split(np.argsort(accuracies, kind="stable"), min(ranges, len(accuracies)))
    rng = np.random.default_rng(derived_seed(seed, "accuracy ranges"))
    kept = (np.sort(rng.permutation(len(part))[:each]) for part in parts)
    return [part[places].tolist() for part, places in zip(parts, kept, strict=True)]
