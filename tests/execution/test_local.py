"""The engine of this machine: in this process, in threads, and in processes that die, hang, or are never ready."""

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import UserError
from naswot_lightning.execution import local, resources
from naswot_lightning.execution.base import ResourceRequest, WorkerFailure
from naswot_lightning.execution.local import (
    AutomaticExecutor,
    ProcessExecutor,
    SerialExecutor,
    ThreadExecutor,
    local_executor,
)
from naswot_lightning.scorer import ScoreEvaluator
from spaces import get_space
from tests.conftest import ROOT
from tests.execution.tasks import Fatal, Forking, Halved, NeverReady, Odd, Stopped, Where, wait_until

SPACE = get_space("nasbench201")
DISCONNECTED = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def small_evaluator(space=None):
    # Looked up at the call: other tests forget the spaces that were made, and workers are sent its name.
    return ScoreEvaluator(space or get_space("nasbench201"), [load_probe("noise", "", 4, 0, probe_size=8)])


@pytest.fixture
def always_worthwhile(monkeypatch):
    monkeypatch.setattr(local, "_WORTHWHILE_S", 0.0)


@pytest.mark.parametrize(
    ("name", "bf16"),
    [
        ("nasbench201", True),
        pytest.param("nds_vanilla", False, marks=pytest.mark.slow),
        pytest.param("tests.own_networks.networks", False, marks=pytest.mark.slow),
    ],
)
def test_scores_are_the_same_in_one_process_in_workers_and_with_any_threads(name, bf16):
    space, rng = get_space(name), random.Random(1)
    scores = ("naswot", "jacob_cov", "grad_norm", "snip", "synflow")
    precision = "bf16" if bf16 else "32"
    evaluator = ScoreEvaluator(space, [load_probe("noise", "", 16, 0, probe_size=16)], scores, precision=precision)
    networks = list(dict.fromkeys(space.sample(rng) for _ in range(3)))
    if name == "nasbench201":
        networks.append(DISCONNECTED)
    pairs = list(ProcessExecutor(2).run(evaluator, iter(networks)))
    assert sorted(network for network, _ in pairs) == sorted(networks)
    expected = {network: replace(values, seconds=0.0) for network, values in pairs}
    threads = torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            here = [
                (network, replace(values, seconds=0.0)) for network, values in SerialExecutor().run(evaluator, networks)
            ]
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
        assert [network for network, _ in here] == networks
        assert all(replace(values, seconds=0.0) == expected[network] for network, values in here)


def test_items_are_answered_once_each_also_none_and_by_a_task_that_forks(always_worthwhile):
    executors = SerialExecutor(), ProcessExecutor(2), AutomaticExecutor(ProcessExecutor(2)), ThreadExecutor(2)
    for executor in executors:
        assert list(executor.run(Halved(), [])) == []
        assert sorted(executor.run(Forking(), range(12))) == [(item, -item) for item in range(12)]


def test_workers_are_started_where_they_are_worth_it_and_the_task_can_be_sent(monkeypatch):
    known = get_space("nasbench201")
    networks = [known[index] for index in range(6)]
    started = []

    def start(self, spec, items):
        started.append(len(items))
        return ((item, "in a worker") for item in items)

    class Local(type(SPACE)):
        """A class that no other process can find."""

    with pytest.raises(UserError, match=r"--workers 2: another process cannot make the space.*use --workers 1, with"):
        list(ProcessExecutor(2).run(small_evaluator(Local()), networks))
    monkeypatch.setattr(ProcessExecutor, "run_packed", start)
    for worthwhile, workers, space, expected in (
        (30.0, 2, known, []), (0.0, 2, known, [3]), (0.0, 1, known, [3]), (0.0, 2, Local(), [3]),
    ):  # fmt: skip
        monkeypatch.setattr(local, "_WORTHWHILE_S", worthwhile)
        executor = AutomaticExecutor(ProcessExecutor(workers))
        assert len(dict(executor.run(small_evaluator(space), networks))) == 6
        assert started == expected


def test_what_runs_a_task_is_chosen_by_what_is_asked(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert isinstance(local_executor(ResourceRequest(3, cpu, runs_subprocess=True)), ThreadExecutor)
    assert isinstance(local_executor(ResourceRequest(1, cpu)), SerialExecutor)
    assert isinstance(local_executor(ResourceRequest(None, cpu)), AutomaticExecutor)
    hangs = local_executor(ResourceRequest(1, cpu, timeout=9.0))
    assert (hangs.count, hangs.timeout, hangs.threads) == (1, 9.0, torch.get_num_threads())
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["GPU-a", "GPU-b"])
    four = local_executor(ResourceRequest(4, cuda))
    assert (four.count, four.threads) == (4, 1)
    assert [each["CUDA_VISIBLE_DEVICES"] for each in four.environments] == ["GPU-a", "GPU-b"]
    chosen = local_executor(ResourceRequest(None, cuda)).processes
    assert (chosen.count, chosen.environments) == (2, four.environments)
    assert local_executor(ResourceRequest(2, torch.device("cuda:1"))).environments == [{}]
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["0"])
    assert isinstance(local_executor(ResourceRequest(None, cuda)), SerialExecutor)


