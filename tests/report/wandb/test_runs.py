"""Runs in wandb: how they start, what a training sends, and what becomes of them where that fails."""

import json
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb

from naswot_lightning.errors import UserError
from naswot_lightning.report.lightning_loggers import TrainerLogger, wandb_logger
from naswot_lightning.report.loggers import LoggedRun, SentOnce
from naswot_lightning.report.wandb.content import METRICS, define_metrics, log_result
from naswot_lightning.report.wandb.runs import resolve_mode, send, start_run
from tests.report.wandb.records import Records
from tests.runs import training_result, wandb_files


def logged(folder, project="ours"):
    return LoggedRun(folder, project, "group", "1-c1", "mine", "train")


def test_resolve_mode_is_offline_unless_a_key_is_set(monkeypatch, tmp_path):
    assert resolve_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert resolve_mode("auto") == "online"
    assert resolve_mode("disabled") == "disabled"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode("auto") == "disabled"
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password " + "x" * 40)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert resolve_mode("auto") == "online"


def said(caplog):
    return [each.message for each in caplog.records if each.name.startswith("naswot_lightning")]


def test_start_run_odd_surroundings_are_one_line_or_not_read(tmp_path, monkeypatch, caplog):
    wandb.teardown()  # it reads its settings once a process
    for name, value in (("MODE", "odd"), ("BASE_URL", "odd"), ("PROJECT", "a/b")):
        with monkeypatch.context() as patch:
            patch.setenv(f"WANDB_{name}", value)
            project = os.environ.get("WANDB_PROJECT", "ours")
            assert start_run("auto", logged(tmp_path, project), {}) is None
        (message,) = said(caplog)
        assert message.startswith("wandb cannot start (")
        assert "\n" not in message
        caplog.clear()
        wandb.teardown()
    (tmp_path / "wandb").mkdir(exist_ok=True)
    (tmp_path / "wandb" / "settings").write_text("[default]\nbase_url = http://127.0.0.1:9\n")
    monkeypatch.chdir(tmp_path)
    run = start_run("offline", logged(tmp_path / "run"), {})
    run.finish()
    assert run.settings.base_url != "http://127.0.0.1:9"
    wandb.teardown()


def test_start_run_refused_is_one_line_or_kept_offline(tmp_path, monkeypatch, caplog):
    def init(mode, **arguments):
        if mode == "online":
            raise wandb.errors.CommError("returned error 403\nand more")
        return mode

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError, match=r"^--wandb\.mode online: returned error 403; use --wandb\.mode offline"):
        start_run("online", logged(tmp_path), {})
    assert start_run("auto", logged(tmp_path), {}) == "offline"
    assert said(caplog) == [
        f"wandb cannot be reached (returned error 403): the run is kept offline in {tmp_path}/wandb"
    ]


def start(folder):
    started = start_run("offline", logged(folder), {"lr": 0.1})
    define_metrics(started)
    return started


def make_logger(start, folder, file=".sent.json"):
    sent = SentOnce("wandb", logged(folder), lambda: wandb_logger(start), folder / file)
    return TrainerLogger(sent, {}, "1-c1")


def train(folder, points, last):
    """Log points of (step, metrics); where it is the last part end the training, else be cut off."""
    logger = make_logger(partial(start, folder), folder)
    for step, metrics in points:
        logger.log_metrics(metrics, step)
    checkpoint = folder / "best.ckpt"
    checkpoint.write_bytes(WEIGHTS)
    if last:
        row = {name: value for _, metrics in POINTS for name, value in metrics.items()}
        assert send(experiment(logger), lambda run: log_result(run, training_result(1, reason=None), row, checkpoint))
    else:
        experiment(logger).finish()
    wandb.teardown()


def experiment(logger):
    return logger.sent.call(lambda inner: inner.experiment)


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
        logger = make_logger(lambda run=run, starts=starts: starts.append(1) or run, tmp_path, f"{number}.json")
        for step, metrics in POINTS:
            logger.log_metrics(metrics, step)
        assert starts == [1]
        assert not (tmp_path / f"{number}.json").exists()
    assert caplog.messages == ["--logger wandb is sent nothing more of 1-c1 (Connection lost)"]


def test_logger_cut_training_is_one_run_whose_parts_hold_each_point_once(tmp_path):
    """Its steps since the checkpoint are trained again; ``wandb sync`` sends the parts as one run, which it resumes."""
    train(tmp_path, POINTS[:3], last=False)
    train(tmp_path, POINTS[1:], last=True)
    parts = first, last = [Records(path) for path in sorted(wandb_files(tmp_path))]
    for each in parts:
        assert (each.run["run_id"], each.run["resume"]) == ("mine", True)
        assert each.axes == {"epoch": None, "trainer/global_step": None, **dict.fromkeys(METRICS, "epoch")}
    sent = [{k: v for k, v in row.items() if k != "trainer/global_step"} for part in parts for row in part.history]
    assert sent == [metrics for _, metrics in POINTS]
    assert not first.of("artifact")
    (artifact,) = last.of("artifact")
    (file,) = artifact["manifest"]["contents"]
    assert (artifact["name"], file["path"]) == ("model-mine", "best.ckpt")
    assert Path(file["local_path"]).read_bytes() == WEIGHTS
    assert json.loads(artifact["metadata"])["test_acc"] == 0.94
    expected = {"test_acc": 0.94, "best_val_acc": 0.89, "status": "ok", "score_init": 1490.0, "score_final": 1590.0}
    # The metrics of the first part, too, which a run that is synced in parts forgets.
    assert {**expected, "val/acc": 0.25, "train/loss": 1.25}.items() <= last.summary.items()
    assert last.config["score_init"] == 1490.0


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
