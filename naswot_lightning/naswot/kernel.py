"""The kernel K_H of one mini-batch (Eq. 1) and its log-determinant (Eq. 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


class NoRectifierError(ValueError):
    """The forward pass met no unit that counts, so that there is no code to compare."""


@dataclass(frozen=True)
class ActivationKernel:
    """The kernel K_H of one mini-batch (Eq. 1).

    >>> ActivationKernel(torch.tensor([[3, 1], [1, 3]]), n_units=3).logdet() == math.log(8)
    True
    >>> ActivationKernel(torch.tensor([[3, 3], [3, 3]]), n_units=3).logdet()  # two images, one code
    -inf
    """

    matrix: Tensor
    """(N, N) int64 on the CPU, N_A - d_H(c_i, c_j)."""
    n_units: int
    """N_A, units per image that have a code; every diagonal entry."""
    has_nan: bool = False
    """a rectifier met NaN, so that the codes mean nothing."""
    smooth_units: int = 0
    """per image, units of smooth activations (GELU, SiLU and the like), or of their parts (sigmoid), without a code."""
    counted: Literal["rectifiers", "all"] = "rectifiers"
    """which units have one."""

    @property
    def blind_spot(self) -> str | None:
        """Say so where less than half of the network's activations are rectifiers; else None."""
        if self.smooth_units <= self.n_units:
            return None
        units = self.n_units + self.smooth_units
        others = "the others are smooth (GELU, SiLU and the like), and only units 'all' counts them"
        if self.counted == "all":
            others = "the others are smooth and written by hand, such as x * sigmoid(x): use torch's function, F.silu"
        return f"the codes see {self.n_units:,} of {units:,} units ({self.n_units / units:.1%}): {others}"

    def logdet(self) -> float:
        """Return log|K_H| in float64; -inf where K_H is singular, nan where a rectifier met NaN."""
        if self.has_nan:
            return math.nan
        # N_A off the diagonal: two images have the same code.
        if int((self.matrix == self.n_units).sum()) > self.matrix.shape[0]:
            return -math.inf
        # K_H is positive semi-definite: each unit adds z z^T + (1 - z)(1 - z)^T. With K_H = L L^T, log|K_H| is the sum
        # of log(L_ii^2), and a pivot L_ii^2 that vanishes beside rounding means a singular matrix. (LU factorisations
        # return a finite number with a random sign for many singular matrices.)
        matrix = self.matrix.to(torch.float64)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        pivots = factor.diagonal().square()
        rounding = matrix.shape[0] * torch.finfo(torch.float64).eps * max(self.n_units, 1)
        if int(failed) != 0 or float(pivots.min()) <= rounding:
            return -math.inf
        return float(pivots.log().sum())
