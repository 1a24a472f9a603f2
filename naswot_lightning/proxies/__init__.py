"""Training-free scores: one file each, a function of :class:`Measured` under ``@proxy``.

Every score leaves the network, the probe and the random generators as it found them, and gives the same number
each time: bit for bit on the CPU; on CUDA the gradients are subject to the rounding of backward convolutions,
whose sums have no fixed order. While a score runs, BatchNorm normalises by the mini-batch and everything else
is in eval mode (:func:`naswot_lightning.score.isolation.isolated`).
"""

from importlib import import_module

from naswot_lightning.proxies.base import PROXIES, Measured, Proxy, proxy
from naswot_lightning.proxies.choice import compute_scores, get_proxy, parse_scores

__all__ = ["PROXIES", "Measured", "Proxy", "compute_scores", "get_proxy", "parse_scores", "proxy"]

# The registry: the files of this folder that hold a score, in the order in which they are listed.
for _file in (
    "naswot", "jacob_cov", "grad_norm", "snip", "synflow", "params", "macs", "rectified_units", "random_number",
):  # fmt: skip
    import_module(f"{__name__}.{_file}")
