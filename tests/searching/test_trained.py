"""Searches by short trainings: real ones, continued, and side by side."""

import json
import pickle

import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.execution import local
from naswot_lightning.execution.local import SerialExecutor
from naswot_lightning.scores.gradients import one_thread
from naswot_lightning.searching.algorithms.base import Trial
from naswot_lightning.searching.plan import plan_search
from naswot_lightning.training.run import TrainPick
from tests.searching.runs import QUICK, SPACE, files_of, rows_of
from tests.training.runs import train_in_this_process

AREA = {**QUICK, "evaluator": "train", "samples": 2, "algorithm": "area:start=5,population=1", "epochs": 1}
AREA["max_params"] = 200_000


def area(folder, **more):
    return run_search(SearchConfig(run_dir=str(folder), **{**AREA, **more}))


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Its candidates are trained in this process, with one thread, as by two workers on two cores."""
    folder = tmp_path_factory.mktemp("area") / "run"
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "ThreadExecutor", lambda _: SerialExecutor())
        patch.setattr(TrainPick, "__call__", lambda task, pick: train_in_this_process(pick, task.images))
        assert area(folder, workers=1) == 0
    return folder


def test_scores_pick_the_first_population_and_the_rest_is_trained(searched):
    rows = rows_of(searched)
    scored = [row for row in rows if row.get("fidelity") == 0]
    trained = [row for row in rows if "fidelity" not in row]
    assert len(scored) == 5
    assert all(row["scores"]["val_acc"] is None for row in scored)
    best = sorted(scored, key=lambda row: -(row["score"] or 0))[:1]
    assert {row["architecture"] for row in best} <= {row["architecture"] for row in trained}
    assert all(0 < row["score"] <= 1 and row["scores"]["naswot"] is None for row in trained)
    ranking = json.loads((searched / "ranking.json").read_text())
    assert [row["score"] for row in ranking] == sorted((row["score"] for row in trained), reverse=True)
    # A training is one of naswot train, and leaves no checkpoints.
    trials = list((searched / "trials" / "picks").iterdir())
    assert trials
    for trial in trials:
        assert json.loads((trial / "result.json").read_text())["epochs"] == 1
        assert not list(trial.glob("*.ckpt"))
    assert not (searched / ".images.pt").exists()


@pytest.mark.slow
def test_the_same_side_by_side(searched, tmp_path):
    assert area(tmp_path / "run", workers=2) == 0
    assert files_of(tmp_path / "run") == files_of(searched)


def test_finished_trainings_are_not_done_again_where_their_rows_are_lost(searched, tmp_path, monkeypatch):
    lines = (searched / "scores.jsonl").read_text().splitlines(keepends=True)
    before = files_of(searched)
    (searched / "scores.jsonl").write_text("".join(lines[:-1]))
    monkeypatch.setattr(TrainPick, "__call__", lambda *_: pytest.fail("it was finished"))
    assert area(searched, workers=1) == 0
    assert files_of(searched) == before
    assert len(rows_of(searched)) == len(lines)


def test_what_does_not_fit_is_one_line(tmp_path):
    for options, message in (
        ({"epochs": 3}, "--epochs 3: applies only to candidates that are trained"),
        ({"train": {"lr": 0.1}}, "--train: applies only to candidates that are trained"),
        ({"evaluator": "train", "train": {"rate": 1}}, "--train.rate: expected one of recipe, batch_size"),
        ({"evaluator": "train", "train": {"lr": "high"}}, "lr"),
        ({"algorithm": "area"}, "choose an evaluator that trains"),
        ({"evaluator": "table"}, "needs a table; give --benchmark FILE"),
    ):
        with pytest.raises(UserError, match=message):
            run_search(SearchConfig(run_dir=str(tmp_path / "run"), **{**QUICK, **options}))


def test_an_evaluator_that_is_sent_elsewhere_brings_its_scores(tmp_path):
    config = SearchConfig(run_dir=str(tmp_path / "run"), **AREA)
    evaluator = plan_search(config).evaluator
    (tmp_path / "run").mkdir()
    with evaluator:
        sent = pickle.loads(pickle.dumps(evaluator))
        trial = Trial(SPACE[284], 0.0)
        assert sent(trial).scores == evaluator(trial).scores
