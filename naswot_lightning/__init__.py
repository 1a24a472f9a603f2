"""Neural architecture search without training, on PyTorch Lightning."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naswot_lightning.api import Picks, Ranking, TrainedPicks, rank, score, search, train
    from naswot_lightning.deploy.model import TrainedModel, load
    from naswot_lightning.execution.worker import tune_process
    from naswot_lightning.naswot import ActivationKernel, activation_kernel, naswot_score

__version__ = "0.1.0"
_EXPORTS = {
    **dict.fromkeys(("ActivationKernel", "activation_kernel", "naswot_score"), "naswot"),
    **dict.fromkeys(("Picks", "Ranking", "TrainedPicks", "rank", "score", "search", "train"), "api"),
    **dict.fromkeys(("TrainedModel", "load"), "deploy.model"),
    "tune_process": "execution.worker",
}
__all__ = [
    "ActivationKernel", "Picks", "Ranking", "TrainedModel", "TrainedPicks", "activation_kernel", "load", "naswot_score",
    "rank", "score", "search", "train", "tune_process",
]  # fmt: skip


def __getattr__(attribute: str) -> object:  # torch costs seconds: loaded on first use, so that --help is quick
    if attribute not in _EXPORTS:
        raise AttributeError(f"module 'naswot_lightning' has no attribute {attribute!r}")
    return getattr(import_module(f"naswot_lightning.{_EXPORTS[attribute]}"), attribute)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
