import copy
import pickle
import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from naswot_lightning import naswot_score
from naswot_lightning import score as nl_score
from naswot_lightning.callbacks import MetricsTable, ScoreTrajectory
from tests.runs import read_csv as read

PROBE = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(9))


class Model(pl.LightningModule):
    """Dropout, BatchNorm and a random augmentation: all that a careless callback would disturb."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.3))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))

    def training_step(self, batch, _):
        noise = torch.randn_like(batch[0]) * random.random() * np.random.rand()
        return F.cross_entropy(self(batch[0] + noise), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Crash(pl.Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 2:
            raise RuntimeError("crash on purpose")


def loader():
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(40, 3, 8, 8, generator=generator), torch.arange(40) % 3
    return DataLoader(TensorDataset(images, labels), batch_size=5)  # 8 steps an epoch


def fit(folder, callbacks, epochs=3, ckpt_path=None, logger=False, model=None, data=None, **arguments):
    pl.seed_everything(3, verbose=False)
    model = model or Model()
    trainer = pl.Trainer(
        max_epochs=epochs, callbacks=callbacks, logger=logger, default_root_dir=folder, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", enable_checkpointing=bool(arguments.pop("checkpoints", False)),
        log_every_n_steps=1, **arguments,
    )  # fmt: skip
    trainer.fit(model, data or loader(), ckpt_path=ckpt_path)
    return model, trainer


def test_training_is_the_same_to_the_last_bit(tmp_path):
    """Weights, BatchNorm statistics, optimizer state and every generator, with and without the callback."""
    states = []
    for callbacks in ([], [ScoreTrajectory(PROBE, batch_norm="both")]):
        model, trainer = fit(tmp_path, callbacks)
        momenta = [state["momentum_buffer"] for state in trainer.optimizers[0].state.values()]
        tensors = [*model.state_dict().values(), *momenta, torch.get_rng_state()]
        states.append(([tensor.tolist() for tensor in tensors], random.getstate(), np.random.get_state()[1].tolist()))
    assert "body.1.running_mean" in model.state_dict()
    assert states[0] == states[1]


def test_points_are_the_untrained_network_inside_two_epochs_then_every_epoch(tmp_path):
    pl.seed_everything(3, verbose=False)
    untrained = naswot_score(Model(), PROBE)
    model, _ = fit(tmp_path, [ScoreTrajectory(PROBE, early_points=4)], epochs=4)
    rows = read(tmp_path / "trajectory.csv")
    assert [float(row["epoch"]) for row in rows] == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 3, 4]
    assert [int(row["step"]) for row in rows] == [0, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32]
    assert float(rows[0]["score"]) == untrained
    assert float(rows[-1]["score"]) == naswot_score(model, PROBE)
    assert {row["status"] for row in rows} == {"ok"}
    for early, every, epochs in ((0, 1, [0, 1, 2, 3, 4]), (2, 2, [0, 0.5, 1.5, 2, 4])):
        fit(tmp_path, [trajectory := ScoreTrajectory(PROBE, early_points=early, every_n_epochs=every)], epochs=4)
        assert [row["epoch"] for row in trajectory.rows] == epochs
    # Of three trainings in one folder, each has its own file, and the first is as it was.
    assert read(tmp_path / "trajectory.csv") == rows
    assert len(read(tmp_path / "trajectory-v1.csv")) == 5
    assert len(read(tmp_path / "trajectory-v2.csv")) == 5


def test_any_score_of_any_input_is_a_column_and_training_is_the_same(tmp_path):
    class Words(pl.LightningModule):
        """Rows of five numbers in, so that images are (N, 5)."""

        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, 3))

        def forward(self, x):
            return self.body(x)

        def training_step(self, batch, _):
            return F.cross_entropy(self(batch[0] + torch.randn_like(batch[0])), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    generator = torch.Generator().manual_seed(5)
    inputs, labels = torch.randn(16, 5, generator=generator), torch.arange(16) % 3
    names, weights = ["relu_input_rank", "naswot", "grad_norm", "macs"], []
    for scores in ((), names):
        pl.seed_everything(3, verbose=False)
        callbacks = [ScoreTrajectory(inputs, 2, scores=scores, labels=labels)] if scores else []
        model = Words()
        start = nl_score(model, inputs, labels, names)
        fit(tmp_path, callbacks, 2, model=model, data=DataLoader(TensorDataset(inputs, labels), batch_size=4))
        weights.append([*model.state_dict().values(), torch.get_rng_state()])
    assert all(one.equal(other) for one, other in zip(*weights, strict=True))
    rows = read(tmp_path / "trajectory.csv")
    assert list(rows[0]) == ["step", "epoch", "score", "status", *names[1:]]
    assert [float(rows[0][column]) for column in ("score", *names[1:])] == [start[name] for name in names]
    assert rows[-1]["score"] == str(nl_score(model, inputs, labels, names)["relu_input_rank"])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_callback_is_of_both_packages_of_lightning(copied, monkeypatch):
    assert type(ScoreTrajectory(PROBE)) is ScoreTrajectory

    class Other:
        """The class that the Trainer of the other package looks for."""

    monkeypatch.setitem(sys.modules, "lightning.pytorch", SimpleNamespace(Callback=Other))
    made = copied(ScoreTrajectory(PROBE, early_points=3))
    assert isinstance(made, ScoreTrajectory)
    assert isinstance(made, Other)
    assert (made.early_points, made.state_key) == (3, "ScoreTrajectory[score/naswot]")
    assert isinstance(MetricsTable("m.csv"), Other)


def test_weight_averaging_adds_no_point_with_the_epoch_that_it_adds(tmp_path):
    averaging = pl.callbacks.StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2)
    _, trainer = fit(tmp_path, [ScoreTrajectory(PROBE, early_points=0), averaging])
    assert trainer.current_epoch == 4
    assert [float(row["epoch"]) for row in read(tmp_path / "trajectory.csv")] == [0, 1, 2, 3]


def test_the_axis_is_defined_of_any_logger_that_has_axes(tmp_path):
    """Such as the WandbLogger of ``lightning.pytorch``, which is another class."""
    defined = {}
    logger = CSVLogger(tmp_path)
    logger.experiment.define_metric = lambda name, step_metric=None: defined.update({name: step_metric})
    fit(tmp_path, [ScoreTrajectory(PROBE, batch_norm="both")], epochs=1, logger=logger)
    assert defined == {"epoch": None, "score/naswot": "epoch", "score/naswot_running": "epoch"}


def test_the_score_at_the_end_of_an_epoch_can_be_monitored(tmp_path):
    checkpoint = pl.callbacks.ModelCheckpoint(tmp_path, monitor="score/naswot", mode="max")
    fit(tmp_path, [ScoreTrajectory(PROBE), checkpoint], checkpoints=True)
    ends = [float(r["score"]) for r in read(tmp_path / "trajectory.csv") if float(r["epoch"]) in (1, 2, 3)]
    assert float(checkpoint.best_model_score) == pytest.approx(max(ends), rel=1e-6)


def test_a_crash_leaves_no_gap_and_no_duplicate(tmp_path):
    fit(tmp_path / "whole", [ScoreTrajectory(PROBE), MetricsTable(tmp_path / "whole" / "m.csv")], epochs=4)

    def callbacks():
        last = pl.callbacks.ModelCheckpoint(tmp_path / "cut", filename="last", enable_version_counter=False)
        return [ScoreTrajectory(PROBE), MetricsTable(tmp_path / "cut" / "m.csv"), last]

    for epoch, ckpt_path in ((1, None), (2, tmp_path / "cut" / "last.ckpt")):
        with pytest.raises(RuntimeError, match="crash on purpose"):
            fit(tmp_path / "cut", [*callbacks(), Crash(epoch)], 4, ckpt_path, checkpoints=True)
    fit(tmp_path / "cut", callbacks(), 4, tmp_path / "cut" / "last.ckpt", checkpoints=True)
    for file in ("trajectory.csv", "m.csv"):
        whole, cut = read(tmp_path / "whole" / file), read(tmp_path / "cut" / file)
        assert [(r["epoch"], r["step"]) for r in cut] == [(r["epoch"], r["step"]) for r in whole]
    assert (tmp_path / "cut" / "trajectory.csv").read_text().splitlines()[:9] == (
        tmp_path / "whole" / "trajectory.csv"
    ).read_text().splitlines()[:9]


def test_a_degenerate_score_is_a_row_without_a_number_and_is_not_logged(tmp_path):
    logger = CSVLogger(tmp_path, name="log")
    fit(tmp_path, [ScoreTrajectory(torch.zeros(4, 3, 8, 8), early_points=0)], epochs=1, logger=logger)
    rows = read(tmp_path / "trajectory.csv")
    assert [row["status"] for row in rows] == ["degenerate", "degenerate"]
    assert {row["score"] for row in rows} == {""}


def test_both_scores_are_those_of_a_run_with_either(tmp_path):
    loggers = [CSVLogger(tmp_path, name=name) for name in ("one", "two")]
    model, _ = fit(tmp_path / "both", [ScoreTrajectory(PROBE, batch_norm="both")], logger=loggers)
    for batch_norm in ("batch", "running"):
        fit(tmp_path / batch_norm, [ScoreTrajectory(PROBE, batch_norm=batch_norm)])
    rows = read(tmp_path / "both" / "trajectory.csv")
    assert list(rows[0]) == ["step", "epoch", "score", "status", "score_running"]
    by_batch, running = (read(tmp_path / name / "trajectory.csv") for name in ("batch", "running"))
    assert [{**row, "score_running": other["score"]} for row, other in zip(by_batch, running, strict=True)] == rows
    assert list(running[0]) == ["step", "epoch", "score", "status"]
    assert float(rows[-1]["score_running"]) == naswot_score(model, PROBE, batch_norm="running")
    assert all(row["score"] != row["score_running"] for row in rows)
    # Every logger gets every point, under the exact names.
    for logger in loggers:
        logged = [row for row in read(f"{logger.log_dir}/metrics.csv") if row["score/naswot"]]
        for name, column in (("score/naswot_running", "score_running"), ("score/naswot", "score"), ("epoch", "epoch")):
            assert [float(row[name]) for row in logged] == pytest.approx([float(row[column]) for row in rows])


def test_two_trajectories_keep_their_own_state(tmp_path):
    noise = ScoreTrajectory(torch.randn(4, 3, 8, 8), csv_path=tmp_path / "noise.csv", name="score/noise")
    data = ScoreTrajectory(PROBE, csv_path=tmp_path / "data.csv")
    assert noise.state_key != data.state_key
    # Of a foreign checkpoint.
    noise.load_state_dict({"file": "../../mine.csv"})
    assert noise.state_dict()["file"] == "mine.csv"
    fit(tmp_path, [noise, data], epochs=1)
    assert read(tmp_path / "noise.csv")[0]["score"] != read(tmp_path / "data.csv")[0]["score"]


def test_score_trajectory_with_bad_arguments_is_refused():
    for images, arguments, message in (
        (PROBE, {"early_points": -1}, "expected at least 0 and 1"),
        (PROBE, {"every_n_epochs": 0}, "expected at least 0 and 1"),
        (PROBE, {"batch_norm": "eval"}, "batch_norm 'eval': expected one of batch, running, both"),
        (PROBE[:1], {}, r"expected \(N, ...\) with N >= 2"),
        (PROBE, {"scores": ["naswott"]}, "unknown score 'naswott', .* did you mean 'naswot'"),
        (PROBE, {"scores": ["snip"]}, "snip: the loss needs labels; give labels="),
        (PROBE, {"scores": "snip"}, "expected a list of different names"),
        (PROBE, {"scores": ["zen"], "batch_norm": "both"}, "batch_norm 'both' is for naswot alone"),
    ):
        with pytest.raises(ValueError, match=message):
            ScoreTrajectory(images, **arguments)
