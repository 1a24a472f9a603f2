"""Print the figures of ``make bench``: ratios of medians, both sides measured in one run, alternating.

``python -m bench`` prints all of them, ``python -m bench PART...`` those parts, ``python -m bench gpu`` what a machine
with a GPU can show.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence

import torch

import naswot_lightning
from bench import data, gpu, rows, scoring, search, training, training_settings, workers
from naswot_lightning.console import print_table
from naswot_lightning.errors import UserError, expect_name

_PARTS = {
    "score": (f"Score of a network: {scoring.NETWORKS} of NAS-Bench-201, batch 128, 3x32x32", scoring.score_rows),
    "layer": ("Kernel of one layer", scoring.layer_rows),
    "shares": ("Where the time goes", scoring.share_rows),
    "memory": ("Memory", scoring.memory_rows),
    "fidelity": ("Fidelity", scoring.fidelity_rows),
    "scores": ("Training-free scores", scoring.score_cost_rows),
    "search": ("Search", search.overhead_rows),
    "rows": (f"A search of {rows.ROWS:,} candidates, but for their scores", rows.row_rows),
    "workers": ("Workers of this machine", workers.worker_rows),
    "engines": ("Whole searches by engine", search.engine_rows),
    "data": ("Way of the images: 32x32, batch 256", data.data_rows),
    "storage": ("Data set of a pick's process: 50,000 and 10,000 images of 32x32", data.storage_rows),
    "training": ("A training epoch, batch 256", training.training_rows),
    "settings": (f"A training step, batch {training_settings.BATCH}", training_settings.setting_rows),
    "picks": ("Picks side by side", training_settings.pick_rows),
}


def main(names: Sequence[str]) -> int:
    """Print the parts of these names, or all; return 0, or 2 where a name is unknown."""
    if names[:1] == ["gpu"]:
        return gpu.main(names[1:])
    try:
        chosen = [expect_name("part", name, _PARTS) for name in names] or list(_PARTS)
    except UserError as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 2
    versions = f"torch {torch.__version__}, python {platform.python_version()}, ours {naswot_lightning.__version__}"
    cores = f"{len(os.sched_getaffinity(0))} cores, {torch.get_num_threads()} threads"
    machine = f"{platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    print(f"{versions}; {cores}; {machine}; medians\n")
    for name in chosen:
        title, part = _PARTS[name]
        print_table(title, ("figure", "median", "ratio"), part())
        print(flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
