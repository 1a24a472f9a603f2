"""Neural architecture search without training, on PyTorch Lightning."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naswot_lightning.score import ActivationKernel, activation_kernel, naswot_score

__version__ = "0.1.0"
__all__ = ["ActivationKernel", "activation_kernel", "naswot_score"]


def __getattr__(
    attribute: str,
) -> object:  # torch costs seconds: loaded on first use, so that --help is quick
    if attribute in __all__:
        from naswot_lightning import score

        return getattr(score, attribute)
    raise AttributeError(f"module 'naswot_lightning' has no attribute {attribute!r}")
