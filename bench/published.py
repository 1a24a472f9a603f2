"""The published procedure, written plainly: what every speed-up of ``make bench`` is measured against.

Mellor et al.'s code scores a network in three steps: a forward and a backward pass that mark the modules whose
class name holds "ReLU" and that are connected to the output; a second forward pass in which each marked module
adds two float matrix products to the kernel; numpy's log-determinant.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TUNED = ("GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE")  # what tune_process leaves in the environment

# In a process with the C libraries as the system sets them, without the package ``bench``, which tunes its own as our
# commands do: whoever runs the published code does not.
_WORKER = """
import sys, warnings
sys.path.insert(0, "bench")
from functools import lru_cache
import torch
from published import published_score
from naswot_lightning.networks import build_network
from naswot_lightning.spaces import get_space
warnings.filterwarnings("ignore", ".*non-full backward hook.*")
images = torch.randn({batch}, 3, 32, 32, generator=torch.Generator().manual_seed(0))

@lru_cache(maxsize=1)
def network(architecture):
    return build_network(get_space("nasbench201"), architecture, 0, 10)

for line in sys.stdin:
    print(published_score(network(line.strip()), images), flush=True)
"""


def two_products(pre_activations: Tensor) -> Tensor:
    """Return K of one layer, (N, U) to (N, N): z z^T + (1 - z)(1 - z)^T in float32."""
    codes = (pre_activations > 0).float()
    return codes @ codes.t() + (1.0 - codes) @ (1.0 - codes.t())


def published_score(network: nn.Module, images: Tensor) -> float:
    """Return the score of the published code for one network in train mode."""
    kernel = np.zeros((len(images), len(images)))
    marked: set[nn.Module] = set()

    def mark(module: nn.Module, grad_input: Any, grad_output: Any) -> None:
        marked.add(module)

    def count(module: nn.Module, inputs: Any) -> None:
        if module in marked:
            kernel[:] += two_products(inputs[0].detach().flatten(1)).cpu().numpy()

    hooks: list[Any] = []
    for module in network.modules():
        if "ReLU" in str(type(module)):
            hooks += [module.register_backward_hook(mark), module.register_forward_pre_hook(count)]
    images = images.detach().clone().requires_grad_(True)
    output = network(images)
    output.backward(torch.ones_like(output))
    kernel[:] = 0
    network(images.detach().clone())
    for hook in hooks:
        hook.remove()
    return float(np.linalg.slogdet(kernel)[1])


class PublishedProcess:
    """Scores NAS-Bench-201 networks on one mini-batch of 3x32x32, one at a time.

    Args:
        batch: images.
    """

    def __init__(self, batch: int) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in TUNED}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORKER.format(batch=batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def __enter__(self) -> PublishedProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def __call__(self, architecture: str) -> float:
        """Return the score; asking for it costs 0.1 ms beside the second it takes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(architecture + "\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())
