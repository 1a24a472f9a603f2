"""The interface of a search space: one file and one class a space."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import nn

from spaces.complexity import count_macs, count_params
from spaces.errors import SpaceError
from spaces.graph import CellGraph


@dataclass(frozen=True)
class Complexity:
    """Plain size of a network.

    Attributes:
        params: trainable parameters.
        macs: multiply-accumulates of convolutions and linear layers for one image.
    """

    params: int
    macs: int


class Space(ABC):
    """A set of architectures, each named by one string.

    A space that can be enumerated also defines ``__len__``, ``__getitem__`` and ``index``.

    Attributes:
        name: as :func:`spaces.get_space` takes it, which gives it to the space with its options.
        skeleton: the fixed network around what an architecture says, in a few words; for the list of spaces, like
            the next three.
        made_for: image sizes or data sets.
        source: the publication.
        size: how many architectures there are, where they cannot be enumerated.
        evidence: what is known of scores on this space; printed with a ranking.
    """

    name: str
    skeleton: ClassVar[str] = ""
    made_for: ClassVar[str] = ""
    source: ClassVar[str] = ""
    size: ClassVar[str] = ""
    evidence: ClassVar[str] = ""
    # Whether networks can have an auxiliary head and drop path while they train.
    has_training_parts: ClassVar[bool] = False
    # Set False where a forward calls .view on feature maps, which channels_last memory does not allow.
    channels_last: ClassVar[bool] = True

    @abstractmethod
    def sample(self, rng: random.Random) -> str:
        """Draw one architecture."""

    @abstractmethod
    def mutate(self, architecture: str, rng: random.Random) -> str:
        """Return a neighbour of ``architecture`` that differs from it."""

    @abstractmethod
    def build(self, architecture: str, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
        """Return the untrained network: images (N, in_channels, H, W) to logits (N, num_classes).

        Weights are drawn from torch's default generator.

        Raises:
            SpaceError: the architecture is not of this space.
        """

    def canonical(self, architecture: str) -> str:
        """Return the architecture that stands for all those computing the same function.

        The default is for spaces without dead or duplicate structure.
        """
        self.validate(architecture)
        return architecture

    def read(self, text: str) -> str:
        """Return the architecture that a text spells in a form of another library; the text itself in any other case.

        Raises:
            SpaceError: it is of such a form, and leaves open which architecture it is.
        """
        return text

    def with_training_parts(self, architecture: str, auxiliary: bool, drop_path: float) -> str:
        """Return the architecture with an auxiliary head and drop path, which are on only while it trains.

        Raises:
            SpaceError: the space has no such parts and one is asked for.
        """
        if auxiliary or drop_path:
            raise SpaceError(f"space {self.name!r}: its networks have no auxiliary head and no drop path")
        return architecture

    def validate(self, architecture: str) -> None:
        """Raise :class:`SpaceError` with the position of the fault unless the architecture is of this space."""
        with torch.random.fork_rng(devices=[]):
            self.build(architecture)

    def graph(self, architecture: str) -> list[CellGraph]:
        """Return what is drawn of an architecture: one graph a cell.

        Raises:
            SpaceError: the architecture is not of this space, or the space does not describe its cells.
        """
        name = getattr(self, "name", type(self).__name__)
        raise SpaceError(f"space {name!r} does not describe its cell: its class has no method graph(architecture)")

    def complexity(
        self, architecture: str, num_classes: int = 10, in_channels: int = 3, image_size: int = 32
    ) -> Complexity:
        """Count parameters and multiply-accumulates of the network, which is built and run on one image of zeros.

        A space whose networks can be built on torch's meta device overrides this by :func:`complexity_on_meta`. Those
        that look at a value (``torch.linspace(...).item()``, a branch that depends on the data) cannot.
        """
        with torch.random.fork_rng(devices=[]):
            network = self.build(architecture, num_classes, in_channels).eval()
            macs = count_macs(network, torch.zeros(1, in_channels, image_size, image_size))
        return Complexity(count_params(network), macs)


def complexity_on_meta(
    space: Space, architecture: str, num_classes: int, in_channels: int, image_size: int
) -> Complexity:
    """Count parameters and multiply-accumulates of a network without allocating it."""
    with torch.device("meta"):
        network = space.build(architecture, num_classes, in_channels).eval()
        images = torch.empty(1, in_channels, image_size, image_size)
    return Complexity(count_params(network), count_macs(network, images))


class EnumerableSpace(Space):
    """A space whose architectures can be listed, in the official order of its benchmark."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> str: ...

    @abstractmethod
    def index(self, architecture: str) -> int:
        """Return the position of ``architecture`` in the official order."""

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


@runtime_checkable
class CategoricalSpace(Protocol):
    """A space whose architectures are a fixed number of decisions, each among a few options.

    Attributes:
        choices: the options of each decision.
    """

    @property
    def choices(self) -> Sequence[Sequence[str]]: ...  # noqa: D102 - above

    def decisions(self, architecture: str) -> tuple[int, ...]:
        """Return the position of the option that each decision takes.

        Raises:
            SpaceError: the architecture is not of this space.
        """
        ...

    def from_decisions(self, decisions: Sequence[int]) -> str:
        """Return the architecture of these decisions.

        Raises:
            SpaceError: there is none: the decisions exclude each other.
        """
        ...
