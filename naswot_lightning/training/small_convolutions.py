"""A way around a fault of torch on the CPU, which ended trainings with a segmentation fault."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ENOUGH_CHANNELS = 16  # from here on the backward pass was never seen to fail


def spare_small_convolutions(network: nn.Module) -> None:
    """Let 1x1 convolutions with a stride and few input channels run in contiguous memory on the CPU.

    In channels_last memory, with several threads and an odd number of images, their backward pass writes beyond its
    memory (torch 2.14.1; 3 to 15 channels crashed, 16 to 64 did not). The result is the same, but for rounding.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _is_small(module):
            # With the strides of the format: of a 1x1 kernel contiguous() sees none to change.
            module.weight.data = module.weight.data.clone(memory_format=torch.contiguous_format)
            module.register_forward_pre_hook(_in_contiguous_memory)


def _is_small(module: nn.Conv2d) -> bool:
    strided = any(step > 1 for step in module.stride)
    return strided and module.kernel_size == (1, 1) and module.in_channels < _ENOUGH_CHANNELS


def _in_contiguous_memory(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    return (inputs[0].contiguous(), *inputs[1:]) if inputs[0].device.type == "cpu" else None
