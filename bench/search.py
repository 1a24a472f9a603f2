"""A whole search."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict

from bench.clock import Rows
from bench.scoring import SPACE
from naswot_lightning.candidates import Scorer
from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.data.probe import load_probe
from naswot_lightning.run_folder import JsonLines, RunFolder
from naswot_lightning.search.engine import list_candidates, score_candidates


def overhead_rows(samples: int = 100) -> Rows:
    """Return the share of a search outside building and scoring its candidates."""
    config = SearchConfig(samples=samples, batch_size=32, wandb=WandbConfig("disabled"))
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(folder)
        scorer = Scorer(SPACE, [load_probe("digits", "", 32, 0)])
        candidates = list_candidates(config, SPACE, scorer.probes[0])
        scorer(candidates[0][1])
        with run.open(asdict(config), config.identity()), JsonLines(run.scores) as rows:
            start = time.perf_counter()
            score_candidates(config, scorer, candidates, rows)
            total = time.perf_counter() - start
            inside = sum(row["seconds"] for row in rows.rows)
    return [
        (
            f"search of {samples} candidates",
            f"{total:.2f} s",
            f"{100 * (1 - inside / total):.2f} % outside building and scoring",
        )
    ]
