"""Scores by their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from naswot_lightning.data.probe import Probe
from naswot_lightning.errors import expect_name
from naswot_lightning.scores.base import PROXIES, Measured, Proxy, Watch


def get_proxy(name: str) -> Proxy:
    """Return the proxy of that name.

    Raises:
        UserError: no such score; the message lists the names and the nearest one.

    >>> get_proxy("snip").source
    'Lee et al. 2019; Abdelfattah et al. 2021'
    """
    return PROXIES[expect_name("score", name, PROXIES)]


def compute_scores(network: nn.Module, probe: Probe, names: Sequence[str]) -> dict[str, float]:
    """Return several scores of one network, those of one forward pass or of one backward pass from the same.

    Raises:
        UserError: no such score.
        NoRectifierError: a score needs rectified linear units, and the network has none.

    >>> from naswot_lightning.data.probe import load_probe
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8), nn.ReLU(), nn.Linear(8, 10))
    >>> compute_scores(network, load_probe("noise", "", batch_size=16, seed=0), ["params", "rectified_units"])
    {'params': 24674.0, 'rectified_units': 8.0}
    """
    proxies = [get_proxy(name) for name in names]
    measured = Measured(network, probe, watches=watches_of(proxies))
    return {proxy.name: proxy(measured) for proxy in proxies}


def watches_of(proxies: Iterable[Proxy]) -> list[Watch]:
    """Return what these scores watch the forward pass with, each once, for :class:`Measured`."""
    return list(dict.fromkeys(watch for proxy in proxies for watch in proxy.watches))
