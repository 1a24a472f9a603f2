"""BatchNorm of the bfloat16 scoring forward pass, by the statistics of the mini-batch, on a CPU.

torch reads the values three times; this reads them twice. bfloat16 is the upper half of float32: values are widened,
the arithmetic is float32, and the result is rounded once, to the nearest, ties to even. The float32 forward pass keeps
torch's own BatchNorm, whose sums have an order that another loop cannot repeat to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic
from torch import Tensor

_NAMES = ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


def normalized_bfloat16(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Return what ``torch.nn.functional.batch_norm`` returns for these arguments, or None where it must be asked.

    Done here: bfloat16 in channels_last memory on the CPU, normalised by the mini-batch, no statistics to update, with
    weight and bias. Values agree with torch's within one unit in the last of bfloat16's 8 bits.
    """
    images = args[0] if args else kwargs["input"]
    given = {**dict(zip(_NAMES, args[1:], strict=False)), **kwargs}
    weight, bias = given.get("weight"), given.get("bias")
    by_batch = given.get("training") and given.get("running_mean") is None
    if not by_batch or weight is None or bias is None or not _is_dense_bfloat16(images):
        return None
    output = torch.empty_like(images)
    rows, results = (
        t.permute(0, 2, 3, 1).flatten(2).detach().view(torch.uint16).numpy() for t in (images, output)
    )  # (N, H, W * C)
    scale, shift = (t.detach().float().numpy() for t in (weight, bias))
    _normalize(rows, results, scale, shift, np.float64(given.get("eps", 1e-5)))
    return output


def _is_dense_bfloat16(images: Tensor) -> bool:
    return (
        images.device.type == "cpu"
        and images.dtype == torch.bfloat16
        and images.dim() == 4
        and images.is_contiguous(memory_format=torch.channels_last)
        and not (torch.is_grad_enabled() and images.requires_grad)
    )


@intrinsic
def _widened(typingctx, bits):  # type: ignore[no-untyped-def]
    """The float32 whose upper half is the 16 bits of a bfloat16."""

    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        word = builder.shl(builder.zext(arguments[0], ir.IntType(32)), ir.IntType(32)(16))
        return builder.bitcast(word, ir.FloatType())

    return types.float32(types.uint16), codegen


@intrinsic
def _narrowed(typingctx, value):  # type: ignore[no-untyped-def]
    """The bits of the bfloat16 nearest to a float32, ties to even; NaN stays NaN."""

    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        int32 = ir.IntType(32)
        word = builder.bitcast(arguments[0], int32)
        odd = builder.and_(builder.lshr(word, int32(16)), int32(1))
        rounded = builder.lshr(builder.add(builder.add(word, int32(0x7FFF)), odd), int32(16))
        is_nan = builder.fcmp_unordered("uno", arguments[0], arguments[0])
        return builder.trunc(builder.select(is_nan, int32(0x7FC0), rounded), ir.IntType(16))

    return types.uint16(types.float32), codegen


@njit(parallel=True, nogil=True, cache=True)
def _normalize(rows, results, weight, bias, eps):  # type: ignore[no-untyped-def]
    images, height, width = rows.shape
    channels = weight.shape[0]
    sums = np.zeros((2, images, channels), np.float64)
    for i in prange(images):
        _sum_image(rows[i], sums[0, i], sums[1, i])
    total = np.zeros((2, channels), np.float64)
    for i in range(images):  # in the order of memory: channel by channel it took longer than all else together
        for c in range(channels):
            total[0, c] += sums[0, i, c]
            total[1, c] += sums[1, i, c]
    count = images * height * (width // channels)
    scale, shift = np.empty(width, np.float32), np.empty(width, np.float32)
    for c in range(channels):
        mean = total[0, c] / count
        variance = max(total[1, c] / count - mean * mean, 0.0)
        factor = weight[c] / np.sqrt(variance + eps)
        for k in range(c, width, channels):
            scale[k], shift[k] = factor, bias[c] - mean * factor
    for i in prange(images):
        for y in range(height):
            row, result = rows[i, y], results[i, y]
            for k in range(width):
                result[k] = _narrowed(_widened(row[k]) * scale[k] + shift[k])


@njit(nogil=True, cache=True)
def _sum_image(image, total, squares):  # type: ignore[no-untyped-def]
    """Add up the values of (H, W * C) and their squares by channel; the columns first, which is vector code."""
    height, width = image.shape
    first, second = np.zeros(width, np.float32), np.zeros(width, np.float32)
    fours = height // 4 * 4
    for y in range(0, fours, 4):  # four rows at once: a quarter of the loads and stores of the sums
        row0, row1, row2, row3 = image[y], image[y + 1], image[y + 2], image[y + 3]
        for k in range(width):
            a, b, c, d = _widened(row0[k]), _widened(row1[k]), _widened(row2[k]), _widened(row3[k])
            first[k] += (a + b) + (c + d)
            second[k] += (a * a + b * b) + (c * c + d * d)
    for y in range(fours, height):
        row = image[y]
        for k in range(width):
            value = _widened(row[k])
            first[k] += value
            second[k] += value * value
    channels = total.shape[0]
    for start in range(0, width, channels):
        for c in range(channels):
            total[c] += first[start + c]
            squares[c] += second[start + c]
