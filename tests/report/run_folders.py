"""Run folders of many trained picks, without the training."""

import random
from dataclasses import replace

from tests.report.html.folders import sampled_rows, write_search
from tests.runs import result, write_pick

FAILED = {"status": "diverged", "reason": "NaN", "test_acc": None, "best_val_acc": None, "score_final": None}


def write_noisy(run, count=8, seeds=(0,)):
    """Networks whose accuracies follow the score, with noise; parameters do so with more of it."""
    rng = random.Random(count)
    for number in range(1, count + 1):
        quality = 0.9 - 0.01 * number + rng.gauss(0, 0.01)
        for seed in seeds:
            size = int(1000 * (30 - number) * rng.random())
            row = result(number, seed=seed, test_acc=quality + rng.gauss(0, 0.002), params=size)
            scores = [row["score_init"], *(row["score_init"] + 50 + rng.random() for _ in range(3))]
            name = f"{number}-{row['canonical']}" + (f"-seed{seed}" if len(seeds) > 1 else "")
            write_pick(run, row, scores, name)


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
