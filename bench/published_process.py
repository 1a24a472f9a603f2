"""The published procedure in a process of its own, with the C libraries as the system sets them.

Our commands tune theirs (``naswot_lightning.execution.tuning``); whoever runs the published code does not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType

TUNED = ("GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE")  # what tune_process leaves in the environment

# Without the package ``bench``, which tunes its process.
_WORKER = """
import sys, warnings
sys.path.insert(0, "bench")
from functools import lru_cache
import torch
from published import published_score
from naswot_lightning.networks import build_network
from spaces import get_space
warnings.filterwarnings("ignore", ".*non-full backward hook.*")
images = torch.randn({batch}, 3, 32, 32, generator=torch.Generator().manual_seed(0))

@lru_cache(maxsize=1)
def network(architecture):
    return build_network(get_space("nasbench201"), architecture, 0, 10)

for line in sys.stdin:
    print(published_score(network(line.strip()), images), flush=True)
"""


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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
