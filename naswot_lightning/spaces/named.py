"""A space of networks that somebody already wrote: names, and a function that builds each."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from torch import nn

from naswot_lightning.spaces.base import EnumerableSpace
from naswot_lightning.spaces.errors import SpaceError, did_you_mean, quoted

Builders = Mapping[str, Callable[[int], nn.Module]]


class NamedNetworks(EnumerableSpace):
    """Networks by name, such as torchvision's models.

    ``builders`` are, for each name, a function of the number of classes that returns an untrained network, which maps
    images (N, 3, H, W) to logits (N, num_classes).
    """

    # Networks from elsewhere may call .view on feature maps.
    channels_last = False

    def __init__(self, builders: Builders, name: str) -> None:
        if not isinstance(builders, Mapping) or not builders or not all(callable(b) for b in builders.values()):
            raise SpaceError(f"space {name!r}: expected a mapping from names to functions of the number of classes")
        self.name, self._builders, self._names = name, dict(builders), list(builders)

    def sample(self, rng: random.Random) -> str:
        """Draw a name uniformly."""
        return rng.choice(self._names)

    def mutate(self, architecture: str, rng: random.Random) -> str:
        """Return another name."""
        self.validate(architecture)
        return rng.choice([name for name in self._names if name != architecture] or self._names)

    def build(self, architecture: str, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
        """Call the function of that name; images have three channels."""
        self.validate(architecture)
        return self._builders[architecture](num_classes)

    def validate(self, architecture: str) -> None:
        """Raise :class:`SpaceError` with the nearest name unless there is such a network."""
        if architecture not in self._builders:
            near = did_you_mean(architecture, self._names)
            raise SpaceError(f"space {self.name!r} has no network {quoted(architecture)}{near}")

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> str:
        return self._names[index]

    def index(self, architecture: str) -> int:
        """Return the position of the name."""
        self.validate(architecture)
        return self._names.index(architecture)
