"""The score: rectifiers seen at the call, their codes as bits, the kernel K_H, its log-determinant."""

from naswot_lightning.naswot.kernel import ActivationKernel, NoRectifierError
from naswot_lightning.naswot.naswot import BatchNorm, Precision, Units, Variant, activation_kernel, naswot_score

__all__ = [
    "ActivationKernel",
    "BatchNorm",
    "NoRectifierError",
    "Precision",
    "Units",
    "Variant",
    "activation_kernel",
    "naswot_score",
]