def test_each_process_has_its_devices_and_its_threads():
    environments = [{"CUDA_VISIBLE_DEVICES": "a"}, {"CUDA_VISIBLE_DEVICES": "b"}]
    before = dict(os.environ)
    found = dict(ProcessExecutor(3, environments, threads=2).run(Where(), range(9))).values()
    assert {device: len({pid for pid, _, other in found if other == device}) for _, _, device in found} == {
        "a": 2,
        "b": 1,
    }
    assert {threads for _, threads, _ in found} == {"2"}
    assert dict(os.environ) == before


def test_an_error_of_a_task_ends_the_run_with_that_error():
    assert dict(ProcessExecutor(2).run(Halved(), iter([2, 4, 6, 8, 10]))) == {2: 1, 4: 2, 6: 3, 8: 4, 10: 5}
    with pytest.raises(ValueError, match="3 is odd"):
        list(ProcessExecutor(2).run(Halved(), [2, 3, 4]))
    with pytest.raises(RuntimeError, match="Unsendable: 1 and more"):
        list(ProcessExecutor(1).run(Odd(), [1]))


def test_what_kills_its_worker_or_hangs_is_tried_again_and_then_fails_and_the_others_go_on(tmp_path, caplog):
    once = str(tmp_path / "died")
    items = [5, 0, 6, once, 99, 7, 8]
    for workers in (2, 1):
        caplog.clear()
        results = list(ProcessExecutor(workers, timeout=1.0).run(Fatal(), items))
        assert sorted(map(str, dict(results))) == sorted(map(str, items))
        assert len(results) == len(items)
        assert dict(results)[0] == WorkerFailure("was killed by SIGKILL, as Linux does where memory runs out")
        assert dict(results)[99] == WorkerFailure("gave no answer in 1 s")
        assert all(result == item for item, result in results if item not in (0, 99))
        assert len(caplog.messages) == 3
        assert any("ended with exit code 3; what it was at is tried again" in message for message in caplog.messages)
        os.remove(once)


def test_a_killed_worker_loses_nothing_and_its_items_are_answered_once():
    results = []
    for item, (process, _, _) in ProcessExecutor(2).run(Where(), range(30)):
        results.append(item)
        if len(results) == 10:
            os.kill(process, signal.SIGKILL)
    assert sorted(results) == list(range(30))


def test_what_hangs_before_it_is_ready_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_START_S", 3.0)
    assert dict(ProcessExecutor(1, timeout=1.0).run(Stopped(str(tmp_path / "mark")), [1, 2])) == {1: 1, 2: 2}


def test_what_hangs_when_all_is_done_is_ended():
    ran = ProcessExecutor(1).run(Where(), [1])
    _, (process, _, _) = next(ran)
    os.kill(process, signal.SIGSTOP)
    assert list(ran) == []
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_workers_that_cannot_get_ready_are_one_line():
    with pytest.raises(UserError, match=r"^a worker ended with exit code 7 before it was ready, 3 times.* --workers$"):
        list(ProcessExecutor(2).run(NeverReady(), [1, 2, 3]))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_workers_end_with_their_parent_also_in_the_middle_of_an_item():
    program = "import sys; from tests.execution.test_local import *\nif __name__ == '__main__': list("
    program += "ProcessExecutor(2).run(Fatal(), [99, 99]))"
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    workers = wait_until(lambda: [pid for pid in children.read_text().split() if is_at_work(pid)][1:])
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(map(is_at_work, workers)))


def is_at_work(pid):
    """Whether a process is a worker that has not ended."""
    with suppress(OSError):
        return b"multiprocessing.spawn" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@pytest.mark.slow
def test_a_killed_worker_of_a_search_is_one_line(tmp_path):
    command = ["search.py", "--samples", "60", "--batch_size", "16", "--workers", "2", "--wandb.mode", "disabled"]
    process = subprocess.Popen(
        [sys.executable, *command, "--run_dir", tmp_path / "run"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    rows = tmp_path / "run" / "scores.jsonl"
    wait_until(lambda: rows.exists() and rows.read_text().count("\n") >= 4)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    os.kill(int(next(pid for pid in children.read_text().split() if is_at_work(pid))), signal.SIGKILL)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    (told,) = [line for line in errors.splitlines() if line and "scoring" not in line]
    assert told.startswith(
        "warning: a worker was killed by SIGKILL, as Linux does where memory runs out; what it was at"
    )
    assert len({json.loads(line)["architecture"] for line in rows.read_text().splitlines()}) == 60
    assert "best 10 of 60" in output
