"""BatchNorm and average pooling of the scoring forward pass, several times sooner than torch's on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import carray, prange, types
from numba.extending import intrinsic
from torch import Tensor

from naswot_lightning.score.compiled.codes import is_channels_last
from naswot_lightning.score.compiled.jit import compiled, pointer

# What numba sees of a type.
_FLOAT32, _BFLOAT16 = np.float32(0), np.uint16(0)
_STORED = {torch.float32: _FLOAT32, torch.bfloat16: _BFLOAT16}
_TOGETHER = 4  # images of one sum: one alone spends half its time on the sum's own memory where maps are 4x4


# BatchNorm by the statistics of the mini-batch. torch reads the values three times; this reads them twice. Sums run
# over four images each, whatever the number of threads: float32 within their columns, float64 from there on, both of
# the values less one of them, so that no digits are lost where a channel's mean is many of its deviations. The affine
# map is float32, as torch's; bfloat16, the upper half of float32, is rounded once, to the nearest, ties to even.


def normalized_by_batch(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
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


@compiled(parallel=True)
def _normalize(source, target, images, height, width, channels, weight, bias, eps, like):  # type: ignore[no-untyped-def]
    """Normalise values of the type of ``like``; they, the results, weight and bias are given by their addresses."""
    shape = (images, height, width * channels)
    rows, results = carray(pointer(source, like), shape), carray(pointer(target, like), shape)
    sums = np.zeros((2, (images + _TOGETHER - 1) // _TOGETHER, channels), np.float64)
    for block in prange(sums.shape[1]):
        together = rows[block * _TOGETHER : (block + 1) * _TOGETHER]
        _sum_images(together, rows[0, 0], sums[0, block], sums[1, block])
    scale, shift = np.empty(width * channels, np.float32), np.empty(width * channels, np.float32)
    weights = carray(pointer(weight, np.float32(0)), channels)
    biases = carray(pointer(bias, np.float32(0)), channels)
    _write_affine(sums, rows[0, 0], images * height * width, weights, biases, eps, scale, shift)
    for i in prange(images):
        for y in range(height):
            row, result = rows[i, y], results[i, y]
            for k in range(width * channels):
                result[k] = _narrowed(_widened(row[k]) * scale[k] + shift[k], row[k])


@compiled()
def _sum_images(images, pivots, total, squares):  # type: ignore[no-untyped-def]
    """Add the values of some (H, W * C) images less their pivots, and the squares of that, to the sums by channel.

    The first C values of ``pivots`` are those of the channels. Columns first, which is vector code.
    """
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
    for y in range(0, fours, 4):  # four rows at once: a quarter of the loads and stores of the sums
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
    for block in range(blocks):  # in the order of memory: channel by channel it took longer than all else together
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


# Average pooling: torch's own numbers, to the last bit. A 3x3 average pooling of NAS-Bench-201 takes torch as long as
# a 3x3 convolution (2.9 ms against 3.5 ms for 128 x 16 x 32 x 32 values on two cores), since its loop runs over the 16
# channels of one pixel. Here it runs over the pixels and channels of one image row, and adds in the same order.


def average_pooled(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor | None:
    """Return what ``torch.nn.functional.avg_pool2d`` returns for these arguments, or None where it must be asked.

    Done here: 3x3, stride 1, padding 1, padding not counted, on the CPU in channels_last float32 or bfloat16 (which is
    pooled in float32).
    """
    if count_include_pad or divisor_override is not None:
        return None
    if (_side(kernel_size), _side(stride), _side(padding)) != (3, 1, 1):
        return None
    kernel = _KERNELS.get(input.dtype)
    if kernel is None or not is_channels_last(input) or input.shape[3] == 1:
        return None
    output = torch.empty_like(input)
    images, channels, height, width = input.shape
    kernel(input.data_ptr(), output.data_ptr(), images, height, width, channels)
    return output


def _side(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return value[0] if len(set(value)) == 1 else value
    return value


@compiled(parallel=True)
def _pool(source, target, images, height, width, channels):  # type: ignore[no-untyped-def]
    shape = (images, height, width * channels)
    rows, pooled = carray(pointer(source, _FLOAT32), shape), carray(pointer(target, _FLOAT32), shape)
    for i in prange(images):
        _pool_image(rows[i], pooled[i], channels)


@compiled(parallel=True)
def _pool_bfloat16(source, target, images, height, width, channels):  # type: ignore[no-untyped-def]
    """Pool bfloat16 bits in float32: they are its upper half; round to the nearest, ties to even."""
    shape = (images, height, width * channels)
    rows, pooled = carray(pointer(source, _BFLOAT16), shape), carray(pointer(target, _BFLOAT16), shape)
    for i in prange(images):
        bits, total = np.empty((height, width * channels), np.uint32), np.empty((height, width * channels), np.uint32)
        for y in range(height):
            wide, narrow = bits[y], rows[i, y]
            for k in range(width * channels):
                wide[k] = np.uint32(narrow[k]) << np.uint32(16)
        _pool_image(bits.view(np.float32), total.view(np.float32), channels)
        for y in range(height):
            wide, narrow = total[y], pooled[i, y]
            for k in range(width * channels):
                odd = (wide[k] >> np.uint32(16)) & np.uint32(1)
                narrow[k] = np.uint16((wide[k] + np.uint32(0x7FFF) + odd) >> np.uint32(16))


_KERNELS = {torch.float32: _pool, torch.bfloat16: _pool_bfloat16}


@compiled()
def _pool_image(image, pooled, channels):  # type: ignore[no-untyped-def]
    height, width = image.shape
    outside = np.zeros(width, np.float32)  # zeros change no sum
    for y in range(height):
        above = image[y - 1] if y > 0 else outside
        below = image[y + 1] if y + 1 < height else outside
        count = np.float32(min(y + 2, height) - max(y - 1, 0))
        _pool_row(pooled[y], above, image[y], below, channels, count)


@compiled()
def _pool_row(result, above, own, below, channels, count):  # type: ignore[no-untyped-def]
    """Write the means of one row: three pixels of each of ``count`` rows, two at the ends.

    All nine values at once: 0.4 ms where adding row by row to the result took 0.7 ms, for the images above.
    """
    # Without signs, so that no index can be negative, which would keep the compiler from vector instructions.
    c, end = np.uintp(channels), np.uintp(result.shape[0])
    three, two, zero = np.float32(3) * count, np.float32(2) * count, np.float32(0)
    for k in range(c):
        total = (zero + above[k]) + above[k + c]
        total = (total + own[k]) + own[k + c]
        result[k] = ((total + below[k]) + below[k + c]) / two
    for k in range(end - c - c):
        total = ((zero + above[k]) + above[k + c]) + above[k + c + c]
        total = ((total + own[k]) + own[k + c]) + own[k + c + c]
        result[k + c] = (((total + below[k]) + below[k + c]) + below[k + c + c]) / three
    for k in range(end - c, end):
        total = (zero + above[k - c]) + above[k]
        total = (total + own[k - c]) + own[k]
        result[k] = ((total + below[k - c]) + below[k]) / two
