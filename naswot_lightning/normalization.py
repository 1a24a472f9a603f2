"""BatchNorm of the scoring forward pass, by the statistics of the mini-batch, on a CPU.

torch reads the values three times; this reads them twice. Sums run image by image, whatever the number of threads, and
are exact beyond the values' own type: in float64 for float32, in float32 columns for bfloat16. The affine map is
float32, as torch's; bfloat16, the upper half of float32, is rounded once, to the nearest, ties to even.
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
# What numba sees of a type, and an array of the type in which a column of an image is summed.
_TYPES = {
    torch.float32: (torch.float32, np.zeros(1, np.float64)),
    torch.bfloat16: (torch.uint16, np.zeros(1, np.float32)),
}


def normalized_by_batch(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Return what ``torch.nn.functional.batch_norm`` returns for these arguments, or None where it must be asked.

    Done here: float32 and bfloat16 in channels_last memory on the CPU, normalised by the mini-batch, no statistics to
    update, with weight and bias. Values agree with torch's to rounding; torch's sums depend on the number of threads.
    """
    images = args[0] if args else kwargs["input"]
    given = {**dict(zip(_NAMES, args[1:], strict=False)), **kwargs}
    weight, bias = given.get("weight"), given.get("bias")
    by_batch = given.get("training") and given.get("running_mean") is None
    if not by_batch or weight is None or bias is None or not _is_dense(images):
        return None
    output = torch.empty_like(images)
    stored, columns = _TYPES[images.dtype]
    rows, results = (
        t.permute(0, 2, 3, 1).flatten(2).detach().view(stored).numpy() for t in (images, output)
    )  # (N, H, W * C)
    scale, shift = (t.detach().float().numpy() for t in (weight, bias))
    _normalize(rows, results, scale, shift, np.float64(given.get("eps", 1e-5)), columns)
    return output


def _is_dense(images: Tensor) -> bool:
    return (
        images.device.type == "cpu"
        and images.dtype in _TYPES
        and images.dim() == 4
        and images.is_contiguous(memory_format=torch.channels_last)
        and not (torch.is_grad_enabled() and images.requires_grad)
    )


@intrinsic
def _widened(typingctx, value):  # type: ignore[no-untyped-def]
    """The float32 whose upper half is the 16 bits of a bfloat16; a float32 as it is."""

    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        if signature.args[0] == types.float32:
            return arguments[0]
        word = builder.shl(builder.zext(arguments[0], ir.IntType(32)), ir.IntType(32)(16))
        return builder.bitcast(word, ir.FloatType())

    return types.float32(value), codegen


@intrinsic
def _narrowed(typingctx, value, like):  # type: ignore[no-untyped-def]
    """The bits of the bfloat16 nearest to a float32, ties to even, NaN stays NaN; or itself, as ``like`` is stored."""

    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        if signature.return_type == types.float32:
            return arguments[0]
        int32 = ir.IntType(32)
        word = builder.bitcast(arguments[0], int32)
        odd = builder.and_(builder.lshr(word, int32(16)), int32(1))
        rounded = builder.lshr(builder.add(builder.add(word, int32(0x7FFF)), odd), int32(16))
        is_nan = builder.fcmp_unordered("uno", arguments[0], arguments[0])
        return builder.trunc(builder.select(is_nan, int32(0x7FC0), rounded), ir.IntType(16))

    return like(types.float32, like), codegen


@njit(parallel=True, nogil=True, cache=True)
def _normalize(rows, results, weight, bias, eps, columns):  # type: ignore[no-untyped-def]
    images, height, width = rows.shape
    channels = weight.shape[0]
    sums = np.zeros((2, images, channels), np.float64)
    for i in prange(images):
        _sum_image(rows[i], sums[0, i], sums[1, i], columns.dtype)
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
                result[k] = _narrowed(_widened(row[k]) * scale[k] + shift[k], row[k])


@njit(nogil=True, cache=True)
def _sum_image(image, total, squares, dtype):  # type: ignore[no-untyped-def]
    """Add up the values of (H, W * C) and their squares by channel; the columns first, which is vector code."""
    height, width = image.shape
    first, second = np.zeros(width, dtype), np.zeros(width, dtype)
    number = dtype.type
    fours = height // 4 * 4
    for y in range(0, fours, 4):  # four rows at once: a quarter of the loads and stores of the sums
        row0, row1, row2, row3 = image[y], image[y + 1], image[y + 2], image[y + 3]
        for k in range(width):
            a, b = number(_widened(row0[k])), number(_widened(row1[k]))
            c, d = number(_widened(row2[k])), number(_widened(row3[k]))
            first[k] += (a + b) + (c + d)
            second[k] += (a * a + b * b) + (c * c + d * d)
    for y in range(fours, height):
        row = image[y]
        for k in range(width):
            value = number(_widened(row[k]))
            first[k] += value
            second[k] += value * value
    channels = total.shape[0]
    for start in range(0, width, channels):
        for c in range(channels):
            total[c] += first[start + c]
            squares[c] += second[start + c]
