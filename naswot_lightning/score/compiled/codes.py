"""Binary codes of one layer and the Hamming distances between them (section 3 of the paper).

Bit u of an image's code is 1 where pre-activation u is positive. On the CPU the codes are packed into 64-bit
words and compared by population count, in compiled parallel code; elsewhere one product of 0/1 matrices gives
the same integers.
"""

from __future__ import annotations

import threading

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import carray, prange, types
from numba.extending import intrinsic
from torch import Tensor

from naswot_lightning.errors import UserError
from naswot_lightning.score.compiled.jit import compiled, pointer
from naswot_lightning.score.kernel import ActivationKernel, NoRectifierError

# Of each type, as integers of its width: all bits but the sign, and infinity. A larger magnitude is NaN.
_BITS = {
    torch.float64: (np.int64(0x7FFF_FFFF_FFFF_FFFF), np.int64(0x7FF0_0000_0000_0000)),
    torch.float32: (np.int32(0x7FFF_FFFF), np.int32(0x7F80_0000)),
    torch.float16: (np.int16(0x7FFF), np.int16(0x7C00)),
    torch.bfloat16: (np.int16(0x7FFF), np.int16(0x7F80)),
}
# Columns of one 0/1 product: below 2^24, so that float32 sums are exact, and small beside the activations.
_PRODUCT_COLUMNS = 1 << 16


def _start_threads() -> int:
    """Start numba's threads now, and undo what that does to torch's; return how many numba has.

    Both use OpenMP, and numba's start sets the number of threads for all: a process limited to one thread would train
    with every core after its first score, with sums in another order.
    """
    before = torch.get_num_threads()
    try:
        count = int(numba.get_num_threads())
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"numba has no threads: {reason} (NUMBA_THREADING_LAYER in the environment)") from None
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)
    return count


_MOST_THREADS = _start_threads()
_set = threading.local()  # numba's number of threads is each thread's own


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


def _is_packable(tensor: Tensor) -> bool:
    """Return whether the codes of a rectifier's input can be packed where it lies in memory."""
    return is_plain(tensor) and tensor.dtype in _BITS and tensor.dim() > 1 and _is_dense(tensor)


class PackedCodes:
    """Codes of many rectifiers, packed one behind the other and compared many at a time.

    Comparing 4,096 words an image at once instead of each layer's own saves the start of a parallel loop a layer.

    Args:
        images: N.
        capacity: words an image to collect before they are compared; 4 MiB for 128 images.
    """

    def __init__(self, images: int, capacity: int = 4096) -> None:
        # Compiled loops of this thread use as many threads as torch does; numba takes 50 us to set the same again.
        count = min(torch.get_num_threads(), _MOST_THREADS)
        if getattr(_set, "count", None) != count:
            numba.set_num_threads(count)
            _set.count = count
        self._words = np.empty((images, capacity), np.uint64)
        self._filled = 0
        self._distances: np.ndarray | None = None  # of what is compared
        self.has_nan = False

    def add(self, pre_activations: Tensor, rectified: Tensor | None = None) -> None:
        """Pack the codes of one rectifier.

        Args:
            pre_activations: its input, (N, ...) on the CPU in a floating point type.
            rectified: where its memory can be read as it is, a tensor like the input that receives max(x, 0).
        """
        if rectified is None:
            if not is_plain(pre_activations):
                pre_activations = pre_activations.detach().resolve_neg()
            if not _is_dense(pre_activations):
                pre_activations = pre_activations.contiguous()
        magnitude, infinity = _BITS[pre_activations.dtype]
        units = pre_activations.numel() // self._words.shape[0]
        width = (units + 63) // 64
        capacity = self._words.shape[1]
        if self._filled + width > capacity:
            self._compare()
        if width > capacity:
            self._words = np.empty((len(self._words), width), np.uint64)
        given, target = pre_activations.data_ptr(), None if rectified is None else rectified.data_ptr()
        if not given and units:
            raise ValueError(f"a rectifier met a {type(pre_activations).__name__} that does not hold its values itself")
        self.has_nan |= _pack(given, units, magnitude, infinity, self._words, self._filled, target)
        self._filled += width

    def distances(self) -> Tensor:
        """Return the Hamming distances of the codes so far, (N, N) int64."""
        self._compare()
        if self._distances is None:
            self._distances = np.zeros((len(self._words), len(self._words)), np.int64)
        return torch.from_numpy(self._distances)

    def _compare(self) -> None:
        if self._filled == 0:
            return
        distances = np.zeros((len(self._words), len(self._words)), np.int64)
        _count_differing(self._words, self._filled, distances)
        self._distances = distances if self._distances is None else self._distances + distances
        self._filled = 0


