"""Several picks at a time: the same results, one share of the machine each, all saved where it is interrupted."""

import io
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from rich.progress import Progress, TextColumn

from naswot_lightning.execution import resources
from naswot_lightning.execution.local import ThreadExecutor
from naswot_lightning.execution.resources import split_resources
from naswot_lightning.training import progress
from naswot_lightning.training.progress import Bars, Epoch, Lines, columns_of, read_epoch
from tests.conftest import ROOT

TRAIN = ("--epochs", 2, "--batch_size", 64, "--early_points", 2, "--trainer.limit_train_batches", 4)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A ranking of small networks."""
    folder = tmp_path_factory.mktemp("searched") / "run"
    command = ["search.py", "--samples", "6", "--batch_size", "16", "--max_params", "200000", "--run_dir", str(folder)]
    subprocess.run([sys.executable, *command, "--wandb.mode", "disabled"], cwd=ROOT, check=True, capture_output=True)
    return folder


def command_of(folder, *options):
    words = ["train.py", "--run_dir", folder, "--top", 2, *TRAIN, "--wandb.mode", "disabled", *options]
    return [sys.executable, *(str(word) for word in words)]


def copy_of(searched, folder):
    folder.mkdir()
    for name in ("config.yaml", "ranking.json", "scores.jsonl", ".run_id"):
        (folder / name).write_bytes((searched / name).read_bytes())
    return folder


def trained(folder):
    """What does not depend on the clock."""
    weights = {
        path.parent.name: torch.load(path, weights_only=True)["state_dict"] for path in folder.glob("picks/*/last.ckpt")
    }
    return {path.parent.name: path.read_bytes() for path in folder.glob("picks/*/trajectory.csv")}, weights


def same(first, second):
    (one, weights), (two, others) = first, second
    return one == two and all(
        torch.equal(tensor, others[name][key]) for name in weights for key, tensor in weights[name].items()
    )


def test_picks_side_by_side_are_those_of_one_after_the_other_also_where_they_were_interrupted(searched, tmp_path):
    serial, cut = (copy_of(searched, tmp_path / name) for name in ("serial", "cut"))
    aside = command_of(cut, "--workers", 2, "--threads", 1)
    process = subprocess.Popen(aside, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()  # an epoch of one of them
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "train.py: error: interrupted; run the same command again to continue"
    assert "Traceback" not in errors
    for command in (aside, command_of(serial, "--workers", 1, "--threads", 1)):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "2 trained picks" in done.stdout
    assert len(trained(serial)[1]) == 2
    assert same(trained(serial), trained(cut))


@pytest.mark.parametrize(
    ("asked", "threads", "shown"),
    [
        (("auto", 1, 9, None, None), 2, ["0", "1", "2", "3"]),
        (("gpu", 2, 9, None, None), 2, ["0,1", "2,3"]),
        (("gpu", 3, 9, None, None), 2, ["0,1,2"]),
        (("auto", 1, 9, 6, None), 1, ["0", "1", "2", "3", "0", "1"]),
        (("auto", 1, 3, None, 1), 1, ["0", "1", "2"]),
        (("auto", 8, 3, None, None), 1, [None]),  # Lightning says that there are fewer
        (("cpu", 1, 3, None, None), 2, [None] * 3),
        (("cpu", 2, 9, None, None), 1, [None] * 4),
        (("cpu", 1, 9, None, 4), 4, [None] * 2),
        (("cpu", 1, 1, None, None), 8, [None]),
        (("cpu", 1, 9, 16, None), 1, [None] * 16),
    ],
)
def test_the_machine_is_shared_out(monkeypatch, asked, threads, shown):
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["0", "1", "2", "3"])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    found = split_resources(*asked)
    assert [slot.environment.get("CUDA_VISIBLE_DEVICES") for slot in found] == shown
    assert {slot.threads for slot in found} == {threads}
    assert {slot.environment["OMP_NUM_THREADS"] for slot in found} == {str(threads)}


EPOCH = Epoch("2-c2", 3, 12, 1.25, 0.5, 310.128, 2.04)


def test_an_epoch_is_told_in_a_line_and_anything_else_is_a_line_of_its_own():
    assert read_epoch(EPOCH.to_line()) == EPOCH
    assert str(EPOCH) == "2-c2: epoch 3/12  train loss 1.2500  val acc 50.00 %  score 310.13  2.0 s"
    unknown = Epoch("2-c2", 3, 12, 1.25, None, None, 2.04)
    assert str(read_epoch(unknown.to_line())) == "2-c2: epoch 3/12  train loss 1.2500  score -  2.0 s"
    for line in ("", "2-c2: diverged", "{", "{}", '{"name": 3}', "null", EPOCH.to_line()[:-2]):
        assert read_epoch(line) is None


def test_a_terminal_has_a_bar_a_pick_and_keeps_a_line_of_each_that_ended():
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120)
    text = TextColumn("{task.description} {task.completed}/{task.total} {task.fields[state]}")
    with Progress(text, console=console, auto_refresh=False, transient=True) as progress:
        bars = Bars(progress)
        for number in (1, 2):
            bars.show(Epoch(f"{number}-c", 1, 4, 1.0, 0.25, 300.0, 2.0))
        bars.say("1-c: out of [memory]")
        progress.refresh()
        assert "1-c 1/4 train loss 1.0000  val acc 25.00 %  score 300.00" in shown.getvalue()
        assert "2-c 1/4" in shown.getvalue()
        assert "1-c: out of [memory]\n" in shown.getvalue()
        bars.end("1-c")
        bars.end("never begun")
        assert [task.description for task in progress.tasks] == ["2-c"]
    assert "1-c: epoch 1/4  train loss 1.0000  val acc 25.00 %  score 300.00  2.0 s" in shown.getvalue()


class Waits:
    """Each item waits for the end, and one is an error."""

    def __init__(self):
        self.stopped = False

    def prepare(self): ...

    def stop(self):
        self.stopped = True

    def __call__(self, item):
        if item == "error":
            time.sleep(0.3)  # after the first
            raise ValueError(item)
        if item == "first":
            return "done"
        while not self.stopped:
            time.sleep(0.01)
        raise KeyboardInterrupt


def test_an_error_of_one_stops_the_others_and_is_what_is_raised():
    task: Waits = Waits()
    results: list[tuple[str, str]] = []
    items = ["first", "waits", "error", "never begun", "nor this"]
    with pytest.raises(ValueError, match="error"):
        results.extend(ThreadExecutor(3).run(task, items))
    assert task.stopped
    assert results == [("first", "done")]


def test_lines_come_in_one_piece(capsys):
    Lines().show(EPOCH)
    assert capsys.readouterr().out == f"{EPOCH}\n"


def test_a_file_has_the_first_epoch_the_last_and_one_a_minute(capsys, monkeypatch):
    seconds = iter(range(0, 2000, 25))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    lines = Lines()
    for epoch in range(1, 9):
        lines.show(replace(EPOCH, epoch=epoch, epochs=8))
    assert re.findall(r"epoch (\d)/8", capsys.readouterr().out) == ["1", "4", "7", "8"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_pick_has_one_line_however_narrow_the_terminal(width):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    shown = Progress(*columns_of(width), console=console, auto_refresh=False)
    bars = Bars(shown)
    for number in (1, 2):
        bars.show(Epoch(f"{number}-12345-seed777", 7, 200, 1.5, 0.25, 1534.5, 2.0))
    with console.capture() as captured:
        console.print(shown.get_renderable())
    lines = captured.get().splitlines()
    assert len(lines) == 2
    for line in lines:
        assert len(line) <= width
        assert "7/200" in line
        assert "-12345-s" in line
        assert "score 1534.5" in line or "score 153…" in line
