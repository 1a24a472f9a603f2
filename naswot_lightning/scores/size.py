"""Size as a score: parameters, computation, units, widths and depth; and a random number, which knows nothing."""

from __future__ import annotations

import hashlib
import math
import random

import torch

from naswot_lightning.naswot import NoRectifierError
from naswot_lightning.networks import on_the_cpu
from naswot_lightning.scores.base import PAPER, TWO_IMAGES, Measured, score
from naswot_lightning.seeds import derived_seed


@score("params", source="count of trainable parameters", cost="no pass")
def params(measured: Measured) -> float:
    """Return the number of trainable parameters."""
    return float(measured.params)


@score("macs", source="count of multiply-accumulates", cost=TWO_IMAGES)
def macs(measured: Measured) -> float:
    """Return the multiply-accumulates of convolutions and linear layers for one image of the data set's size."""
    return float(measured.macs)


@score("rectified_units", source=f"{PAPER}, N_A of Eq. 1", cost=TWO_IMAGES)
def rectified_units(measured: Measured) -> float:
    """Return N_A, the units per image that count at the probe's size, or raise :class:`NoRectifierError`."""
    if measured.n_units is None:
        raise NoRectifierError("the network called no rectified linear unit: there is none to count")
    return float(measured.n_units)


@score("log_width", source="sum of log(output channels) of convolutions", cost=TWO_IMAGES)
def log_width(measured: Measured) -> float:
    """Return the sum of log(output channels) over the convolutions that a forward pass calls; 0 without any."""
    # Where the number of convolutions is fixed it ranks as the product of the widths; elsewhere it grows with it.
    return math.fsum(math.log(width) for width in measured.convolutions.widths)


@score("conv_depth", source="longest path in convolutions and attentions", cost=TWO_IMAGES)
def conv_depth(measured: Measured) -> float:
    """Return the most convolutions with a kernel above 1, or attentions, on one path of the images; -inf without."""
    # Paths are those of the network as it is scored: a dead branch counts where it is built into the graph.
    depth = measured.convolutions.depth
    return -math.inf if depth is None else float(depth)


@score("random", source="uniform random number", cost="no pass")
def random_number(measured: Measured) -> float:
    """Return a number in [0, 1) drawn with a seed made of all parameters: the baseline that knows nothing."""
    digest, parameters = hashlib.sha256(), dict(measured.network.named_parameters())
    # reshape puts the elements in logical order, so that the memory format does not matter.
    contents = on_the_cpu([each.detach().reshape(-1).view(torch.uint8) for each in parameters.values()])
    for (name, parameter), content in zip(parameters.items(), contents, strict=True):
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        digest.update(content.numpy().tobytes())
    return random.Random(derived_seed("random", digest.hexdigest())).random()
