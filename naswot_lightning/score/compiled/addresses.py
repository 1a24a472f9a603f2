"""Tensors of the CPU in compiled loops, handed over by their addresses.

A tensor as a numpy array costs 4 us and another 1 us where compiled code takes it, its address 0.2 us; a network of
NAS-Bench-201 asks for 250 of them in one forward pass.
"""

from __future__ import annotations

import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor


@intrinsic
def pointer(typingctx, address, like):  # type: ignore[no-untyped-def]
    """The pointer to values of the type of ``like`` at an address, which ``numba.carray`` takes with a shape."""

    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(types.intp, like), codegen


def is_plain(tensor: Tensor) -> bool:
    """Return whether the values lie at the tensor's address as they are, and nobody records what is done to them."""
    recorded = tensor.requires_grad and torch.is_grad_enabled()
    return type(tensor) is Tensor and tensor.is_cpu and not tensor.is_neg() and not recorded


def is_channels_last(tensor: Tensor) -> bool:
    """Return whether the tensor is plain, (N, C, H, W), not empty and dense in channels_last memory."""
    return (
        is_plain(tensor)
        and tensor.dim() == 4
        and tensor.is_contiguous(memory_format=torch.channels_last)
        and tensor.numel() > 0
    )
