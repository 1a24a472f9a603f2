"""Training-free scores: one file each, a function of :class:`Measured` under ``@proxy``.

Every score leaves the network, the probe and the random generators as it found them, and gives the same number
each time: bit for bit on the CPU; on CUDA the gradients are subject to the rounding of backward convolutions,
whose sums have no fixed order. While a score runs, BatchNorm normalises by the mini-batch and everything else
is in eval mode (:func:`naswot_lightning.score.isolation.isolated`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naswot_lightning.scores.base import PROXIES, Measured, Proxy, proxy
    from naswot_lightning.scores.choice import compute_scores, get_proxy, watches_of
    from naswot_lightning.scores.criteria import parse_scores

# The registry: a score, the file of this folder that holds it.
SCORES = {
    "naswot": "naswot",
    "jacob_cov": "jacob_cov",
    "grad_norm": "grad_norm",
    "snip": "snip",
    "fisher": "fisher",
    "grasp": "grasp",
    "zico": "zico",
    "synflow": "synflow",
    "nwot_normalised": "nwot_normalised",
    "swap": "swap",
    "meco": "meco",
    "relu_entropy": "relu_entropy",
    "relu_rank": "relu_rank",
    "relu_input_rank": "relu_input_rank",
    "relu_volume": "relu_volume",
    "relu_meco": "relu_meco",
    "az_expressivity": "az_expressivity",
    "az_progressivity": "az_progressivity",
    "az_trainability": "az_trainability",
    "zen": "zen",
    "vkdnw": "vkdnw",
    "params": "params",
    "macs": "macs",
    "rectified_units": "rectified_units",
    "log_width": "log_width",
    "conv_depth": "conv_depth",
    "random": "random_number",
}
# Ranks by several scores under a name of their own. `robust`: chosen for being above plain size on NAS-Bench-201, its
# size space and NAS-Bench-101 alike; docs/scores.md says how, and out of how many.
AGGREGATES: dict[str, tuple[str, ...]] = {
    "robust": (
        "relu_rank", "relu_input_rank", "relu_volume", "relu_meco", "az_expressivity", "az_progressivity", "synflow",
        "conv_depth", "macs",
    ),
}  # fmt: skip
_EXPORTS = {
    **dict.fromkeys(("PROXIES", "Measured", "Proxy", "proxy"), "base"),
    **dict.fromkeys(("compute_scores", "get_proxy", "watches_of"), "choice"),
    "parse_scores": "criteria",
}

__all__ = [
    "AGGREGATES", "PROXIES", "SCORES", "Measured", "Proxy", "compute_scores", "get_proxy", "parse_scores", "proxy",
    "watches_of",
]  # fmt: skip


def __getattr__(attribute: str) -> object:  # torch costs seconds: the names of the scores are there without it
    if attribute not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    for file in SCORES.values():
        import_module(f"{__name__}.{file}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[attribute]}"), attribute)
