"""The networks of a run and its mini-batch, as its search saw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from naswot_lightning.data.probe import Probe, load_probe
from naswot_lightning.devices import get_device
from naswot_lightning.networks import build_network, move_network
from naswot_lightning.scores.base import Measured
from spaces import Space, known_space

_FORMERLY = {"batch_size": 128, "seed": 0, "probe_size": None, "image_size": None, "split_file": None}


@dataclass(frozen=True)
class Rebuilt:
    """What scores the networks of a run anew.

    Attributes:
        space: the search space.
        images: the data set of the mini-batch.
        data_dir: its folder.
        settings: of the run.
        device: where networks run.
    """

    space: Space
    images: str
    data_dir: str
    settings: Mapping[str, Any]
    device: torch.device

    def setting(self, name: str) -> Any:
        """Return a setting of the run; the search's default where picks were given by hand."""
        return self.settings.get(name, _FORMERLY[name])

    @cached_property
    def probe(self) -> Probe:
        """The mini-batch of the search.

        Raises:
            UserError: the data set is at fault.
        """
        rest = (self.setting(name) for name in ("batch_size", "seed", "probe_size", "image_size", "split_file"))
        return load_probe(self.images, self.data_dir, *rest).to(self.device)

    def measured(self, architecture: str) -> Measured:
        """Return a network, with the weights that it had in the search, on the mini-batch."""
        network = build_network(self.space, architecture, self.setting("seed"), self.probe.num_classes)
        return Measured(move_network(network, self.device, self.space.channels_last), self.probe)


def rebuilt(space: str, images: str, settings: Mapping[str, Any], data_dir: str | None, device: str) -> Rebuilt:
    """Return what scores the networks of a run.

    Args:
        space: of the networks; an import path must be trusted.
        images: the data set of the mini-batch.
        settings: of the run.
        data_dir: the folder of the data set; the run's own by default.
        device: auto, cpu, cuda, ...

    Raises:
        UserError: the space is not trusted, or there is no such device.
    """
    folder = str(settings.get("data_dir", "data")) if data_dir is None else data_dir
    return Rebuilt(known_space(space), images, folder, settings, get_device(device))
