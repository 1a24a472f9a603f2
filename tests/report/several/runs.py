"""Run folders that are compared: rankings of the same networks, and trained picks."""

import random
from dataclasses import replace

from tests.report.html.folders import sampled_rows, write_search
from tests.report.run_folders import write_noisy


def write_ranked(folder, shift=0.0, count=30, seeds=(0,), trained=5, **settings):
    """A search whose scores are the same as another's with shift 0, and noisier the larger it is."""
    rng = random.Random(1)
    rows = [replace(row, **_noisy(row, shift * rng.gauss(0, 1))) for row in sampled_rows(30)[:count]]
    write_search(folder, rows, **settings)
    if trained:
        write_noisy(folder, trained, seeds=seeds)
    return folder


def _noisy(row, noise):
    return {"score": row.score + noise, "scores": {"naswot": row.score + noise}}
