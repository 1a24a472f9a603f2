"""The comparison in wandb: what it shows, when it is updated, what becomes of it where that fails or is cut off."""

import json
from contextlib import suppress

import pytest

from naswot_lightning.config import WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.report import compare as compare_module
from naswot_lightning.report.compare import compare
from naswot_lightning.report.figures import draw_figures
from naswot_lightning.report.wandb.runs import ComparisonRun
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.run_folders import write_noisy
from tests.report.wandb.records import Records
from tests.runs import result, wandb_files, write_pick

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"


def show(comparison):
    comparison.end(*compare(comparison.folder))


def tracked(run):
    return ComparisonRun(RunFolder(run), WandbConfig("offline"))


def test_comparison_is_one_run_per_folder_and_taken_up(tmp_path, monkeypatch):
    monkeypatch.setattr(compare_module, "draw_figures", lambda *given: draw_figures(*given, names=("figure6",)))
    write_noisy(tmp_path, 4)
    while_training = tracked(tmp_path)
    while_training.update()
    write_pick(tmp_path, result(5))
    show(while_training)
    show(tracked(tmp_path))  # there is nothing new
    write_pick(tmp_path, result(6, architecture=CELL, best_val_acc=0.99, test_acc=0.5), name="6-c6")
    show(tracked(tmp_path))
    first, second = (Records(path) for path in sorted(wandb_files(tmp_path)))
    run_id = RunFolder(tmp_path).run_id()
    for each in (first, second):
        assert (each.run["run_id"], each.run["resume"]) == (f"{run_id}-comparison", True)
        assert (each.run["run_group"], each.run["job_type"]) == (f"{tmp_path.name}-{run_id}", "comparison")
    evidence, summary = json.loads((tmp_path / "evidence.json").read_text())["groups"][0], second.summary
    tau = evidence["correlations"]["test_acc"]["score_init"]["kendall_tau"]
    found = [summary[f"tau/score_init{end}"] for end in ("", "_low", "_high")]
    assert found == [tau[name] for name in ("value", "low", "high")]
    assert summary["verdict_sentence"] == evidence["verdict"]["sentence"]
    best = [summary[f"best_{name}"] for name in ("pick", "architecture", "val_acc", "test_acc")]
    assert best == ["6-c6", CELL, 0.99, 0.5]  # by validation: others have a better test accuracy
    config = [second.config[name] for name in ("space", "dataset", "train_epochs", "train_seeds")]
    assert config == ["nasbench201", "digits", 3, [0]]
    table = second.table("comparison")
    assert table["columns"][:2] == ["cell", "rank"]
    # The architecture of the last pick alone is one of the space: the others have no picture.
    assert [row[0] is None for row in table["data"]] == [True] * 5 + [False]
    points = second.table("test_acc_vs_score_init_table")
    assert points["columns"] == ["score_init", "test_acc", "params", "pick"]
    lines = second.table("trajectories_table")["data"]
    steps = [(step, score) for step, of, score in lines if of == "6-c6"]
    assert steps == [(0.0, 1500.0), (1.0, 1600.0), (2.0, 1601.0), (3.0, 1602.0)]
    logged = [each["item"] for part in (first, second) for each in part.of("history")]
    assert [(row["comparison.nrows"], "figure6._type" in row) for row in logged] == [(4, False), (5, True), (6, True)]
    assert summary["picks"] == 6
    assert all(f"_wandb.visualize.{name}" in second.config for name in ("test_acc_vs_score_init", "trajectories"))
    with suppress(KeyboardInterrupt), tracked(tmp_path) as cut_off:
        cut_off.pick_ended()
        raise KeyboardInterrupt
    *_, third = (Records(path) for path in sorted(wandb_files(tmp_path)))
    assert [each["exit_code"] for each in third.of("exit")] == [1]  # of a second and more, with its runtime
    assert [each["item"]["comparison.nrows"] for each in third.of("history")] == [6]


def test_updates_failure_is_one_line_and_the_last(tmp_path, caplog, monkeypatch):
    def lose(_):
        raise next(errors)

    monkeypatch.setattr(ComparisonRun, "update", lose)
    errors = iter([ConnectionError("lost\nand more"), UserError("--wandb.mode online: no answer")])
    with tracked(tmp_path) as shown:
        shown.pick_ended()
        shown.pick_ended()
    assert caplog.messages == ["the comparison in wandb is not updated before the end (ConnectionError: lost)"]
    with tracked(tmp_path) as refused:
        refused.pick_ended()
        with pytest.raises(UserError, match="no answer"):
            show(refused)
    assert len(caplog.messages) == 1
