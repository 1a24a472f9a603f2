"""The engine of this machine: in this process, in threads and in processes, and their shares of the machine."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import UserError
from naswot_lightning.execution import local, resources
from naswot_lightning.execution.base import ResourceRequest
from naswot_lightning.execution.engine import Pool
from naswot_lightning.execution.local import (
    AutomaticExecutor,
    ProcessExecutor,
    SerialExecutor,
    ThreadExecutor,
    local_executor,
)
from naswot_lightning.execution.resources import split_resources
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.spaces import get_space, trust
from tests.conftest import ROOT
from tests.execution.tasks import Forking, Halved, Stopped, Where, wait_until
from tests.searching.runs import QUICK, files_of

SPACE = get_space("nasbench201")


def small_evaluator(space=None):
    # Looked up at the call: other tests forget the spaces that were made, and workers are sent its name.
    return ScoreEvaluator(space or get_space("nasbench201"), [load_probe("noise", "", 4, 0, probe_size=8)])


def test_items_are_answered_once_each_also_none_and_by_a_task_that_forks(monkeypatch):
    monkeypatch.setattr(local, "_WORTHWHILE_S", 0.0)
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
    cpu, cuda = "cpu", "cuda"
    assert isinstance(local_executor(ResourceRequest(3, cpu, runs_subprocess=True)), ThreadExecutor)
    assert isinstance(local_executor(ResourceRequest(1, cpu)), SerialExecutor)
    assert isinstance(local_executor(ResourceRequest(None, cpu)), AutomaticExecutor)
    hangs = local_executor(ResourceRequest(1, cpu, timeout=9.0))
    assert (hangs.count, hangs.timeout, hangs.threads) == (1, 9.0, torch.get_num_threads())
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    four = local_executor(ResourceRequest(4, cuda))
    assert (four.count, four.threads) == (4, 1)
    assert (list(four.environments), four.grows) == (["GPU-a", "GPU-b"], False)
    for per_gpu, count in ((None, 8), (3, 6)):
        chosen = local_executor(ResourceRequest(None, cuda, workers_per_gpu=per_gpu))
        assert (chosen.count, chosen.environments, chosen.grows) == (count, four.environments, True)
    assert local_executor(ResourceRequest(2, "cuda:1")).environments == {"": {}}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # what a process sees of several parts of a GPU
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,MIG-b,MIG-c")
    assert list(local_executor(ResourceRequest(None, cuda)).environments) == ["MIG-a", "MIG-b", "MIG-c"]
    assert isinstance(local_executor(ResourceRequest(1, cuda)), SerialExecutor)


def test_a_gpu_has_one_process_until_more_are_worth_it_and_they_stay_within_a_block(monkeypatch):
    environments = [{"CUDA_VISIBLE_DEVICES": "a"}, {"CUDA_VISIBLE_DEVICES": "b"}]
    for worthwhile, count, items in ((30.0, 2, 10), (0.3, 4, 40)):
        monkeypatch.setattr(local, "_WORTHWHILE_S", worthwhile)
        executor = ProcessExecutor(4, environments)
        executor.grows = True
        with executor:
            found = {pid: device for _, (pid, _, device) in executor.run(Where(), range(items))}
            assert sorted(found.values()) == sorted("ab" * (count // 2))
            assert {pid for _, (pid, _, _) in executor.run(Where(), range(4))} <= set(found)
        assert executor.workers == []


def test_a_search_on_gpus_leaves_them_to_its_workers(tmp_path, monkeypatch):
    def fail():
        raise AssertionError("this process opens CUDA")

    options = {**QUICK, "algorithm": "rea:population=4", "samples": 8}
    assert run_search(SearchConfig(**options, run_dir=str(tmp_path / "cpu"), workers=1)) == 0
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "_lazy_init", fail)
    given = {**options, "device": "cuda", "evaluator": "tests.execution.gpus.scores_on_gpus"}
    trust(given["evaluator"])
    assert run_search(SearchConfig(**given, run_dir=str(tmp_path / "gpus"))) == 0
    with pytest.raises(AssertionError, match="opens CUDA"):
        run_search(SearchConfig(**given, workers=1, run_dir=str(tmp_path / "one")))
    assert files_of(tmp_path / "gpus") == files_of(tmp_path / "cpu")


def test_a_script_without_a_guard_has_workers(tmp_path):
    script = tmp_path / "script.py"
    words = "from naswot_lightning.execution.local import ProcessExecutor", "from tests.execution.tasks import Halved"
    script.write_text("\n".join([*words, "print(list(ProcessExecutor(1).run(Halved(), [2])))"]))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[(2, 1)]\n"


@pytest.mark.slow
def test_what_hangs_before_it_is_ready_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_START_S", 3.0)
    assert dict(ProcessExecutor(1, timeout=1.0).run(Stopped(str(tmp_path / "mark")), [1, 2])) == {1: 1, 2: 2}


def test_what_hangs_when_all_is_done_is_ended(monkeypatch):
    monkeypatch.setattr(Pool.dismiss, "__defaults__", (0.5,))  # its patience
    ran = ProcessExecutor(1).run(Where(), [1])
    _, (process, _, _) = next(ran)
    os.kill(process, signal.SIGSTOP)
    assert list(ran) == []
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_workers_end_with_their_parent_also_in_the_middle_of_an_item():
    program = "from tests.execution.test_engines import *\nif __name__ == '__main__': list("
    program += "ProcessExecutor(2).run(Fatal(), [99, 99]))"
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)

    def children():
        lists = Path(f"/proc/{parent.pid}/task").glob("*/children")
        return [pid for each in lists for pid in each.read_text().split() if is_at_work(pid)]

    workers = wait_until(lambda: children()[1:])
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(map(is_at_work, workers)))


def is_at_work(pid):
    """Whether a process is a worker that has not ended."""
    with suppress(OSError):
        return b"multiprocessing.spawn" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def test_split_resources_gives_each_slot_its_gpus_and_threads(monkeypatch):
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["0", "1", "2", "3"])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    for asked, threads, shown in (
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
    ):
        slots = split_resources(*asked)
        assert [slot.environment.get("CUDA_VISIBLE_DEVICES") for slot in slots] == shown, asked
        assert {slot.threads for slot in slots} == {threads}
        assert {slot.environment["OMP_NUM_THREADS"] for slot in slots} == {str(threads)}


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


def test_thread_executor_with_an_error_stops_the_others_and_raises_it():
    task, results = Waits(), []
    with pytest.raises(ValueError, match="error"):
        results.extend(ThreadExecutor(3).run(task, ["first", "waits", "error", "never begun", "nor this"]))
    assert task.stopped
    assert results == [("first", "done")]


STEPS = """
import re
from naswot_lightning.execution.worker import tune_process
tune_process(trains=True)
import torch
from torch import nn
def held():
    return int(re.search(r"Pss_Anon: +(\\d+)", open("/proc/self/smaps_rollup").read())[1]) / 2**10
layers = [part for c in (3, 8, 8, 8, 8, 8) for part in (nn.Conv2d(c, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())]
network, before = nn.Sequential(*layers), held()
for _ in range(3):
    network(torch.randn(64, 3, 96, 96)).mean().backward()
    print(held() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux says what a process holds")
def test_a_process_that_trains_gives_its_feature_maps_back():
    held = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True).stdout
    # 18 feature maps of 18 MiB each in a step: 30 to 50 MiB stay, and 700 of those that glibc keeps.
    assert max(map(float, held.split())) < 150
