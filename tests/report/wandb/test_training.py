import json
from functools import partial
from types import SimpleNamespace

import wandb

from naswot_lightning.report.wandb.content import METRICS, cell_pictures, define_metrics, log_result
from naswot_lightning.report.wandb.logger import SentOnceLogger
from naswot_lightning.report.wandb.runs import send, start_run
from tests.report.wandb.records import Records, comparable, sync
from tests.report.wandb.server import MANIFEST, serving
from tests.runs import training_result, wandb_files


def start(folder, mode="offline"):
    started = start_run(mode, None, folder, {"lr": 0.1}, id="mine", name="1-c1", job_type="train")
    define_metrics(started)
    return started


def train(folder, points, last, mode="offline"):
    """Log points of (step, metrics); where it is the last part end the training, else be cut off."""
    logger = SentOnceLogger(partial(start, folder, mode), folder / ".sent.json")
    for step, metrics in points:
        logger.log_metrics(metrics, step)
    checkpoint = folder / "best.ckpt"
    checkpoint.write_bytes(WEIGHTS)
    if last:
        row = {name: value for _, metrics in POINTS for name, value in metrics.items()}
        assert send(logger.experiment, lambda run: log_result(run, training_result(1, reason=None), row, checkpoint))
    else:
        logger.experiment.finish()
    wandb.teardown()


WEIGHTS = bytes(range(256)) * 100
POINTS = [
    (0, {"score/naswot": 300.0, "epoch": 0.0}),
    (4, {"score/naswot": 310.0, "epoch": 0.5}),
    (8, {"val/acc": 0.25, "val/loss": 1.5, "epoch": 1.0}),
    (8, {"score/naswot": 320.0, "epoch": 1.0}),
    (9, {"train/loss": 1.25, "lr": 0.1, "epoch": 1.0}),
]


def test_logger_run_that_cannot_start_or_is_lost_warns_once(tmp_path, caplog):
    def lose(*_):
        raise ConnectionResetError("Connection lost")

    for number, run in enumerate((None, SimpleNamespace(log=lose))):
        starts = []
        logger = SentOnceLogger(lambda run=run, starts=starts: starts.append(1) or run, tmp_path / f"{number}.json")
        for step, metrics in POINTS:
            logger.log_metrics(metrics, step)
        assert starts == [1]
        assert not (tmp_path / f"{number}.json").exists()
    assert caplog.messages == ["wandb is sent nothing more of this training (Connection lost)"]


def test_logger_cut_training_is_one_run_to_the_server(tmp_path, monkeypatch):
    """Its steps since the checkpoint are trained again and sent once; online it is the same."""
    cut, online = tmp_path / "cut", tmp_path / "online"
    for folder in (cut, online):
        folder.mkdir()
    train(cut, POINTS[:3], last=False)
    train(cut, POINTS[1:], last=True)
    first, second = (Records(path) for path in sorted(wandb_files(cut)))
    for each in (first, second):
        assert each.axes == {"epoch": None, "trainer/global_step": None, **dict.fromkeys(METRICS, "epoch")}
    assert [row["epoch"] for row in first.history + second.history] == [0.0, 0.5, 1.0, 1.0, 1.0]
    with serving() as server:
        sync(cut, server.environment)
        of_cut = server.runs["mine"]
    with serving() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        train(online, POINTS[:3], last=False, mode="online")
        train(online, POINTS[1:], last=True, mode="online")
        of_online = server.runs["mine"]
    synced, sent = comparable(of_cut), comparable(of_online)
    assert synced == sent
    assert [row["epoch"] for row in sent["history"]] == [0.0, 0.5, 1.0, 1.0, 1.0]
    for kept in (of_cut, of_online):
        (artifact,) = kept.artifacts.values()
        assert artifact.files["best.ckpt"] == WEIGHTS
        assert json.loads(artifact.given["metadata"])["test_acc"] == 0.94
    assert sent["artifacts"] == {"model-mine": ["best.ckpt", MANIFEST]}
    summary = sent["summary"]
    assert (summary["test_acc"], summary["best_val_acc"], summary["status"]) == (0.94, 0.89, "ok")
    assert (summary["score_init"], summary["score_final"]) == (1490.0, 1590.0)
    assert sent["config"]["score_init"]["value"] == 1490.0


def test_send_refused_or_killed_is_one_line(tmp_path, caplog):
    def fail(run):
        raise wandb.errors.CommError("returned error 502\nand more")

    def lose(*_, **__):
        raise ConnectionResetError("Connection lost")

    assert not send(start(tmp_path), fail)
    assert "wandb has not all of run 1-c1 (returned error 502)" in caplog.messages
    assert not send(SimpleNamespace(name="mine", finish=lose), lambda run: None)
    assert "wandb has not all of run mine (Connection lost)" in caplog.messages
    wandb.teardown()
