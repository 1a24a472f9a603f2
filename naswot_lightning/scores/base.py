"""What a score is: a function of a network on one mini-batch, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from naswot_lightning.columns import Column
from naswot_lightning.data.probe import Probe
from naswot_lightning.score import ActivationKernel, NoRectifierError, Precision, activation_kernel
from naswot_lightning.score.isolation import all_modules, isolated, unwrapped
from naswot_lightning.score.memory_format import in_channels_last
from naswot_lightning.scores.convolutions import Convolutions, list_convolutions
from naswot_lightning.scores.gradients import one_thread
from naswot_lightning.scores.loss import LossGradients, loss_gradients
from spaces import Complexity
from spaces.complexity import count_macs, count_params

# Sources and costs that several scores share.
PAPER = "Mellor et al. 2021"
ABDELFATTAH = "Abdelfattah et al. 2021"
AZ_NAS = "Lee & Ham 2024"
FORWARD = "one forward pass"
ONE_PASS = "one forward and backward pass"
TWO_IMAGES = "one forward pass of two images"

# What watches the forward pass of the kernel for another score: made of the network and the number of images, entered
# around the pass (twice where that has to begin anew), read afterwards.
Watcher = TypeVar("Watcher", bound=AbstractContextManager[Any])
Watch = Callable[[nn.Module, int], AbstractContextManager[Any]]


class Measured:
    """One network on one mini-batch: what scores need of it, each computed once for all that ask, when asked.

    Args:
        network: untrained, on the device of the probe; it is left as it was found.
        probe: the mini-batch.
        size: parameters and multiply-accumulates, where they are known; else they are counted.
        precision: of the forward pass of the kernel.
        watches: what the scores that will be asked for watch that pass with (:attr:`Proxy.watches`). What is left out
            costs a pass of its own when it is asked for.
    """

    def __init__(
        self,
        network: nn.Module,
        probe: Probe,
        size: Complexity | None = None,
        precision: Precision = "32",
        watches: Iterable[Watch] = (),
    ) -> None:
        self.network: nn.Module = unwrapped(network)
        if any(isinstance(module, LazyModuleMixin) for module in all_modules(self.network)):
            with isolated(self.network, probe.images.device), torch.no_grad():
                self.network(probe.images[:2].clone())  # which draws its weights
        self.probe = probe
        self.precision: Precision = precision
        self._size = size
        self._watches = dict.fromkeys(watches)
        self._watched: dict[Watch, AbstractContextManager[Any]] = {}

    @cached_property
    def kernel(self) -> ActivationKernel:
        """K_H (Eq. 1).

        Raises:
            NoRectifierError: the network has no rectified linear unit.
        """
        watchers = {
            watch: watch(self.network, len(self.probe.images)) for watch in self._watches if watch not in self._watched
        }
        run = partial(activation_kernel, self.network, self.probe.images, precision=self.precision)
        try:
            kernel = run(observers=list(watchers.values()))
        except NoRectifierError:
            self._watched.update(watchers)  # they have seen the pass all the same
            raise
        self._watched.update(watchers)
        return kernel

    def watched(self, watch: Callable[[nn.Module, int], Watcher]) -> Watcher:
        """Return what has watched the forward pass of the kernel, in a network without rectifiers, too."""
        if watch not in self._watched:
            self._watches[watch] = None
            self.__dict__.pop("kernel", None)
            with suppress(NoRectifierError):
                self.kernel  # noqa: B018 - for its pass
        return self._watched[watch]  # type: ignore[return-value]

    @cached_property
    def n_units(self) -> int | None:
        """N_A, rectified units per image at the probe's size; None where the network has none."""
        try:
            if "kernel" in self.__dict__:
                return self.kernel.n_units
            two = self.probe.images[:2]  # suffice to count
            return activation_kernel(self.network, two, precision=self.precision).n_units
        except NoRectifierError:
            return None

    @property
    def blind_spot(self) -> str | None:
        """What the kernel says where most of the network's activations are smooth; None where it was not computed."""
        return self.kernel.blind_spot if "kernel" in self.__dict__ else None

    @cached_property
    def loss_gradients(self) -> LossGradients:
        """Gradients of the cross-entropy of the probe's labels, by the weights and outputs of its layers."""
        return loss_gradients(self.network, self.probe.images, self.probe.labels, self.probe.num_classes)

    @cached_property
    def convolutions(self) -> Convolutions:
        """The convolutions, as a forward pass of two images of the probe calls them."""
        return list_convolutions(self.network, self.probe.images[:2])

    @cached_property
    def params(self) -> int:
        """Trainable parameters."""
        return count_params(self.network) if self._size is None else self._size.params

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers for one image of the data set's size."""
        if self._size is not None:
            return self._size.macs
        channels, side = self.probe.images.shape[1], self.probe.image_size
        # Two images: of one, BatchNorm refuses to take the statistics where feature maps are 1 x 1. Real ones: on the
        # meta device the count takes ten times as long (137 ms instead of 15 for NAS-Bench-201 on one core).
        images = self.probe.images.new_zeros(2, channels, side, side)
        with isolated(self.network, images.device):
            return in_channels_last(lambda batch: count_macs(self.network, batch), self.network, images)


Score = Callable[[Measured], float]


@dataclass(frozen=True)
class Proxy:
    """A score and what is known of it.

    Attributes:
        name: in options and files.
        function: of a measured network; -inf where the network is degenerate, nan where it failed.
        source: where it is defined.
        cost: what it runs the network for.
        higher_is_better: its direction.
        exact_sums: computed by one thread, since sums depend on how many threads share them.
        watches: what it watches the forward pass of the kernel with.
    """

    name: str
    function: Score
    source: str
    cost: str
    higher_is_better: bool = True
    exact_sums: bool = True
    watches: tuple[Watch, ...] = ()

    def __call__(self, measured: Measured) -> float:
        """Return the score of a network."""
        with one_thread() if self.exact_sums else nullcontext():
            return self.function(measured)

    @property
    def column(self) -> Column:
        """How its values are shown."""
        return Column(self.name, self.name, higher_is_better=self.higher_is_better)


PROXIES: dict[str, Proxy] = {}


def proxy(
    name: str,
    *,
    source: str,
    cost: str,
    higher_is_better: bool = True,
    exact_sums: bool = True,
    watches: tuple[Watch, ...] = (),
) -> Callable[[Score], Score]:
    """Register a function as the score of that name; arguments as :class:`Proxy` describes them.

    Raises:
        ValueError: another function has the name.
    """

    def register(function: Score) -> Score:
        known = PROXIES.get(name)
        if known is not None and known.function.__qualname__ != function.__qualname__:
            raise ValueError(f"score {name!r} is {known.function.__module__}.{known.function.__qualname__} already")
        PROXIES[name] = Proxy(name, function, source, cost, higher_is_better, exact_sums, watches)
        return function

    return register
