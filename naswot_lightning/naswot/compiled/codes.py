"""Binary codes of one layer and the Hamming distances between them (section 3 of the paper).

Bit u of an image's code is 1 where pre-activation u is positive. On the CPU the codes are packed into 64-bit
words and compared by population count, in compiled parallel code; elsewhere one product of the 0/1 matrix of all
layers gives the same integers.
"""

from __future__ import annotations

import threading
from typing import Literal

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import carray, prange, types
from numba.extending import intrinsic
from torch import Tensor

from naswot_lightning.errors import UserError
from naswot_lightning.naswot.compiled.jit import compiled, pointer
from naswot_lightning.naswot.kernel import ActivationKernel, NoRectifierError

# Of each type, as integers of its width: all bits but the sign, and infinity. A larger magnitude is NaN.
_BITS = {
    torch.float64: (np.int64(0x7FFF_FFFF_FFFF_FFFF), np.int64(0x7FF0_0000_0000_0000)),
    torch.float32: (np.int32(0x7FFF_FFFF), np.int32(0x7F80_0000)),
    torch.float16: (np.int16(0x7FFF), np.int16(0x7C00)),
    torch.bfloat16: (np.int16(0x7FFF), np.int16(0x7F80)),
}
# Words per image that are compared together, 4 MiB for 128 images: each comparison starts a parallel loop.
_WORDS = 4096
# Of one 0/1 matrix of all images, and the columns of one float32 product: below 2^24, so that its sums are exact.
_CODE_BYTES, _PRODUCT_COLUMNS = 1 << 27, 1 << 17

# Numba's threads are started now. Both it and torch use OpenMP, whose number of threads numba sets for all, so that a
# process limited to one thread would train with every core after its first score: that is undone.
_threads_of_torch = torch.get_num_threads()
try:
    _MOST_THREADS = int(numba.get_num_threads())
except ValueError as error:
    reason = " ".join(str(error).split())
    raise UserError(f"numba has no threads: {reason} (NUMBA_THREADING_LAYER in the environment)") from None
if torch.get_num_threads() != _threads_of_torch:
    torch.set_num_threads(_threads_of_torch)
# Numba's number of threads belongs to each thread of Python.
_here = threading.local()


def is_plain(tensor: Tensor) -> bool:
    """Return whether the values lie at the tensor's address as they are, and nobody records what is done to them."""
    recorded = tensor.requires_grad and torch.is_grad_enabled()
    return type(tensor) is Tensor and tensor.is_cpu and not tensor.is_neg() and not recorded


def is_channels_last(tensor: Tensor) -> bool:
    """Return whether the tensor is plain, (N, C, H, W), not empty and dense in channels_last memory."""
    dense = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return dense and tensor.numel() > 0 and is_plain(tensor)


def is_dense(tensor: Tensor) -> bool:
    """Return whether the values lie without gaps, in the order of the dimensions or in channels_last memory."""
    return tensor.is_contiguous() or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