class CodeDistances:
    """Sum of the Hamming distances of the codes of ReLUs, layer by layer.

    Args:
        images: N, the size of the mini-batch.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self._packed: PackedCodes | None = None  # of tensors on the CPU
        self._products: Tensor | None = None  # of tensors elsewhere
        self._n_units = 0
        self._nan: list[Tensor] = []

    def add(self, pre_activations: Tensor) -> None:
        """Count the codes of one ReLU's input, (N, ...) or (N * k, ...) with images outermost."""
        tensor = pre_activations
        if tensor.dim() == 0 or tensor.shape[0] % self.images:
            raise ValueError(
                f"a rectifier met a tensor of shape {tuple(tensor.shape)}: its first dimension is not a "
                f"multiple of the {self.images} images"
            )
        if tensor.shape[0] != self.images:
            tensor = tensor.reshape(self.images, -1)
        if tensor.device.type == "cpu" and tensor.is_floating_point():
            self._on_cpu().add(tensor)
        else:
            distances, nan = product_distances(tensor.flatten(1))
            self._products = distances if self._products is None else self._products.add_(distances)
            self._nan.append(nan)
        self._n_units += pre_activations.numel() // self.images

    def rectify(self, pre_activations: Tensor, inplace: bool) -> Tensor | None:
        """Count the codes of one ReLU and return max(x, 0), or None where only :meth:`add` will do.

        The values are read once for both. (A tensor that feeds several ReLUs is read once for each.)
        """
        if pre_activations.shape[:1] != (self.images,) or not _is_packable(pre_activations):
            return None
        if inplace:
            # Written behind torch's back: whoever has saved the tensor for a backward pass must learn of it.
            torch.autograd.graph.increment_version(pre_activations)
        rectified = pre_activations if inplace else torch.empty_like(pre_activations)
        self._on_cpu().add(pre_activations, rectified)
        self._n_units += pre_activations.numel() // self.images
        return rectified

    def kernel(self, smooth_units: int = 0) -> ActivationKernel:
        """Return K_H = N_A - d_H, with the number of units that are no ReLUs."""
        parts = [] if self._packed is None else [self._packed.distances()]
        parts += [] if self._products is None else [self._products.cpu()]
        if not parts:
            raise NoRectifierError(
                "the network called no rectified linear unit (ReLU, ReLU6, LeakyReLU, PReLU, clamp at 0): "
                "the score needs at least one"
            )
        nan = any(bool(flag) for flag in self._nan) or (self._packed is not None and self._packed.has_nan)
        return ActivationKernel(self._n_units - sum(parts[1:], parts[0]), self._n_units, nan, smooth_units)

    def _on_cpu(self) -> PackedCodes:
        if self._packed is None:
            self._packed = PackedCodes(self.images)
        return self._packed


def hamming_distances(pre_activations: Tensor) -> tuple[Tensor, bool | Tensor]:
    """Return the pairwise Hamming distances of one layer's codes, and whether any value was NaN.

    Args:
        pre_activations: (N, ...) floating point, the input of a rectifier.

    Returns:
        (N, N) int64 on the device of the input, and a boolean (a 0-d tensor there, so as not to wait for it).
    """
    if pre_activations.device.type == "cpu" and pre_activations.dtype in _BITS:
        images = pre_activations.shape[0]
        codes = PackedCodes(images, capacity=(pre_activations.numel() // max(images, 1) + 63) // 64)
        codes.add(pre_activations)
        return codes.distances(), codes.has_nan
    return product_distances(pre_activations.flatten(1))


def product_distances(pre_activations: Tensor) -> tuple[Tensor, Tensor]:
    """Return what :func:`hamming_distances` does, by 0/1 matrix products: (N, U) on any device.

    With z the 0/1 codes, d_H(i, j) = |z_i| + |z_j| - 2 z_i z_j^T. Products of 0 and 1 are exact in TF32 and
    float32, and so are their sums below 2^24.
    """
    images = pre_activations.shape[0]
    shared = torch.zeros(images, images, dtype=torch.int64, device=pre_activations.device)
    for columns in pre_activations.split(_PRODUCT_COLUMNS, dim=1):
        codes = columns.gt(0).float()
        shared += (codes @ codes.T).to(torch.int64)
    active = shared.diagonal()
    return active[:, None] + active[None, :] - 2 * shared, pre_activations.isnan().any()


def _is_dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


@intrinsic
def _popcount(typingctx, word):  # type: ignore[no-untyped-def]
    """Number of set bits of a 64-bit word: one machine instruction."""

    def codegen(context, builder: ir.IRBuilder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), codegen


@compiled(parallel=True)
def _pack(given, units, magnitude, infinity, words, start, target):  # type: ignore[no-untyped-def]
    """Pack ``value > 0`` of (N, units) floats, seen as integers of their width, into words (N, start...).

    ``given`` is the address of the floats, ``target`` None or the address of what receives max(value, 0): reading the
    values once for both saves a third of the time. Returns whether a value is NaN.
    """
    images = words.shape[0]
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
    """Two words of the 64 values at an address: which are positive, and which are NaN.

    Seen as integers positive floats are positive and both zeros are not. As vectors, a comparison gives its bits at
    once: with the loop over bits that LLVM makes of plain code, a bfloat16 score took 7 % longer.
    """

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
def _count_differing(words, width, distances):  # type: ignore[no-untyped-def]
    """Write the number of differing bits of each pair of rows, in their first ``width`` words, into (N, N).

    Tiles of 4 x 4 pairs use each loaded word four times: 0.11 ms instead of 0.17 ms pair by pair for 128 x 256
    words on two cores.
    """
    images = words.shape[0]
    if images < 4:
        _count_few(words, width, distances)
        return
    tiles = (images + 3) // 4
    for share in prange((tiles + 1) // 2):
        # Tile row t has t + 1 tiles: a short row and a long one together make equal shares.
        for end in range(2):
            t = tiles - 1 - np.int64(share) if end else np.int64(share)
            for u in range(t + 1):
                # The last tile overlaps the one before it where 4 does not divide the number of images.
                _count_tile(words, width, distances, min(4 * t, images - 4), min(4 * u, images - 4))


@compiled()
def _count_tile(words, width, distances, i, j):  # type: ignore[no-untyped-def]
    """Compare rows i..i+3 with rows j..j+3; sixteen scalars, since an array would not stay in registers."""
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


@compiled()
def _count_few(words, width, distances):  # type: ignore[no-untyped-def]
    """Compare all rows where there are too few for a tile."""
    for i in range(words.shape[0]):
        for j in range(i):
            differing = np.uint64(0)
            for w in range(width):
                differing += _popcount(words[i, w] ^ words[j, w])
            distances[i, j] = differing
            distances[j, i] = differing
