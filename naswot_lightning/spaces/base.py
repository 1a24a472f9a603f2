"""The interface of a search space, one file and one class a space; and a space of networks that have names."""

from __future__ import annotations

import functools
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from naswot_lightning.spaces.errors import SpaceError, did_you_mean, quoted
from naswot_lightning.spaces.graph import CellGraph


@dataclass(frozen=True)
class Complexity:
    """Model size of a network."""

    params: int
    """Trainable parameters."""
    macs: int
    """Multiply-accumulates of convolutions and linear layers for one image."""


class Space(ABC):
    """A set of architectures, each named by one string.

    A space that can be enumerated also defines ``__len__``, ``__getitem__`` and ``index``.
    """

    name: str
    """As :func:`naswot_lightning.spaces.get_space` takes it, which gives it to the space with its options."""
    skeleton: ClassVar[str] = ""
    """The fixed network around what an architecture says, in a few words; for the list of spaces."""
    made_for: ClassVar[str] = ""
    """Image sizes or data sets."""
    source: ClassVar[str] = ""
    """The publication."""
    size: ClassVar[str] = ""
    """How many architectures there are, where they cannot be enumerated."""
    evidence: ClassVar[str] = ""
    """What is known of scores on this space; printed with a ranking."""
    has_training_parts: ClassVar[bool] = False
    """Networks can have an auxiliary head and drop path while they train."""
    builds_on_meta: ClassVar[bool] = False
    """Networks are counted without being allocated. Set True where no value is looked at (``.item()``, a branch)."""
    channels_last: ClassVar[bool] = True
    """Set False where a forward calls .view on feature maps, which channels_last memory does not allow."""

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

        A text of such a form that leaves open which architecture it is raises a SpaceError.
        """
        return text

    def with_training_parts(self, architecture: str, auxiliary: bool, drop_path: float) -> str:
        """Return the architecture with an auxiliary head and drop path, which are on only while it trains.

        A space without such parts raises a SpaceError where one is asked for.
        """
        if auxiliary or drop_path:
            raise SpaceError(f"space {self.name!r}: its networks have no auxiliary head and no drop path")
        return architecture

    def validate(self, architecture: str) -> None:
        """Raise :class:`SpaceError` with the position of the fault unless the architecture is of this space."""
        # Weights are drawn for nothing: the caller's generator must not notice.
        with torch.random.fork_rng(devices=[]):
            self.build(architecture)

    def graph(self, architecture: str) -> list[CellGraph]:
        """Return what is drawn of an architecture: one graph per cell."""
        name = getattr(self, "name", type(self).__name__)
        raise SpaceError(f"space {name!r} does not describe its cell: its class has no method graph(architecture)")

    def complexity(
        self, architecture: str, num_classes: int = 10, in_channels: int = 3, image_size: int = 32
    ) -> Complexity:
        """Count parameters and multiply-accumulates of the network, which is built and run on one image of zeros."""
        with torch.random.fork_rng(devices=[]), torch.device("meta") if self.builds_on_meta else nullcontext():
            network = self.build(architecture, num_classes, in_channels).eval()
            macs = count_macs(network, torch.zeros(1, in_channels, image_size, image_size))
        return Complexity(count_params(network), macs)


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


class ListedChoices(EnumerableSpace):
    """All combinations of a fixed number of decisions, in lexicographic order: a :class:`CategoricalSpace`."""

    choices: Sequence[Sequence[str]]
    """The options of each decision."""

    @abstractmethod
    def decisions(self, architecture: str) -> tuple[int, ...]:
        """Return the position of the option that each decision takes."""

    @abstractmethod
    def from_decisions(self, decisions: Sequence[int]) -> str:
        """Return the architecture of these decisions."""

    def sample(self, rng: random.Random) -> str:
        """Draw each decision uniformly."""
        return self.from_decisions([rng.randrange(len(options)) for options in self.choices])

    def mutate(self, architecture: str, rng: random.Random) -> str:
        """Change one decision, each as likely, to another of its options."""
        decisions = list(self.decisions(architecture))
        place = rng.randrange(len(decisions))
        decisions[place] = rng.choice([each for each in range(len(self.choices[place])) if each != decisions[place]])
        return self.from_decisions(decisions)

    def validate(self, architecture: str) -> None:
        """Raise :class:`SpaceError` naming the decision that is not of the space."""
        self.decisions(architecture)

    def __len__(self) -> int:
        return math.prod(map(len, self.choices))

    def __getitem__(self, index: int) -> str:
        rest, decisions = range(len(self))[index], []
        for options in reversed(self.choices):
            rest, decision = divmod(rest, len(options))
            decisions.append(decision)
        return self.from_decisions(decisions[::-1])

    def index(self, architecture: str) -> int:
        """Return the position of ``architecture`` in the official order."""
        pairs = zip(self.choices, self.decisions(architecture), strict=True)
        return functools.reduce(lambda index, pair: index * len(pair[0]) + pair[1], pairs, 0)


@runtime_checkable
class CategoricalSpace(Protocol):
    """A space whose architectures are a fixed number of decisions, each among a few options."""

    @property
    def choices(self) -> Sequence[Sequence[str]]:
        """The options of each decision."""
        ...

    def decisions(self, architecture: str) -> tuple[int, ...]:
        """Return the position of the option that each decision takes."""
        ...

    def from_decisions(self, decisions: Sequence[int]) -> str:
        """Return the architecture of these decisions; decisions that exclude each other are a SpaceError."""
        ...


_CONVOLUTIONS = {
    torch.conv1d, torch.conv2d, torch.conv3d, F.conv1d, F.conv2d, F.conv3d,
    torch.ops.aten.conv1d.default, torch.ops.aten.conv2d.default, torch.ops.aten.conv3d.default,
}  # fmt: skip
_TRANSPOSED = {
    torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d, torch.ops.aten.conv_transpose1d.default,
    torch.ops.aten.conv_transpose2d.input, torch.ops.aten.conv_transpose3d.input,
}  # fmt: skip
# The latter of exported networks.
_LINEAR = {F.linear, torch.ops.aten.linear.default}


class MacCounter(TorchFunctionMode):
    """While active, counts multiply-accumulates of all images of a forward pass; entered again, those of a new one."""

    def __enter__(self) -> MacCounter:
        self.macs = 0
        return super().__enter__()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in _CONVOLUTIONS:
            # The weight is (C_out, C_in / groups, *kernel).
            weight = _argument(1, "weight", args, kwargs)
            self.macs += output.numel() * weight[0].numel()
        elif func in _LINEAR:
            bias = _argument(2, "bias", args, kwargs)
            # The bias of a linear layer is counted, as the benchmarks do.
            self.macs += output.numel() * (args[0].shape[-1] + (bias is not None))
        elif func in _TRANSPOSED:
            # (C_in, C_out / groups, *kernel)
            weight = _argument(1, "weight", args, kwargs)
            self.macs += _argument(0, "input", args, kwargs).numel() * weight[0].numel()
        elif func is F.multi_head_attention_forward:
            self.macs += _macs_of_attention(*args, **(kwargs or {}))
        return output


def _macs_of_attention(*args: Any, **kwargs: Any) -> int:
    """Return those of the four linear layers in a call of ``multi_head_attention_forward``, which hides them."""
    given = signature(F.multi_head_attention_forward).bind(*args, **kwargs).arguments
    width = given["query"].shape[-1]
    has_bias, output_has_bias = given["in_proj_bias"] is not None, given["out_proj_bias"] is not None
    inputs = sum(given[name].numel() + has_bias * given[name][..., 0].numel() for name in ("query", "key", "value"))
    return int(width * (inputs + given["query"][..., 0].numel() * (width + output_has_bias)))


def _argument(position: int, name: str, args: Any, kwargs: dict[str, Any] | None) -> Any:
    return args[position] if len(args) > position else (kwargs or {}).get(name)


def count_params(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_macs(network: nn.Module, images: Tensor) -> int:
    """Return the multiply-accumulates of convolutions and linear layers for one image.

    Normalisation, pooling and additions are not counted (the convention of NAS-Bench-201's "flop"). The network is run
    once on images, (N, C, H, W), as it stands, so put it in eval mode first. TorchScript, whose calls are not seen, is
    a ValueError.
    """
    expect_countable(network)
    with torch.no_grad(), MacCounter() as counter:
        network(images)
    return counter.macs // images.shape[0]


def expect_countable(network: nn.Module) -> None:
    """Raise :class:`ValueError` where the network holds TorchScript."""
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise ValueError("calls of TorchScript cannot be counted: give the network as it was before torch.jit.script")


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
