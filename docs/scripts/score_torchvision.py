"""Score torchvision's ImageNet models: ``python docs/scripts/score_torchvision.py FOLDER_OF_IMAGES``, 8 minutes.

Prints Kendall's tau with top-1 accuracy within each generation of weights, as torchvision tells it, beside size.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from naswot_lightning.analysis.statistics import bootstrap, estimate, resampled_tau
from naswot_lightning.data.probe import load_probe
from naswot_lightning.scores.base import Measured
from naswot_lightning.scores.registry import get_score, probe_of

SIDE, IMAGES = 64, 16
SCORES = ("naswot", "diversity")
# What does not take images of that side is given larger ones.
SIDES = {"vit_h_14": 70, "inception_v3": 96, "maxvit_t": 224}
OPTIONS = {"maxvit_t": {"input_size": (224, 224)}, "inception_v3": {"init_weights": True}}
OPTIONS |= {"googlenet": {"init_weights": True}}


class Enlarged(nn.Module):
    """A network behind images that are enlarged."""

    def __init__(self, network: nn.Module, side: int) -> None:
        super().__init__()
        self.network, self.side = network, side

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.network(F.interpolate(images, self.side, mode="bilinear"))


def build(name: str) -> nn.Module:
    """Return an untrained model, the same each time."""
    side = SIDES.get(name, SIDE)
    options = {"image_size": side} if name.startswith("vit") else OPTIONS.get(name, {})
    torch.manual_seed(0)
    return Enlarged(models.get_model(name, **options), side)


def main(folder: str) -> None:
    """Print both scores of each model, how many have them of which units, and the table."""
    images = load_probe("imagefolder", folder, IMAGES, 0, probe_size=SIDE, image_size=SIDE).images
    found: dict[str, list[tuple[float, ...]]] = {}
    counted = []
    for name in models.list_models(models):
        network = build(name)
        measured = Measured(network, probe_of(network, images, None, SCORES), units="auto")
        scores = [get_score(each).function(measured) for each in SCORES]
        counted.append(measured.kernel.counted)
        print(f"{name:20s} {scores[0]:9.2f} {scores[1]:9.3f} {counted[-1]}", flush=True)
        for weights in models.get_model_weights(name):
            told = weights.meta
            row = told["_metrics"]["ImageNet-1K"]["acc@1"], *scores, told["_ops"], told["num_params"]
            found.setdefault(weights.name, []).append(row)
    print(f"{len(counted)} models, {counted.count('all')} by smooth units")
    for generation in ("IMAGENET1K_V1", "IMAGENET1K_V2"):
        top1, *others = np.array(found[generation]).T
        macs = others[len(SCORES)]
        for label, values in zip((*SCORES, "MACs", "parameters"), others, strict=True):
            gain = bootstrap(
                lambda counts, x=values, y=top1, z=macs: resampled_tau(x, y, counts) - resampled_tau(z, y, counts),
                len(top1),
            )
            tau = estimate(resampled_tau, values, top1)
            print(f"{generation}  {label:10s}  {tau}, n = {len(top1)}; less that of MACs {gain}")


if __name__ == "__main__":
    main(*sys.argv[1:])
