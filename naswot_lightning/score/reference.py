"""What the published code counts: modules named "ReLU" that are connected to the output, and nothing else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from naswot_lightning.logits import tensors_of
from naswot_lightning.score.kernel import CodeDistances


def connected_relu_modules(network: nn.Module, images: Tensor) -> set[nn.Module]:
    """Return the modules that the published code marks: named "ReLU", with a gradient path to the output.

    The published code marks them by a backward pass; following the graph of the forward pass finds the same.
    """
    outputs: list[tuple[nn.Module, Any]] = []

    def remember(module: nn.Module, inputs: Any, output: Any) -> None:
        outputs.extend((module, tensor.grad_fn) for tensor in tensors_of(output))

    hooks = [module.register_forward_hook(remember) for module in _named_relu(network)]
    try:
        with torch.inference_mode(False), torch.enable_grad():
            result = network(images.detach().clone().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    reachable = _ancestors([tensor.grad_fn for tensor in tensors_of(result)])
    return {module for module, node in outputs if node in reachable}


def record_modules(network: nn.Module, images: Tensor, counted: set[nn.Module], codes: CodeDistances) -> None:
    """Run the network and count the input of each of the modules."""

    def count(module: nn.Module, inputs: Any) -> None:
        codes.add(inputs[0])

    hooks = [module.register_forward_pre_hook(count) for module in counted]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()


def _named_relu(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if "ReLU" in str(type(module))]


def _ancestors(roots: list[Any]) -> set[Any]:
    found: set[Any] = set()
    stack = [root for root in roots if root is not None]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += [parent for parent, _ in node.next_functions if parent is not None]
    return found
