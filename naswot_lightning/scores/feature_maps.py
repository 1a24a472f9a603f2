"""The feature maps of a network: which of its modules' outputs they are, and what looks at them as they are made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

_MOST_IN_A_BLOCK = 3  # convolutions of a Sequential of layers that is one block; one of more is a chain of layers


def feature_modules(network: nn.Module) -> list[nn.Module]:
    """Return the modules whose outputs are the feature maps of a network: stem and every cell or block.

    A network says so itself by a method ``feature_modules()``. Of any other they are its children, less single layers
    that are no convolutions. A ModuleList, and a Sequential of blocks, stands for what it holds; a Sequential of single
    layers (convolution, BatchNorm, rectifier) is a block, unless it holds more than three convolutions, or is the
    network. A module around a single other, a wrapper, stands for that.
    """
    own = getattr(network, "feature_modules", None)
    if callable(own):
        return list(own())
    children = list(network.children())
    if len(children) == 1 and list(children[0].children()):
        return feature_modules(children[0])
    return _blocks(children) if children else [network]


def _blocks(modules: Sequence[nn.Module]) -> list[nn.Module]:
    found: list[nn.Module] = []
    for module in modules:
        inner = list(module.children())
        single_layers = not any(list(layer.children()) for layer in inner)
        is_block = single_layers and sum(isinstance(layer, _ConvNd) for layer in inner) <= _MOST_IN_A_BLOCK
        if isinstance(module, nn.ModuleList) or (isinstance(module, nn.Sequential) and not is_block):
            found += _blocks(inner)
        elif inner or isinstance(module, _ConvNd):
            found.append(module)
    return found


@contextmanager
def each_output(modules: Sequence[nn.Module], look: Callable[[Tensor], None]) -> Iterator[None]:
    """Within the block, ``look`` is called with every output (N, C, H, W) of the modules when it is made.

    Of a tuple, the first tensor counts. What has another number of dimensions is no feature map. No mode that watches
    the network, for its rectifiers, say, sees what ``look`` does.
    """

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        while isinstance(output, list | tuple) and output:
            output = output[0]
        if isinstance(output, Tensor) and output.dim() == 4:
            with torch._C.DisableTorchFunction():
                look(output)

    hooks = [module.register_forward_hook(hook) for module in dict.fromkeys(modules)]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


Self = TypeVar("Self", bound="OutputObserver")


class OutputObserver(AbstractContextManager["OutputObserver"]):
    """While entered, keeps a number for each output (N, C, H, W) of some modules, in the order of the forward pass."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.values: list[float] = []
        self._modules = modules
        self._stack = ExitStack()

    def __enter__(self: Self) -> Self:
        self.values = []
        self._stack.enter_context(each_output(self._modules, lambda output: self.values.append(self.value_of(output))))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @abstractmethod
    def value_of(self, output: Tensor) -> float:
        """Return the number of an output."""
