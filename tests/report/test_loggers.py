"""Loggers other than wandb's; those of packages that are not installed here are tried where they are."""

import importlib.util
import json

import pytest
from pytorch_lightning.loggers import CSVLogger

from naswot_lightning import search, train
from naswot_lightning.errors import UserError
from naswot_lightning.report.loggers import LoggedRun, SentOnce, other_loggers, parse_loggers
from tests.images import make_image_folder
from tests.runs import read_csv as read

OWN = """from pytorch_lightning.loggers import CSVLogger
def make_logger(run):
    return CSVLogger(run.folder, "mine-" + run.job, run.name)
"""


def logged(folder, name="pick"):
    return LoggedRun(folder, "project", "group", name, f"id-{name}", "train")


@pytest.mark.slow  # a training in a process of its own
def test_a_search_and_a_training_are_in_a_csv_and_in_ones_own_logger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_logger_of_a_test.py").write_text(OWN)
    make_image_folder(tmp_path / "images", {"train": 8, "test": 2})
    options = {"dataset": "imagefolder", "data_dir": "images", "logger": "csv,own_logger_of_a_test.make_logger"}
    ranking = search(samples=3, batch_size=8, run_dir="run", **options)
    train(ranking.top(1), epochs=2, batch_size=8, probe_batch_size=4, early_points=0, **options)
    (folder,) = (tmp_path / "run/picks").iterdir()
    result = json.loads((folder / "result.json").read_text())
    (of_pick,) = (tmp_path / "run/csv").glob(f"*-{folder.name}-*/metrics.csv")
    points = [row for row in read(of_pick) if row["score/naswot"]]
    trajectory = read(folder / "trajectory.csv")
    assert [float(row["score/naswot"]) for row in points] == pytest.approx([float(r["score"]) for r in trajectory])
    assert float(read(of_pick)[-1]["test_acc"]) == pytest.approx(result["test_acc"])
    (of_search,) = (tmp_path / "run/csv").glob("*-search/metrics.csv")
    assert float(read(of_search)[-1]["candidates"]) == 3
    assert read(of_search) == read(tmp_path / "run/mine-search/search run/metrics.csv")
    assert (tmp_path / f"run/mine-train/{folder.name}/metrics.csv").exists()
    assert list((tmp_path / "run/csv").glob("*-comparison/metrics.csv"))
    assert not (tmp_path / "run/wandb").exists()


def test_a_training_that_is_continued_doubles_no_point_and_loses_none(tmp_path):
    for steps in (range(6), range(3, 9)):
        (sent,) = other_loggers("csv", logged(tmp_path))
        for step in steps:
            sent.metrics({"loss": 1.0 / (1 + step), "epoch": step / 3}, step)
    rows = read(tmp_path / "csv/id-pick/metrics.csv")
    assert [(int(row["step"]), float(row["loss"])) for row in rows] == [(n, 1.0 / (1 + n)) for n in range(9)]


def test_a_logger_that_fails_is_one_line_and_ends_nothing(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(CSVLogger, "log_metrics", lambda *_: 1 / 0)
    sent = SentOnce("csv", logged(tmp_path))
    for step in range(3):
        sent.metrics({"loss": 1.0}, step)
    assert [each.message for each in caplog.records] == ["--logger csv is sent nothing more of pick (division by zero)"]


def test_what_is_no_logger_is_one_line_with_the_cure(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for text, message in (
        ("mlflow", r"--logger mlflow: not installed; pip install 'naswot-lightning\[mlflow\]'"),
        ("wandb,tensorbord", "unknown logger 'tensorbord', expected one of wandb, csv.* did you mean 'tensorboard'"),
        (",", "--logger ',': expected one or several of wandb, csv, tensorboard, mlflow"),
        ("some_module.make", "logger some_module.make: a file names this code"),
    ):
        with pytest.raises(UserError, match=message):
            parse_loggers(text)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_figures_texts_and_files_are_where_the_logger_has_a_place_for_them(name, tmp_path):
    pytest.importorskip(name)
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(tmp_path / "figure.png")
    (sent,) = other_loggers(name, logged(tmp_path))
    sent.show({"lr": 0.1}, {"best": 1.5, "verdict": "a b"}, 3, None, {"figure": tmp_path / "figure.png"})
    sent.finish()
    if name == "mlflow":
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        run_id = json.loads((tmp_path / "loggers/mlflow-id-pick.json").read_text())["mlflow run"]
        data = client.get_run(run_id).data
        assert (data.metrics["best"], data.params["lr"], data.tags["verdict"], data.tags["group"]) == (
            1.5, "0.1", "a b", "group",
        )  # fmt: skip
        assert [each.path for each in client.list_artifacts(run_id, "figures")] == ["figures/figure.png"]
    else:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path / "tensorboard/id-pick"))
        events.Reload()
        assert [(each.step, each.value) for each in events.Scalars("best")] == [(3, 1.5)]
        assert events.Tags()["images"] == ["figure"]
        assert "verdict/text_summary" in events.Tags()["tensors"]
