"""The baseline that knows nothing."""

from __future__ import annotations

import hashlib
import random

import torch

from naswot_lightning.scores.base import Measured, proxy
from naswot_lightning.seeds import derived_seed


@proxy("random", source="uniform random number", cost="no pass")
def random_number(measured: Measured) -> float:
    """Return a number in [0, 1) drawn with a seed made of all parameters: the baseline that knows nothing."""
    digest = hashlib.sha256()
    for name, parameter in measured.network.named_parameters():
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        # reshape puts the elements in logical order, so that the memory format does not matter.
        digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return random.Random(derived_seed("random", digest.hexdigest())).random()