class CodeDistances:
    """Sum of the Hamming distances of the codes of ReLUs, layer by layer, of a mini-batch of N images."""

    def __init__(self, images: int) -> None:
        # Compiled loops use as many threads as torch does; numba takes 50 us to set the same number again.
        count = min(torch.get_num_threads(), _MOST_THREADS)
        if getattr(_here, "threads", None) != count:
            numba.set_num_threads(count)
            _here.threads = count
        self.images = images
        self._n_units = 0
        self._is_empty = True
        # Packed codes of tensors on the CPU, (N, words), of which the first are filled, and the distances of those that
        # are compared, (N, N). Four rows at least, the side of a tile; the further ones are never read.
        rows = max(images, 4)
        self._words, self._filled = np.empty((rows, _WORDS), np.uint64), 0
        self._distances = np.zeros((rows, rows), np.int64)
        self._has_nan = False
        # The same of tensors elsewhere.
        self._products: ProductDistances | None = None

    def add(self, pre_activations: Tensor) -> None:
        """Count the codes of one ReLU's input, (N, ...) or (N * k, ...) with images outermost."""
        tensor = pre_activations
        if tensor.dim() == 0 or tensor.shape[0] % self.images:
            first = f"its first dimension is not a multiple of the {self.images} images"
            raise ValueError(f"a rectifier met a tensor of shape {tuple(tensor.shape)}: {first}")
        if tensor.shape[0] != self.images:
            tensor = tensor.reshape(self.images, -1)
        if tensor.device.type == "cpu" and tensor.is_floating_point():
            if not is_plain(tensor):
                tensor = tensor.detach().resolve_neg()
            self.pack(tensor if is_dense(tensor) else tensor.contiguous(), None)
            return
        if self._products is None:
            self._products = ProductDistances(self.images, tensor.device)
        self._products.add(tensor)
        self._n_units += tensor.numel() // self.images
        self._is_empty = False

    def takes(self, x: Tensor) -> bool:
        """Return whether :meth:`pack` takes a tensor as it is; for any other there is :meth:`add`."""
        return x.shape[:1] == (self.images,) and is_plain(x) and x.dtype in _BITS and x.dim() > 1 and is_dense(x)

    def kernel(self, smooth_units: int = 0, counted: Literal["rectifiers", "all"] = "rectifiers") -> ActivationKernel:
        """Return K_H = N_A - d_H of the units that counted, with the number of those that did not."""
        if self._is_empty:
            kind, cure = (
                "rectified linear unit (ReLU, ReLU6, LeakyReLU, PReLU, clamp at 0)",
                "the score needs at least one",
            )
            if counted == "all":
                kind = "rectified or smooth unit (ReLU, GELU, SiLU and the like)"
            elif smooth_units:
                cure = f"units 'all' counts its {smooth_units:,} smooth ones"
            raise NoRectifierError(f"the network called no {kind}: {cure}")
        self._compare()
        distances, has_nan = torch.from_numpy(self._distances[: self.images, : self.images]), self._has_nan
        if self._products is not None:
            elsewhere, nan = self._products.result()
            distances, has_nan = distances + elsewhere, has_nan or nan
        return ActivationKernel(self._n_units - distances, self._n_units, has_nan, smooth_units, counted)

    def pack(self, values: Tensor, rectified: Tensor | None) -> None:
        """Pack the codes of plain, dense values (N, ...), and write max(value, 0) to a tensor like them, or to them."""
        magnitude, infinity = _BITS[values.dtype]
        units = values.numel() // self.images
        width = (units + 63) // 64
        if self._filled + width > self._words.shape[1]:
            self._compare()
            if width > self._words.shape[1]:
                self._words = np.empty((len(self._words), width), np.uint64)
        given, target = values.data_ptr(), None if rectified is None else rectified.data_ptr()
        if not given and units:
            raise ValueError(f"a rectifier met a {type(values).__name__} that does not hold its values itself")
        self._has_nan |= _pack_images(given, self.images, units, magnitude, infinity, self._words, self._filled, target)
        self._filled += width
        self._n_units += units
        self._is_empty = False

    def _compare(self) -> None:
        if self._filled:
            _add_differing(self._words, self._filled, self._distances)
            self._filled = 0


