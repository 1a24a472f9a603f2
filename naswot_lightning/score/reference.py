"""What the published code counts: modules named "ReLU" that are connected to the output, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from naswot_lightning.logits import tensors_of
from naswot_lightning.score.compiled.codes import CodeDistances
from naswot_lightning.score.kernel import ActivationKernel
from naswot_lightning.score.recorder import BatchStatistics


def reference_kernel(network: nn.Module, images: Tensor, by_batch: bool) -> ActivationKernel:
    """Return K_H over the modules that the published code marks: named "ReLU", with a gradient path to the output.

    The published code marks them by a backward pass; following the graph of the forward pass finds the same. It takes
    the first dimension for that of the images, or of several rows per image, those of an image together.
    """
    codes = CodeDistances(len(images))
    with BatchStatistics() if by_batch else nullcontext():
        counted = _connected_relu_modules(network, images)
        with _hooks(counted, before=lambda _, inputs: codes.add(inputs[0])):
            network(images)
    return codes.kernel()


def _connected_relu_modules(network: nn.Module, images: Tensor) -> set[nn.Module]:
    outputs: list[tuple[nn.Module, Any]] = []

    def remember(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.extend((module, tensor.grad_fn) for tensor in tensors_of(output))

    named = {module for module in network.modules() if "ReLU" in str(type(module))}
    with torch.enable_grad(), _hooks(named, after=remember):
        result = network(images.detach().clone().requires_grad_())
    reachable = _ancestors([tensor.grad_fn for tensor in tensors_of(result)])
    return {module for module, node in outputs if node in reachable}


@contextmanager
def _hooks(
    modules: Iterable[nn.Module],
    before: Callable[..., None] | None = None,
    after: Callable[..., None] | None = None,
) -> Iterator[None]:
    handles = [module.register_forward_pre_hook(before) for module in modules if before]
    handles += [module.register_forward_hook(after) for module in modules if after]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _ancestors(roots: list[Any]) -> set[Any]:
    found: set[Any] = set()
    stack = [root for root in roots if root is not None]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += [parent for parent, _ in node.next_functions if parent is not None]
    return found
