"""The kernel K_H of one mini-batch (Eq. 1), its log-determinant (Eq. 2), and the distances it is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from naswot_lightning.score.compiled.codes import PackedCodes, is_packable, product_distances


class NoRectifierError(ValueError):
    """The forward pass met no rectified linear unit, so that there is no code to compare."""


@dataclass(frozen=True)
class ActivationKernel:
    """The kernel K_H of one mini-batch (Eq. 1).

    Attributes:
        matrix: (N, N) int64 on the CPU, N_A - d_H(c_i, c_j).
        n_units: N_A, rectified units per image; every diagonal entry.
        has_nan: a rectifier met NaN, so that the codes mean nothing.
        smooth_units: per image, units of activations without a bend (GELU, SiLU and the like), which have no code.

    >>> ActivationKernel(torch.tensor([[3, 1], [1, 3]]), n_units=3).logdet() == math.log(8)
    True
    >>> ActivationKernel(torch.tensor([[3, 3], [3, 3]]), n_units=3).logdet()  # two images, one code
    -inf
    """

    matrix: Tensor
    n_units: int
    has_nan: bool = False
    smooth_units: int = 0

    @property
    def blind_spot(self) -> str | None:
        """Say so where less than half of the network's activations are rectifiers; else None."""
        if self.smooth_units <= self.n_units:
            return None
        share = self.n_units / (self.n_units + self.smooth_units)
        return (
            f"the codes see {self.n_units:,} of {self.n_units + self.smooth_units:,} units ({share:.1%}): "
            "the others are smooth (GELU, SiLU and the like), and the score leaves them out"
        )

    def logdet(self) -> float:
        """Return log|K_H| in float64; -inf where K_H is singular, nan where a rectifier met NaN.

        K_H is positive semi-definite: each unit adds z z^T + (1 - z)(1 - z)^T. So log|K_H| is the log-sum of
        Cholesky pivots, and a pivot that vanishes beside rounding means a singular matrix. (General LU
        factorisations return a finite number with a wrong or random sign for many singular matrices.)
        """
        if self.has_nan:
            return math.nan
        if self._has_equal_codes():
            return -math.inf
        matrix = self.matrix.to(torch.float64)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        pivots = factor.diagonal().square()
        rounding = matrix.shape[0] * torch.finfo(torch.float64).eps * max(self.n_units, 1)
        if int(failed) != 0 or float(pivots.min()) <= rounding:
            return -math.inf
        return float(pivots.log().sum())

    def _has_equal_codes(self) -> bool:
        return int((self.matrix == self.n_units).sum()) > self.matrix.shape[0]


class CodeDistances:
    """Sum of the Hamming distances of the codes of rectifiers, layer by layer.

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
        """Count the codes of one rectifier.

        Args:
            pre_activations: its input, (N, ...) or (N * k, ...) with images outermost.
        """
        tensor = self._by_image(pre_activations)
        if tensor.device.type == "cpu" and tensor.is_floating_point():
            self._on_cpu().add(tensor)
        else:
            distances, nan = product_distances(tensor.flatten(1))
            self._products = distances if self._products is None else self._products.add_(distances)
            self._nan.append(nan)
        self._n_units += pre_activations.numel() // self.images

    def rectify(self, pre_activations: Tensor, inplace: bool) -> Tensor | None:
        """Count the codes of one rectifier and return max(x, 0), or None where only :meth:`add` will do.

        The values are read once for both. (A tensor that feeds several rectifiers is read once for each.)
        """
        if pre_activations.shape[:1] != (self.images,) or not is_packable(pre_activations):
            return None
        if inplace:
            # Written behind torch's back: whoever has saved the tensor for a backward pass must learn of it.
            torch.autograd.graph.increment_version(pre_activations)
        rectified = pre_activations if inplace else torch.empty_like(pre_activations)
        self._on_cpu().add(pre_activations, rectified)
        self._n_units += pre_activations.numel() // self.images
        return rectified

    def kernel(self, smooth_units: int = 0) -> ActivationKernel:
        """Return K_H = N_A - d_H, with the number of units that are no rectifiers."""
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

    def _by_image(self, tensor: Tensor) -> Tensor:
        if tensor.dim() > 0 and tensor.shape[0] == self.images:
            return tensor
        if tensor.dim() == 0 or tensor.shape[0] % self.images:
            raise ValueError(
                f"a rectifier met a tensor of shape {tuple(tensor.shape)}: its first dimension is not a "
                f"multiple of the {self.images} images"
            )
        return tensor.reshape(self.images, -1)