class ProductDistances:
    """Sum of the Hamming distances of the codes of ReLUs of N images, on any device, by products of 0/1 matrices.

    A layer costs two operations, and the host waits once, in :meth:`result`.
    """

    def __init__(self, images: int, device: torch.device) -> None:
        # Codes (rows, units), of which the first N rows and ``_filled`` columns are; int8 products want 24 rows at
        # least, and eights.
        self._images, self._rows = images, max(24, -(-images // 8) * 8)
        self._codes, self._filled = torch.empty(self._rows, 0, dtype=torch.bool, device=device), 0
        # z z^T of the codes z before them, (rows, rows), and the largest value of each layer, which NaN is, too.
        self._shared = torch.zeros(self._rows, self._rows, dtype=torch.int64, device=device)
        self._largest = [torch.zeros((), device=device)]

    def add(self, pre_activations: Tensor) -> None:
        """Count the codes of one ReLU's input (N, ...)."""
        values = pre_activations.detach()
        if values.numel() == 0:
            return
        self._largest.append(values.amax())
        # In the order of the memory, so that nothing is copied.
        if values.dim() == 4 and values.is_contiguous(memory_format=torch.channels_last):
            values = values.permute(0, 2, 3, 1)
        values = values.flatten(1)
        units = values.shape[1]
        if self._filled + units > self._codes.shape[1]:
            self._multiply()
            if units > self._codes.shape[1]:
                width = max(units, _CODE_BYTES // self._rows)
                self._codes = self._codes.new_empty(self._rows, -(-width // 64) * 64)
        torch.gt(values, 0, out=self._codes[: self._images, self._filled : self._filled + units])
        self._filled += units

    def result(self) -> tuple[Tensor, bool]:
        """Return the distances, (N, N) int64 on the CPU, and whether a value was NaN."""
        self._multiply()
        shared = self._shared[: self._images, : self._images]
        nan = torch.stack(self._largest).isnan().any()
        found = torch.cat([shared.flatten(), nan[None]]).cpu()
        shared = found[:-1].view(shared.shape)
        # With z the 0/1 codes, d_H(i, j) = |z_i| + |z_j| - 2 z_i z_j^T, and |z_i| = z_i z_i^T.
        active = shared.diagonal()
        return active[:, None] + active[None, :] - 2 * shared, bool(found[-1])

    def _multiply(self) -> None:
        if self._filled:
            # Up to whole vectors, with zeros.
            codes = self._codes[:, : -(-self._filled // 64) * 64]
            codes[:, self._filled :].zero_()
            # In autocast float32 products would be bfloat16 ones.
            with torch.autocast(codes.device.type, enabled=False):
                self._shared += _shared_ones(codes.view(torch.int8))
            self._filled = 0


def _shared_ones(codes: Tensor) -> Tensor:
    """Return the integers z z^T of 0/1 codes z, (rows, units) int8."""
    try:
        # int8 with int32 sums: four bytes of memory less per code, and exact up to 2^31 units.
        return torch._int_mm(codes, codes.T)
    except RuntimeError:
        # Not on every device. Products of 0 and 1 are exact in TF32 and float32, and so are their sums below 2^24.
        shared = torch.zeros(len(codes), len(codes), dtype=torch.int64, device=codes.device)
        for columns in codes.split(_PRODUCT_COLUMNS, dim=1):
            z = columns.float()
            shared += (z @ z.T).to(torch.int64)
        return shared


@intrinsic
def _popcount(typingctx, word):  # type: ignore[no-untyped-def]
    """Return the number of set bits of a 64-bit word: one machine instruction."""

    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), codegen


@compiled(parallel=True)
def _pack_images(given, images, units, magnitude, infinity, words, start, target):  # type: ignore[no-untyped-def]
    """Pack ``value > 0`` of (N, units) floats into words (N, start...); return whether a value is NaN.

    ``given`` is their address, ``target`` None or the address of what receives max(value, 0).
    """
    # Floats are seen as integers of their width. Reading them once for codes and max saves a third of the time.
    rows = carray(pointer(given, magnitude), (images, units))
    nans = np.zeros(images, np.bool_)
    for i in prange(images):
        if target is None:
            nans[i] = _pack_image(rows[i], magnitude, infinity, words[i, start:], None)
        else:
            rectified = carray(pointer(target, magnitude), (images, units))
            nans[i] = _pack_image(rows[i], magnitude, infinity, words[i, start:], rectified[i])
    return nans.any()


@intrinsic
def _signs(typingctx, address, magnitude, infinity):  # type: ignore[no-untyped-def]
    """Return two words of the 64 values at an address: which are positive, and which are NaN."""

    # Seen as integers positive floats are positive and both zeros are not. As vectors, a comparison gives its bits at
    # once: with the loop over bits that LLVM makes of plain code, a bfloat16 score took 7 % longer.
    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        number, word = context.get_data_type(signature.args[1]), ir.IntType(64)
        vector, lanes = ir.VectorType(number, 64), ir.VectorType(ir.IntType(32), 64)

        def each(value):  # type: ignore[no-untyped-def]
            first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(first, first, ir.Constant(lanes, None))

        values = builder.load(builder.inttoptr(arguments[0], vector.as_pointer()), align=number.width // 8)
        positive = builder.icmp_signed(">", values, ir.Constant(vector, None))
        nan = builder.icmp_signed(">", builder.and_(values, each(arguments[1])), each(arguments[2]))
        words = builder.bitcast(positive, word), builder.bitcast(nan, word)
        return context.make_tuple(builder, signature.return_type, words)

    return types.UniTuple(types.uint64, 2)(types.intp, magnitude, infinity), codegen


@compiled()
def _pack_image(values, magnitude, infinity, words, rectified):  # type: ignore[no-untyped-def]
    """Pack the values (units,) of one image; return whether one is NaN."""
    nans = np.uint64(0)
    # Whole words as vectors of 64 values, then the units of the last word one by one.
    whole = len(values) // 64
    for w in range(whole):
        words[w], nan = _signs(values.ctypes.data + 64 * w * values.itemsize, magnitude, infinity)
        nans |= nan
        if rectified is not None:
            for bit in range(64):
                rectified[64 * w + bit] = max(values[64 * w + bit], 0)
    if 64 * whole < len(values):
        word = np.uint64(0)
        for u in range(64 * whole, len(values)):
            word |= np.uint64(values[u] > 0) << np.uint64(u - 64 * whole)
            nans |= np.uint64((magnitude & values[u]) > infinity)
            if rectified is not None:
                rectified[u] = max(values[u], 0)
        words[whole] = word
    return nans != 0


@compiled(parallel=True)
def _add_differing(words, width, distances):  # type: ignore[no-untyped-def]
    """Add the number of differing bits of each pair of rows, in their first ``width`` words, to (N, N), N >= 4."""
    images = words.shape[0]
    # Tiles of 4 x 4 pairs use each loaded word four times: 0.11 ms for 128 x 256 words on two cores, 0.17 ms by pairs.
    tiles = (images + 3) // 4
    counts = np.empty((images, images), np.int64)
    for share in prange((tiles + 1) // 2):
        # Tile row t has t + 1 tiles: a short row and a long one together make equal shares.
        for end in range(2):
            t = tiles - 1 - np.int64(share) if end else np.int64(share)
            for u in range(t + 1):
                # The last tile overlaps the one before it where 4 does not divide the number of images.
                _count_tile(words, width, counts, min(4 * t, images - 4), min(4 * u, images - 4))
    distances += counts


@compiled()
def _count_tile(words, width, distances, i, j):  # type: ignore[no-untyped-def]
    """Compare rows i..i+3 with rows j..j+3."""
    # Sixteen scalars: an array would not stay in registers.
    s00 = s01 = s02 = s03 = np.uint64(0)
    s10 = s11 = s12 = s13 = np.uint64(0)
    s20 = s21 = s22 = s23 = np.uint64(0)
    s30 = s31 = s32 = s33 = np.uint64(0)
    for w in range(width):
        a0, a1, a2, a3 = words[i, w], words[i + 1, w], words[i + 2, w], words[i + 3, w]
        b0, b1, b2, b3 = words[j, w], words[j + 1, w], words[j + 2, w], words[j + 3, w]
        s00 += _popcount(a0 ^ b0)
        s01 += _popcount(a0 ^ b1)
        s02 += _popcount(a0 ^ b2)
        s03 += _popcount(a0 ^ b3)
        s10 += _popcount(a1 ^ b0)
        s11 += _popcount(a1 ^ b1)
        s12 += _popcount(a1 ^ b2)
        s13 += _popcount(a1 ^ b3)
        s20 += _popcount(a2 ^ b0)
        s21 += _popcount(a2 ^ b1)
        s22 += _popcount(a2 ^ b2)
        s23 += _popcount(a2 ^ b3)
        s30 += _popcount(a3 ^ b0)
        s31 += _popcount(a3 ^ b1)
        s32 += _popcount(a3 ^ b2)
        s33 += _popcount(a3 ^ b3)
    _write(distances, i + 0, j, s00, s01, s02, s03)
    _write(distances, i + 1, j, s10, s11, s12, s13)
    _write(distances, i + 2, j, s20, s21, s22, s23)
    _write(distances, i + 3, j, s30, s31, s32, s33)


@compiled()
def _write(distances, i, j, d0, d1, d2, d3):  # type: ignore[no-untyped-def]
    distances[i, j], distances[i, j + 1], distances[i, j + 2], distances[i, j + 3] = d0, d1, d2, d3
    distances[j, i], distances[j + 1, i], distances[j + 2, i], distances[j + 3, i] = d0, d1, d2, d3
