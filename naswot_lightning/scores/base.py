"""What a score is: a function of a network on one mini-batch, and what is known of it; the paper's score."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from naswot_lightning.columns import Column
from naswot_lightning.naswot import ActivationKernel, NoRectifierError, Precision, Units, activation_kernel
from naswot_lightning.naswot.isolation import all_modules, isolated, unwrapped
from naswot_lightning.naswot.naswot import in_channels_last
from naswot_lightning.scores import gradients
from naswot_lightning.spaces import Complexity
from naswot_lightning.spaces.base import MacCounter, count_macs, count_params, expect_countable

# Sources and costs that several scores share.
PAPER = "Mellor et al. 2021"
ABDELFATTAH = "Abdelfattah et al. 2021"
AZ_NAS = "Lee & Ham 2024"
FORWARD = "one forward pass"
ONE_PASS = "one forward and backward pass"
TWO_IMAGES = "one forward pass of two images"

# Observes the forward pass of the kernel for another score; made of the network and the number of images.
Observer = TypeVar("Observer", bound=AbstractContextManager[Any])
ObserverType = Callable[[nn.Module, int], AbstractContextManager[Any]]


def macs_of_pass(network: nn.Module, images: int) -> MacCounter:
    """Return what counts the multiply-accumulates of the kernel's forward pass, an observer of it."""
    return MacCounter()


@dataclass(frozen=True)
class Probe:
    """The one mini-batch on which every candidate is scored."""

    images: Tensor
    """(N, 3, H, W) float32, normalised, in channels_last memory."""
    labels: Tensor
    num_classes: int
    image_size: int
    """side of the data set's images, whatever the probe was resized to."""
    fingerprint: str
    """of the images' bytes: equal fingerprints, equal mini-batches."""
    augmented: Tensor | None = None
    """the same images flipped and cropped at random as for training; None where there is no such treatment."""

    def to(self, device: torch.device) -> Probe:
        """Return it with its tensors on a device."""
        moved = None if self.augmented is None else self.augmented.to(device)
        return replace(self, images=self.images.to(device), labels=self.labels.to(device), augmented=moved)


