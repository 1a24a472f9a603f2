"""Networks whose accuracies are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NetworksWithAccuracy:
    """The n networks of a run whose accuracies are known."""

    space: str
    images: str
    """the data set of the mini-batch that scored them."""
    source: str
    """which accuracy it is."""
    architectures: tuple[str, ...]
    """of the networks that were scored or trained, without dead branches where the run has none."""
    accuracies: np.ndarray
    """(n,) percent."""
    scores: Mapping[str, np.ndarray]
    """by name, that which ranks first; (n,) NaN where one is missing."""
    sizes: Mapping[str, np.ndarray]
    """parameters and multiply-accumulates by name; (n,) NaN where one is not known."""
