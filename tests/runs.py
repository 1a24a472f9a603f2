"""Run folders as training leaves them, without the training."""

import csv
import io
import json
from pathlib import Path

import wandb

from naswot_lightning.analysis.results import TrainingResult


def result(number: int, **changes) -> dict:
    """A ``result.json``: network ``number``, whose rank it is, with a score and an accuracy that fall with it."""
    row = {
        "rank": number, "space": "nasbench201", "architecture": f"a{number}", "canonical": f"c{number}",
        "dataset": "digits", "seed": 0, "epochs": 3, "score_init": 1500.0 - 10 * number,
        "score_final": 1600.0 - 10 * number, "val_set": "val", "test_set": "test", "best_val_acc": 0.9 - 0.01 * number,
        "params": 1000 + number, "macs": 5000 + number, "seconds": 1.5, "test_acc": 0.95 - 0.01 * number,
        "test_loss": 0.1, "status": "ok",
    }  # fmt: skip
    return {**row, **changes}


def training_result(number: int, pick: str | None = None, **changes) -> TrainingResult:
    """The same, as it is read from the folder of a pick."""
    selections = changes.pop("selections", ())
    return TrainingResult.from_json(result(number, **changes), f"{number}-x" if pick is None else pick, selections)


def write_pick(run: Path, row: dict, scores=(1500.0, 1600.0, 1601.0, 1602.0), name: str | None = None) -> Path:
    """A folder of picks/ with its result and the score after 0, 1, 2, ... epochs; None is a point that failed."""
    folder = run / "picks" / (name or f"{row['rank'] or 'given'}-{row['canonical']}")
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(row))
    (folder / "trajectory.csv").write_text(trajectory(scores))
    return folder


def trajectory(scores) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("step", "epoch", "score", "status"))
    for epoch, score in enumerate(scores):
        writer.writerow((10 * epoch, float(epoch), score, "failed" if score is None else "ok"))
    return text.getvalue()


def wandb_files(run_dir: Path, name: str = "*") -> list[Path]:
    """The files of the offline runs of a folder; the service writes them after ``finish`` has returned."""
    wandb.teardown()
    return list(run_dir.glob(f"wandb/offline-run-{name}/*.wandb"))


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
