"""Run folders of searches, without the search."""

import json
import random
from pathlib import Path

import yaml

from naswot_lightning.columns import Column, Criterion
from naswot_lightning.ranking import rank, write_ranking
from naswot_lightning.report.findings import find
from naswot_lightning.report.html.page import write_report
from naswot_lightning.report.run import read_rows, read_run
from naswot_lightning.spaces import get_space
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow

SETTINGS = {
    "space": "nasbench201", "algorithm": "random", "samples": 12, "seed": 0, "dataset": "digits", "score": "naswot",
    "evaluator": "scores", "batch_size": 64, "run_dir": "runs/x", "wandb": {"mode": "disabled", "project": "p"},
}  # fmt: skip
HOSTILE = "</script><script>hacked=1</script><img src=x onerror=hacked=1>'\"&amp;\u2028"


def score_row(number: int, architecture: str, **changes) -> ScoreRow:
    """A finished candidate whose score falls with its number, as its size does."""
    score = 1500.0 - 10 * number
    values = {
        "space": "nasbench201", "architecture": architecture, "canonical": architecture, "score": score,
        "scores": {"naswot": score}, "n_units": 100 + number, "params": 90000 - number, "macs": 50000 + 7 * number,
        "seed": 0, "probe": "p", "seconds": 0.1, "status": "ok", "reason": None,
    }  # fmt: skip
    return ScoreRow(**{**values, **changes})


def failed_row(architecture: str, reason: str, status: str = "failed") -> ScoreRow:
    return score_row(0, architecture, score=None, scores={"naswot": None}, status=status, reason=reason)


def sampled_rows(count: int, space: str = "nasbench201") -> list[ScoreRow]:
    """Different architectures of a space, in an order that is not that of the ranking."""
    rng, found = random.Random(0), {}
    while len(found) < count:
        found[get_space(space).sample(rng)] = None
    numbers = rng.sample(range(count), count)
    return [score_row(number, name, space=space) for number, name in zip(numbers, found, strict=True)]


def write_search(folder: Path, rows: list[ScoreRow], ranked: bool = True, **settings) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**SETTINGS, **settings}, sort_keys=False))
    (folder / "scores.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    if ranked:
        whole = [row for row in rows if row.fidelity is None]
        write_ranking(folder, rank(whole, [Criterion((Column("naswot", "naswot"),))]))
    return folder


def write_metrics(pick: Path, accuracies) -> None:
    rows = [f"{epoch},{10 * epoch},{2 / epoch},{value}" for epoch, value in enumerate(accuracies, start=1)]
    (pick / "metrics.csv").write_text("\n".join(["epoch,step,train/loss,val/acc", *rows]) + "\n")


def write_unfinished(run: Path, name: str, outcome: object = None, **changes) -> Path:
    """A pick that is being trained, or whose process has ended otherwise."""
    folder = run / "picks" / name
    folder.mkdir(parents=True)
    plain = {"rank": 2, "space": "nasbench201", "architecture": "a2", "canonical": "c2", "dataset": "digits",
             "seed": 7, "epochs": 5}  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump({**plain, **changes}))
    write_metrics(folder, (0.3, 0.4))
    if outcome is not None:
        (folder / "outcome.json").write_text(json.dumps(outcome))
    return folder


def write_page(folder: Path, to: Path | None = None) -> Path:
    """The page of a run folder, as a command writes it."""
    folder = RunFolder(folder)
    run = read_rows(folder, read_run(folder))
    return write_report(folder, run, find(run), to)
