"""A whole search."""

from __future__ import annotations

import tempfile
import time

from bench.clock import Rows
from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.search.algorithms.base import architecture_of
from naswot_lightning.search.plan import plan_search
from naswot_lightning.storage.score_rows import ScoreRows


def overhead_rows(samples: int = 100) -> Rows:
    """Return the share of a search outside building and scoring its candidates."""
    with tempfile.TemporaryDirectory() as folder:
        search = plan_search(
            SearchConfig(samples=samples, batch_size=32, workers=1, run_dir=folder, wandb=WandbConfig("disabled"))
        )
        first = search.algorithm.propose([])
        search.evaluator(architecture_of(first[0]))  # loads and compiles
        with ScoreRows(search.folder.scores) as rows:
            loop = search.loop(rows)
            start = time.perf_counter()
            loop.run(search.algorithm, first)
            total = time.perf_counter() - start
            inside = sum(row.seconds for row in rows.rows)
    return [
        (
            f"search of {samples} candidates",
            f"{total:.2f} s",
            f"{100 * (1 - inside / total):.2f} % outside building and scoring",
        )
    ]
