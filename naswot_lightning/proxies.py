"""Training-free scores of a network, one signature: (network, probe) to a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from naswot_lightning.data.probe import Probe
from naswot_lightning.errors import expect_name
from naswot_lightning.score import activation_kernel


@dataclass(frozen=True)
class Proxy:
    """A score and what is known of it.

    Attributes:
        function: network and probe to the value; -inf where the network is degenerate, nan where it failed.
        source: where it is defined.
        higher_is_better: its direction.
    """

    function: Callable[[nn.Module, Probe], float]
    source: str
    higher_is_better: bool = True


def naswot(network: nn.Module, probe: Probe) -> float:
    """Return log|K_H| (Eq. 2)."""
    return activation_kernel(network, probe.images).logdet()


PROXIES = {"naswot": Proxy(naswot, "Mellor et al. 2021, Eq. 2")}


def get_proxy(name: str) -> Proxy:
    """Return the proxy of that name.

    Raises:
        UserError: no such score; the message lists the names and the nearest one.
    """
    return PROXIES[expect_name("score", name, PROXIES)]
