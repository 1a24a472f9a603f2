import os
import pickle
import re
import signal

import pytest
import torch

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.execution import slurm
from naswot_lightning.execution.base import ResourceRequest
from naswot_lightning.execution.slurm import SlurmExecutor, split_into_jobs, to_minutes
from naswot_lightning.scorer import ScoreEvaluator
from tests.execution import fake_slurm
from tests.execution.tasks import Halved, KillsItsParent, Training, are_training, begin, interrupted_when, wait_until
from tests.searching.runs import QUICK, SPACE

submitit = pytest.importorskip("submitit")
CPU = "cpu"
LOCAL = {"cluster": "local"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    # Another machine's file may be late, which submitit waits for.
    monkeypatch.setattr(submitit.core.core.Job, "_results_timeout_s", 0.5)

    def run(task, items, options=LOCAL, workers=2, device=CPU, **asked):
        request = ResourceRequest(workers, device, folder=tmp_path, options=options, **asked)
        return SlurmExecutor(request).run(task, items)

    return run


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The folder of a cluster of this machine."""
    folder = tmp_path / "slurm"
    fake_slurm.install(folder, monkeypatch)
    submitit.SlurmJob.watcher.clear()  # of the jobs of another test, which have the same numbers
    monkeypatch.setattr(slurm, "_POLL_S", 0.2)
    monkeypatch.setattr(slurm, "_QUERY_S", 0.5)
    return folder


def asked(cluster, program):
    return [line for line in (cluster / "asked").read_text().splitlines() if line.startswith(program)]


def test_the_items_of_a_job_that_is_lost_are_submitted_again_and_the_one_that_ends_it_fails(run, caplog):
    results = list(run(KillsItsParent(), [1, 0], workers=1))
    assert sorted(item for item, _ in results) == [0, 1]
    failure = dict(results).pop(0)
    assert re.fullmatch(r"ended without an answer, see .*/jobs/[^/]+/\d+_0_log.err", failure.reason)
    assert all(result == item for item, result in results if item)
    assert len(caplog.messages) == 2  # of two candidates, of one
    assert all("warning: a job ended without" in message for message in caplog.messages)


def test_jobs_that_are_lost_one_after_the_other_are_one_line(run, monkeypatch):
    monkeypatch.setattr(slurm, "_MOST_LOSSES", 2)
    with pytest.raises(UserError, match=r"2 jobs in a row gave no result; the last one ended .*err; finished work is"):
        list(run(KillsItsParent(), [0] * 8, workers=1))


def test_an_array_of_slurm_is_asked_for_with_the_options(cluster, run, folders, capsys):
    options = {"partition": "long", "time": "1-12", "gres": "gpu:1", "setup": ["module load x", "y"], "mem": "16GB"}
    for folder in folders:
        (folder / "saved").touch()
    results = list(run(Training(), folders, options, 1, "cuda", runs_subprocess=True, threads=4))
    assert sorted(results) == [(folder, "continued") for folder in folders]
    script = (cluster / "100.sh").read_text()
    for line in (
        "#SBATCH --array=0-1%1", "#SBATCH --partition=long", "#SBATCH --time=2160", "#SBATCH --gres=gpu:1",
        "#SBATCH --cpus-per-task=4", "#SBATCH --mem=16GB", "module load x", "#SBATCH --signal=USR2@90",
    ):  # fmt: skip
        assert line in script
    assert "gpus-per-node" not in script
    assert " -c4 " in script
    printed = capsys.readouterr()
    assert sorted(printed.out.splitlines()) == ["1-a: begun", "2-b: begun"]
    assert re.fullmatch(r"2 SLURM jobs, starting with 100_0; logs in .*/jobs/[\w-]+\n", printed.err)


def test_a_job_of_slurm_that_must_make_room_is_requeued_and_one_that_dies_is_submitted_again(
    cluster, run, folders, caplog
):
    thread, results = begin(run(Training(), folders, {}, runs_subprocess=True), are_training(folders))
    first, second = (int((folder / "process").read_text()) for folder in folders)
    os.kill(first, signal.SIGUSR2)
    wait_until(lambda: asked(cluster, "scontrol"))
    (folders[1] / "saved").touch()
    os.kill(second, signal.SIGKILL)
    thread.join(60)
    assert sorted(results) == [(folder, "continued") for folder in folders]
    assert asked(cluster, "scontrol") == ["scontrol requeue 100_0"]
    assert len(asked(cluster, "sbatch")) == 2
    assert len(caplog.messages) == 1
    assert re.search(r"a job ended as FAILED, see .*100_1_0_log.err; 2-b is tried again", caplog.messages[0])


def test_jobs_of_slurm_are_told_to_save_where_the_command_ends(cluster, run, folders):
    with pytest.raises(KeyboardInterrupt), interrupted_when(are_training(folders)):
        list(run(Training(), folders, {}, runs_subprocess=True))
    assert all((folder / "saved").exists() for folder in folders)
    assert asked(cluster, "scancel") == ["scancel --state=PENDING 100_0 100_1", "scancel --signal=INT 100_0 100_1"]


def test_what_slurm_refuses_is_one_line(cluster, run):
    with pytest.raises(UserError, match="--engine slurm: sbatch: error: invalid partition specified: none") as error:
        list(run(Halved(), [2, 4], {"partition": "none"}))
    assert "\n" not in str(error.value)


def test_candidates_are_split_into_jobs_of_a_hundred_at_most():
    for number, workers, sizes in (
        (3, None, [3]), (1000, None, [100] * 10), (1010, 4, [85] * 2 + [84] * 10), (5, 2, [3, 2]), (2, 4, [1, 1]),
    ):  # fmt: skip
        assert [len(jobs) for jobs in split_into_jobs(list(range(number)), ResourceRequest(workers, CPU))] == sizes


def test_what_is_wrong_with_the_options_is_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    for options, said in (
        ({}, r"Could not detect .srun.*or use --slurm.cluster local"),
        ({"clustr": "local"}, r"unknown option of --slurm 'clustr', expected one of account, .*did you mean 'cluster'"),
        ({"cluster": "lokal"}, r"unknown --slurm.cluster 'lokal', expected one of slurm, local"),
        ({"cluster": "local", "time": "soon"}, r"--slurm.time soon: expected minutes, or a time such as 04:00:00"),
        ({"cluster": "local", "time": "00:00:00"}, r"--slurm.time 00:00:00: expected minutes"),
        ({"cluster": "local", "nodes": 2}, r"unknown option of --slurm 'nodes'"),
        ({"partition": "x\ntouch y"}, r"--slurm.partition 'x\\ntouch y': expected a word or a number"),
        ({"account": "$(touch y)"}, r"--slurm.account '\$\(touch y\)': expected a word or a number"),
        ({"qos": ["a", "b"]}, r"--slurm.qos \['a', 'b'\]: expected a word or a number"),
    ):
        with pytest.raises(UserError, match=said) as error:
            SlurmExecutor(ResourceRequest(1, CPU, options=options))
        assert "\n" not in str(error.value)


def test_what_jobs_tell_is_read_only_from_files_of_this_command(run, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    (tmp_path / "jobs").mkdir()
    for number in range(os.getpid(), os.getpid() + 300):  # a local job has the number of its process
        (tmp_path / "jobs" / f"{number}_0_result.pkl").write_bytes(pickle.dumps(Bomb()))
    assert list(run(Halved(), [2])) == [(2, 1)]
    assert not (tmp_path / "exploded").exists()


def test_limits_of_time_are_read_as_slurm_reads_them():
    limits = {"15": 15, 15: 15, "15:01": 16, "01:30:00": 90, "2-0": 2880, "2-01:30": 2970, "1-00:00:01": 1441}
    assert {limit: to_minutes(limit) for limit in limits} == limits


def test_a_device_is_looked_for_where_the_job_runs(tmp_path, monkeypatch):
    options = {"cluster": "local", "gres": "gpu:1"}
    given = {**QUICK, "run_dir": str(tmp_path / "run"), "engine": "slurm", "slurm": options}
    with pytest.raises(UserError, match="--device cuda: this machine has 0 CUDA devices"):
        run_search(SearchConfig(**given, device="cuda"))
    assert (tmp_path / "run" / "jobs").exists()  # it was a job that found none
    parameters = slurm.slurm_parameters(ResourceRequest(1, "cuda", options=options))
    assert (parameters["slurm_gres"], "gpus_per_node" in parameters) == ("gpu:1", False)
    assert slurm.slurm_parameters(ResourceRequest(1, "cuda"))["gpus_per_node"] == 1
    with pytest.raises(UserError, match="--device cuda:1: SLURM chooses among the GPUs"):
        slurm.slurm_parameters(ResourceRequest(1, "cuda:1"))
    assert "gpus_per_node" not in slurm.slurm_parameters(ResourceRequest(1, "auto"))
    # Resolved here, it is still sent by its name.
    evaluator = ScoreEvaluator(SPACE, [], device="auto")
    here, sent = evaluator.device, pickle.dumps(evaluator)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    assert (str(here), str(pickle.loads(sent).device)) == ("cpu", "cuda")
