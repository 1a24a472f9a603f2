"""The published procedure, written plainly: what every speed-up of ``make bench`` is measured against.

Mellor et al.'s code scores a network in three steps: a forward and a backward pass that mark the modules whose
class name holds "ReLU" and that are connected to the output; a second forward pass in which each marked module
adds two float matrix products to the kernel; numpy's log-determinant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def two_products(pre_activations: Tensor) -> Tensor:
    """Return K of one layer, (N, U) to (N, N): z z^T + (1 - z)(1 - z)^T in float32."""
    codes = (pre_activations > 0).float()
    return codes @ codes.t() + (1.0 - codes) @ (1.0 - codes.t())


def published_score(network: nn.Module, images: Tensor) -> float:
    """Return the score of the published code for one network in train mode."""
    kernel = np.zeros((len(images), len(images)))
    marked: set[nn.Module] = set()

    def mark(module: nn.Module, grad_input: Any, grad_output: Any) -> None:
        marked.add(module)

    def count(module: nn.Module, inputs: Any) -> None:
        if module in marked:
            kernel[:] += two_products(inputs[0].detach().flatten(1)).cpu().numpy()

    hooks: list[Any] = []
    for module in network.modules():
        if "ReLU" in str(type(module)):
            hooks += [module.register_backward_hook(mark), module.register_forward_pre_hook(count)]
    images = images.detach().clone().requires_grad_(True)
    output = network(images)
    output.backward(torch.ones_like(output))
    kernel[:] = 0
    network(images.detach().clone())
    for hook in hooks:
        hook.remove()
    return float(np.linalg.slogdet(kernel)[1])
