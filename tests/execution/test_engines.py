"""What all engines do alike: local processes, Ray on a cluster of this machine, jobs of SLURM as local processes."""

import json
import os
import signal
import subprocess
import sys

import pytest

from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import ResourceRequest, WorkerFailure
from naswot_lightning.execution.local import ProcessExecutor
from naswot_lightning.registry import resolve
from tests.conftest import ROOT, slow
from tests.execution.conftest import SMALL
from tests.execution.tasks import (
    Fatal,
    Forking,
    Halved,
    NeverReady,
    Odd,
    Training,
    Where,
    are_training,
    interrupted_when,
)

CPU = "cpu"
LOCAL = {"cluster": "local"}


@pytest.fixture
def run(request, tmp_path, monkeypatch):
    """Run items with the engine of the test's parameter."""
    name = request.param
    if name == "ray":
        request.getfixturevalue("ray_cluster")
    elif name == "slurm":
        submitit = pytest.importorskip("submitit")
        # Another machine's file may be late, which submitit waits for.
        monkeypatch.setattr(submitit.core.core.Job, "_results_timeout_s", 0.5)

    def run(task, items, workers=2, timeout=None, **asked):
        if name == "local":
            return ProcessExecutor(workers, timeout=timeout).run(task, items)
        options = LOCAL if name == "slurm" else {}
        asked = ResourceRequest(workers, CPU, timeout=timeout, folder=tmp_path, options=options, **asked)
        return resolve("engine", name)(asked).run(task, items)

    run.engine = name
    return run


def with_engines(*names):
    return pytest.mark.parametrize("run", names, indirect=True)


@with_engines("local", "ray", "slurm")
def test_an_error_of_a_task_ends_the_run_with_that_error(run, tmp_path):
    assert list(run(Halved(), [])) == []
    assert sorted(run(Forking(), range(6))) == [(item, -item) for item in range(6)]
    with pytest.raises(ValueError, match=r"^3 is odd$"):
        list(run(Halved(), [2, 4, 3]))
    with pytest.raises(RuntimeError, match=r"^Unsendable: 1 and more$"):
        list(run(Odd(), [1]))
    assert dict(run(Halved(), iter([2, 4, 6, 8, 10]))) == {2: 1, 4: 2, 6: 3, 8: 4, 10: 5}
    assert [path.suffix for path in (tmp_path / "jobs").rglob("*") if "task" in path.name] == []


@with_engines("local", "slurm", *slow("ray"))
def test_what_kills_its_worker_or_hangs_is_tried_again_and_then_fails_and_the_others_go_on(run, tmp_path, caplog):
    once = str(tmp_path / "died")
    items = [5, 0, 6, once, 99, 7, 8]
    results = list(run(Fatal(), items, 3 if run.engine == "local" else 1, timeout=2.0))
    assert sorted(map(str, dict(results))) == sorted(map(str, items))
    assert len(results) == len(items)
    killed = "was killed by SIGKILL, as Linux does where memory runs out", "died, perhaps because memory ran out"
    assert dict(results)[0].reason in killed
    assert dict(results)[0].kind == "resource"
    assert dict(results)[99] == WorkerFailure("gave no answer in 2 s")
    assert [(item, result) for item, result in results if item not in (0, 99) and item != result] == []
    assert all("the item it was working on is" in message for message in caplog.messages)


@with_engines("local", *slow("ray"))
def test_a_killed_worker_loses_nothing_and_its_items_are_answered_once(run):
    results, killed = [], None
    for item, (process, threads, _) in run(Where(), range(30)):
        results.append(item)
        assert threads == "1"
        if killed is None and len(results) > 10:
            killed = process
            os.kill(process, signal.SIGKILL)
    assert killed is not None
    assert sorted(results) == list(range(30))


@with_engines("local", *slow("ray"))
def test_workers_that_cannot_get_ready_are_one_line(run):
    with pytest.raises(UserError, match=r"a worker .* before it was ready, 3 times.* with fewer --workers$"):
        list(run(NeverReady(), [1, 2, 3]))


@with_engines("ray", "slurm")
def test_trainings_save_where_the_command_ends(run, folders, capsys, caplog):
    with pytest.raises(KeyboardInterrupt), interrupted_when(are_training(folders)):
        list(run(Training(), folders, runs_subprocess=True))
    assert all((folder / "saved").exists() for folder in folders)
    assert sorted(run(Training(), folders, runs_subprocess=True)) == [(folder, "continued") for folder in folders]
    assert sorted(capsys.readouterr().out.splitlines()) == ["1-a: begun"] * 2 + ["2-b: begun"] * 2
    assert caplog.messages == ["2 trainings are told to save and end; Ctrl-C ends them at once"]


def test_the_command_gives_the_ranking_of_one_process_wherever_it_is_run(ray_cluster, foreign, tmp_path):
    words = [*SMALL, "--workers", "1", "--run_dir", str(tmp_path / "one")]
    assert run_search(parse(SearchConfig, words, "naswot search")) == 0
    environment = {**os.environ, "RAY_ADDRESS": ray_cluster}
    both = [("--engine", "ray"), ("--engine", "slurm", "--slurm.cluster", "local")]
    begun = [
        subprocess.Popen(
            [sys.executable, ROOT / "search.py", *SMALL, *words, "--run_dir", words[1]],
            cwd=foreign, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for words in both
    ]  # fmt: skip
    for process, words in zip(begun, both, strict=True):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert [line for line in errors.splitlines() if line and "scoring" not in line] == []
        ranking = (foreign / words[1] / "ranking.json").read_bytes()
        assert ranking == (tmp_path / "one" / "ranking.json").read_bytes()
        assert len(json.loads(ranking)) == 12
    assert not (foreign / "canary").exists()


@pytest.mark.slow
def test_picks_are_those_of_the_local_engine(trained, ray_cluster):
    expected = trained("--engine", "local")
    assert len(expected) == 2
    assert trained("--engine", "ray", env={**os.environ, "RAY_ADDRESS": ray_cluster}) == expected
    assert trained("--engine", "slurm", "--slurm.cluster", "local") == expected


def test_without_the_package_it_is_one_line_with_the_cure(monkeypatch):
    for name, package in (("ray", "ray"), ("slurm", "submitit")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UserError, match=rf"--engine {name}: .*; pip install 'naswot-lightning\[{name}\]'"):
            resolve("engine", name)(ResourceRequest(1, CPU))
