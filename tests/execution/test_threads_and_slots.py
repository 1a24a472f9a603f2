"""What trains picks side by side: threads that wait for processes, and their shares of the machine."""

import time

import pytest
import torch

from naswot_lightning.execution import resources
from naswot_lightning.execution.local import ThreadExecutor
from naswot_lightning.execution.resources import split_resources


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