class Measured:
    """One network on one mini-batch: what scores need of it, each computed once for all that ask, when asked.

    The network, on the device of the probe, is left as it was found; its size is counted where it is not known.
    Precision and units are those of the kernel's forward pass, which ``observers`` (:attr:`Score.observers`) look at;
    one that is left out costs a pass of its own when asked for.
    """

    def __init__(
        self,
        network: nn.Module,
        probe: Probe,
        size: Complexity | None = None,
        precision: Precision = "32",
        observers: Iterable[ObserverType] = (),
        units: Units = "rectifiers",
    ) -> None:
        self.network: nn.Module = unwrapped(network)
        # A lazy network draws its weights in its first forward pass.
        if any(issubclass(kind, LazyModuleMixin) for kind in set(map(type, all_modules(self.network)))):
            with isolated(self.network, probe.images.device), torch.no_grad():
                self.network(probe.images[:2].clone())
        self.probe, self._size = probe, size
        self.precision: Precision = precision
        self.units: Units = units
        self._observers = dict.fromkeys(observers)
        self._observed: dict[ObserverType, AbstractContextManager[Any]] = {}

    @cached_property
    def kernel(self) -> ActivationKernel:
        """K_H (Eq. 1); :class:`NoRectifierError` where the network has no unit that counts."""
        network, images = self.network, self.probe.images
        new = {kind: kind(network, len(images)) for kind in self._observers if kind not in self._observed}
        try:
            kernel = activation_kernel(
                network, images, precision=self.precision, observers=list(new.values()), units=self.units
            )
        except NoRectifierError:
            # They have seen the whole pass all the same.
            self._observed.update(new)
            raise
        self._observed.update(new)
        return kernel

    def observed(self, kind: Callable[[nn.Module, int], Observer]) -> Observer:
        """Return what has observed the forward pass of the kernel, in a network without rectifiers, too."""
        if kind not in self._observed:
            self._observers[kind] = None
            self.__dict__.pop("kernel", None)
            with suppress(NoRectifierError):
                self.kernel  # noqa: B018 - for its pass
        return self._observed[kind]  # type: ignore[return-value]

    @cached_property
    def n_units(self) -> int | None:
        """N_A, units that count per image at the probe's size; None where the network has none."""
        try:
            if "kernel" in self.__dict__:
                return self.kernel.n_units
            # Two images suffice to count.
            images = self.probe.images[:2]
            return activation_kernel(self.network, images, precision=self.precision, units=self.units).n_units
        except NoRectifierError:
            return None

    @property
    def blind_spot(self) -> str | None:
        """What to know of the units behind the scores; None where there is nothing, or no kernel was computed."""
        kernel = self.__dict__.get("kernel")
        if kernel is not None and self.units == "auto" and kernel.counted == "all":
            return f"it has no rectifier: the codes are of its {kernel.n_units:,} smooth units"
        return None if kernel is None else kernel.blind_spot

    @cached_property
    def loss_gradients(self) -> gradients.LossGradients:
        """Gradients of the cross-entropy of the probe's labels, by the weights and outputs of its layers."""
        return gradients.loss_gradients(self.network, self.probe.images, self.probe.labels, self.probe.num_classes)

    @cached_property
    def convolutions(self) -> gradients.Convolutions:
        """The convolutions, as a forward pass of two images of the probe calls them."""
        return gradients.list_convolutions(self.network, self.probe.images[:2])

    @cached_property
    def params(self) -> int:
        """Trainable parameters."""
        return count_params(self.network) if self._size is None else self._size.params

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers for one image of the data set's size."""
        if self._size is not None:
            return self._size.macs
        shape, side = self.probe.images.shape[1:], self.probe.image_size
        # A probe is resized to squares alone.
        sides = (side, side) if len(shape) == 3 and shape[1] == shape[2] else shape[1:]
        counter = self._observed.get(macs_of_pass)
        if isinstance(counter, MacCounter) and shape[1:] == sides:
            expect_countable(self.network)
            return counter.macs // len(self.probe.images)
        # Two images: of one, BatchNorm refuses to take the statistics where feature maps are 1 x 1. Real ones: on the
        # meta device the count takes ten times as long (137 ms instead of 15 for NAS-Bench-201 on one core).
        images = self.probe.images.new_zeros(2, shape[0], *sides)
        with isolated(self.network, images.device):
            return in_channels_last(lambda batch: count_macs(self.network, batch), self.network, images)


ScoreFunction = Callable[[Measured], float]


@dataclass(frozen=True)
class Score:
    """A score and what is known of it."""

    name: str
    """in options and files."""
    function: ScoreFunction
    """of a measured network; -inf where the network is degenerate, nan where it failed."""
    source: str
    """where it is defined."""
    cost: str
    """what it runs the network for."""
    higher_is_better: bool = True
    exact_sums: bool = True
    """computed by one thread, since sums depend on how many threads share them."""
    observers: tuple[ObserverType, ...] = ()
    """of the forward pass of the kernel."""
    needs_labels: bool = False
    """the loss of the probe's labels enters it."""

    def threads(self) -> AbstractContextManager[None]:
        """Return a block in which its function is called."""
        return gradients.one_thread() if self.exact_sums else nullcontext()

    @property
    def column(self) -> Column:
        """How its values are shown."""
        return Column(self.name, self.name.rpartition(".")[2], higher_is_better=self.higher_is_better)


# All scores whose file is loaded; naswot_lightning.scores.registry loads those of this package.
REGISTERED: dict[str, Score] = {}


def score(name: str, *, source: str, cost: str, **known: Any) -> Callable[[ScoreFunction], ScoreFunction]:
    """Register a function as the score of a name that no other function has; arguments as :class:`Score` has them."""

    def register(function: ScoreFunction) -> ScoreFunction:
        other = REGISTERED[name].function if name in REGISTERED else function
        if (other.__module__, other.__qualname__) != (function.__module__, function.__qualname__):
            raise ValueError(f"score {name!r} is {other.__module__}.{other.__qualname__} already")
        REGISTERED[name] = Score(name, function, source, cost, **known)
        return function

    return register


@score("naswot", source=f"{PAPER}, Eq. 2", cost=FORWARD, exact_sums=False)
def naswot(measured: Measured) -> float:
    """Return log|K_H| (Eq. 2), or raise :class:`NoRectifierError`."""
    # Codes are bits and their distances integers, exact by any number of threads.
    return measured.kernel.logdet()
