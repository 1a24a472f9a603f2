"""BatchNorm and average pooling of the scoring forward pass, several times sooner than torch's on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import carray, prange, types
from numba.extending import intrinsic
from torch import Tensor

from naswot_lightning.naswot.compiled.codes import is_channels_last
from naswot_lightning.naswot.compiled.jit import compiled, pointer

# What numba sees of a type: bfloat16 as its 16 bits.
_STORED = {torch.float32: np.float32(0), torch.bfloat16: np.uint16(0)}
# Images of one sum: one alone spends half its time on the sum's own memory where maps are 4x4.
_TOGETHER = 4


def normalized_by_batch(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor | None:  # fmt: skip
    """Return what ``torch.nn.functional.batch_norm`` returns for these arguments, or None where it must be asked.

    Done here: float32 and bfloat16 in channels_last memory on the CPU, normalised by the mini-batch, no statistics to
    update, with weight and bias. Values agree with torch's to rounding; torch's sums depend on the number of threads.
    """
    if not training or running_mean is not None or weight is None or bias is None:
        return None
    like = _STORED.get(input.dtype)
    if like is None or not is_channels_last(input):
        return None
    images, channels, height, width = input.shape
    if weight.numel() != channels or bias.numel() != channels:
        return None
    scale, shift = _float32(weight), _float32(bias)
    output = torch.empty_like(input)
    shape, affine = (images, height, width, channels), (scale.data_ptr(), shift.data_ptr())
    _normalize(input.data_ptr(), output.data_ptr(), *shape, *affine, eps, like)
    return output


def _float32(tensor: Tensor) -> Tensor:
    if tensor.dtype is torch.float32 and tensor.is_contiguous():
        return tensor
    return tensor.detach().float().contiguous()


@intrinsic
def _widened(typingctx, value):  # type: ignore[no-untyped-def]
    """Return the float32 whose upper half is the 16 bits of a bfloat16; a float32 as it is."""

    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        if signature.args[0] == types.float32:
            return arguments[0]
        word = builder.shl(builder.zext(arguments[0], ir.IntType(32)), ir.IntType(32)(16))
        return builder.bitcast(word, ir.FloatType())

    return types.float32(value), codegen


@intrinsic
def _narrowed(typingctx, value, like):  # type: ignore[no-untyped-def]
    """Return the bits of the bfloat16 nearest to a float32, ties to even, NaN stays NaN; or itself, as ``like`` is."""

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


# BatchNorm reads the values twice, torch three times. Sums run over four images each, whatever the number of threads:
# float32 within their columns, float64 from there on, of the values less one of them, so that no digits are lost where
# a channel's mean is many of its deviations. The affine map is float32; bfloat16 is rounded once, ties to even.


@compiled(parallel=True)
def _normalize(source, target, images, height, width, channels, weight, bias, eps, like):  # type: ignore[no-untyped-def]
    """Normalise values of the type of ``like``; they, the results, weight and bias are given by their addresses."""
    # channels_last memory: an image is (H, W * C).
    shape = (images, height, width * channels)
    rows, results = carray(pointer(source, like), shape), carray(pointer(target, like), shape)
    sums = np.zeros((2, (images + _TOGETHER - 1) // _TOGETHER, channels), np.float64)
    for block in prange(sums.shape[1]):
        together = rows[block * _TOGETHER : (block + 1) * _TOGETHER]
        _sum_images(together, rows[0, 0], sums[0, block], sums[1, block])
    scale, shift = np.empty(width * channels, np.float32), np.empty(width * channels, np.float32)
    weights = carray(pointer(weight, np.float32(0)), channels)
    biases = carray(pointer(bias, np.float32(0)), channels)
    # y = (x - mean) / sqrt(variance + eps) * weight + bias = x * scale + shift, by column.
    _write_affine(sums, rows[0, 0], images * height * width, weights, biases, eps, scale, shift)
    for i in prange(images):
        for y in range(height):
            row, result = rows[i, y], results[i, y]
            for k in range(width * channels):
                result[k] = _narrowed(_widened(row[k]) * scale[k] + shift[k], row[k])


@compiled()
def _sum_images(images, pivots, total, squares):  # type: ignore[no-untyped-def]
    """Add the values of some (H, W * C) images less their pivots, (C...), and the squares of that, to the sums (C,)."""
    # By column first, which is vector code, then by channel.
    width, channels = images.shape[2], total.shape[0]
    pivot = np.empty(width, np.float32)
    for start in range(0, width, channels):
        for c in range(channels):
            pivot[start + c] = _widened(pivots[c])
    first, second = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for i in range(images.shape[0]):
        _sum_columns(images[i], pivot, first, second)
    for start in range(0, width, channels):
        for c in range(channels):
            total[c] += first[start + c]
            squares[c] += second[start + c]


@compiled()
def _sum_columns(image, pivot, first, second):  # type: ignore[no-untyped-def]
    height, width = image.shape
    fours = height // 4 * 4
    # Four rows at once: a quarter of the loads and stores of the sums.
    for y in range(0, fours, 4):
        row0, row1, row2, row3 = image[y], image[y + 1], image[y + 2], image[y + 3]
        for k in range(width):
            a, b = _widened(row0[k]) - pivot[k], _widened(row1[k]) - pivot[k]
            c, d = _widened(row2[k]) - pivot[k], _widened(row3[k]) - pivot[k]
            first[k] += (a + b) + (c + d)
            second[k] += (a * a + b * b) + (c * c + d * d)
    for y in range(fours, height):
        row = image[y]
        for k in range(width):
            value = _widened(row[k]) - pivot[k]
            first[k] += value
            second[k] += value * value


@compiled()
def _write_affine(sums, pivots, count, weight, bias, eps, scale, shift):  # type: ignore[no-untyped-def]
    """Write the map x * scale + shift of each column; the sums (2, blocks, C) are over ``count`` values a channel."""
    _, blocks, channels = sums.shape
    total = np.zeros((2, channels), np.float64)
    # In the order of memory: channel by channel it took longer than all else together.
    for block in range(blocks):
        for c in range(channels):
            total[0, c] += sums[0, block, c]
            total[1, c] += sums[1, block, c]
    for c in range(channels):
        mean = total[0, c] / count
        variance = max(total[1, c] / count - mean * mean, 0.0)
        factor = weight[c] / np.sqrt(variance + eps)
        offset = bias[c] - (np.float64(_widened(pivots[c])) + mean) * factor
        for k in range(c, scale.shape[0], channels):
            scale[k], shift[k] = factor, offset


def average_pooled(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor | None:  # fmt: skip
    """Return what ``torch.nn.functional.avg_pool2d`` returns for these arguments, or None where it must be asked.

    Done here: 3x3, stride 1, padding 1, padding not counted, on the CPU in channels_last float32 or bfloat16 (which is
    pooled in float32).
    """
    if count_include_pad or divisor_override is not None:
        return None
    if (_side(kernel_size), _side(stride), _side(padding)) != (3, 1, 1):
        return None
    like = _STORED.get(input.dtype)
    if like is None or not is_channels_last(input) or input.shape[3] == 1:
        return None
    output = torch.empty_like(input)
    images, channels, height, width = input.shape
    _pool(input.data_ptr(), output.data_ptr(), images, height, width, channels, like)
    return output


def _side(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return value[0] if len(set(value)) == 1 else value
    return value


# Average pooling has torch's own numbers, to the last bit: torch loops over the 16 channels of a pixel (2.9 ms for
# 128 x 16 x 32 x 32 values on two cores), this over the pixels and channels of an image row, in the same order.


@compiled(parallel=True)
def _pool(source, target, images, height, width, channels, like):  # type: ignore[no-untyped-def]
    shape = (images, height, width * channels)
    rows, pooled = carray(pointer(source, like), shape), carray(pointer(target, like), shape)
    outside = np.zeros(width * channels, rows.dtype)
    for i in prange(images):
        image = rows[i]
        for y in range(height):
            # Zeros, which change no sum, beyond the first and the last row.
            above = image[y - 1] if y > 0 else outside
            below = image[y + 1] if y + 1 < height else outside
            count = np.float32(min(y + 2, height) - max(y - 1, 0))
            _pool_row(pooled[i, y], above, image[y], below, channels, count)


@compiled()
def _pool_row(result, above, own, below, channels, count):  # type: ignore[no-untyped-def]
    """Write the means of one row: three pixels of each of ``count`` rows, two at the ends."""
    # Without signs, so that no index can be negative, which would keep the compiler from vector instructions.
    c, end = np.uintp(channels), np.uintp(result.shape[0])
    three, two, zero = np.float32(3) * count, np.float32(2) * count, np.float32(0)
    # All nine values at once: 0.4 ms where adding row by row to the result took 0.7 ms, for the images above.
    for k in range(c):
        total = (zero + _widened(above[k])) + _widened(above[k + c])
        total = (total + _widened(own[k])) + _widened(own[k + c])
        result[k] = _narrowed(((total + _widened(below[k])) + _widened(below[k + c])) / two, own[k])
    for k in range(end - c - c):
        m, r = k + c, k + c + c
        total = ((zero + _widened(above[k])) + _widened(above[m])) + _widened(above[r])
        total = ((total + _widened(own[k])) + _widened(own[m])) + _widened(own[r])
        total = ((total + _widened(below[k])) + _widened(below[m])) + _widened(below[r])
        result[m] = _narrowed(total / three, own[k])
    for k in range(end - c, end):
        total = (zero + _widened(above[k - c])) + _widened(above[k])
        total = (total + _widened(own[k - c])) + _widened(own[k])
        result[k] = _narrowed(((total + _widened(below[k - c])) + _widened(below[k])) / two, own[k])
