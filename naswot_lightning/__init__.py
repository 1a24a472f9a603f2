"""Neural architecture search without training, on PyTorch Lightning."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naswot_lightning.execution.worker import tune_process
    from naswot_lightning.naswot import ActivationKernel, activation_kernel, naswot_score

__version__ = "0.1.0"
_EXPORTS = {
    **dict.fromkeys(("ActivationKernel", "activation_kernel", "naswot_score"), "naswot"),
    "tune_process": "execution.worker",
}
__all__ = ["ActivationKernel", "activation_kernel", "naswot_score", "tune_process"]


def __getattr__(attribute: str) -> object:  # torch costs seconds: loaded on first use, so that --help is quick
    if attribute not in _EXPORTS:
        raise AttributeError(f"module 'naswot_lightning' has no attribute {attribute!r}")
    return getattr(import_module(f"naswot_lightning.{_EXPORTS[attribute]}"), attribute)
