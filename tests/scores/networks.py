"""What tests of scores share: a mini-batch, a network with a bit of everything, a score by its name."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning.data.probe import Probe
from naswot_lightning.scores.registry import compute_scores
from naswot_lightning.spaces import get_space

SPACE = get_space("nasbench201")
LOSS_SCORES = ["grad_norm", "snip", "fisher", "grasp", "zico"]
GRADIENT_SCORES = ["jacob_cov", *LOSS_SCORES, "synflow"]


def probe_of(count=6, size=8, seed=0, classes=4, image_size=None):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, size, size, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return Probe(images.contiguous(memory_format=torch.channels_last), labels, classes, image_size or size, "")


def score(name, network, probe=None):
    return compute_scores(network, probe or probe_of(), [name])[name]


def cell():
    """A cell with every operation, in the skeleton of NAS-Bench-201."""
    torch.manual_seed(2)
    return SPACE.build("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|", 4)


def chain():
    """The first 37 channels are two blocks of 16, and five over."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 37, 3), nn.ReLU(), nn.BatchNorm2d(37), nn.Conv2d(37, 5, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(80, 6), nn.ReLU(), nn.Linear(6, 4),
    )  # fmt: skip


class Branches(nn.Module):
    """Grouped and plain convolutions, BatchNorm, a sum, an in-place ReLU, biases and a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.left, self.right = nn.Conv2d(6, 6, 3, padding=1, groups=2), nn.Conv2d(6, 6, 1, bias=False)
        self.last_norm, self.linear, self.drop = nn.BatchNorm2d(6), nn.Linear(6, 4), nn.Dropout(0.5)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)), inplace=True)
        x = F.avg_pool2d(F.relu(self.last_norm(self.left(x) + self.right(x))), 2)
        return self.linear(self.drop(x.mean((2, 3))))


def branches(seed=0):
    torch.manual_seed(seed)
    network = Branches()
    with torch.no_grad():
        for norm in (network.norm, network.last_norm):
            norm.weight.uniform_(-1, 2)
            norm.bias.uniform_(-1, 1)
            norm.running_mean.fill_(3.0)
            norm.running_var.fill_(5.0)
    return network


def with_batch_statistics(network):
    """A clone whose BatchNorm is in train mode and nothing else, and whose ReLUs are not in place."""
    clone = copy.deepcopy(network).eval()
    for module in clone.modules():
        module.training = isinstance(module, nn.BatchNorm2d)
        if isinstance(module, nn.ReLU | nn.LeakyReLU):
            module.inplace = False
    return clone


def outputs_of(network, kinds, images, inputs=False):
    """Copies of what the modules of these kinds return while the network runs, or of what they are given, in order."""
    found = []
    clone = with_batch_statistics(network)
    for module in clone.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(
                lambda module, given, output: found.append((given[0] if inputs else output).clone())
            )
    with torch.no_grad():
        clone(images)
    return found


def conv_and_linear_weights(network):
    return [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
