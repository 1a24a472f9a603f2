"""What the published code counts: modules named "ReLU" that are connected to the output, and nothing else."""

from __future__ import annotations

from contextlib import nullcontext
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
        handles = [module.register_forward_pre_hook(lambda _, inputs: codes.add(inputs[0])) for module in counted]
        try:
            network(images)
        finally:
            for handle in handles:
                handle.remove()
    return codes.kernel()


def _connected_relu_modules(network: nn.Module, images: Tensor) -> set[nn.Module]:
    outputs: list[tuple[nn.Module, Any]] = []

    def remember(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.extend((module, tensor.grad_fn) for tensor in tensors_of(output))

    # Their class names may be those of wrappers, too, which the published code counts once more.
    handles = [m.register_forward_hook(remember) for m in network.modules() if "ReLU" in str(type(m))]
    try:
        with torch.enable_grad():
            result = network(images.detach().clone().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    # Back from the output through the graph of autograd, without recursion: networks are deep.
    reached: set[Any] = set()
    waiting = [tensor.grad_fn for tensor in tensors_of(result)]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in reached:
            reached.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return {module for module, node in outputs if node in reached}
