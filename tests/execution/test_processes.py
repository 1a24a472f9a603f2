import os
import signal
import threading
import time
from multiprocessing.process import BaseProcess

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.execution import local
from naswot_lightning.execution.base import WorkerFailure
from naswot_lightning.execution.local import ProcessExecutor


class Halved:
    """A task that any process can import."""

    def prepare(self):
        self.ready = True

    def __call__(self, item):
        assert self.ready
        if item % 2:
            raise ValueError(f"{item} is odd")
        return item // 2


def test_an_error_of_a_task_ends_the_run_with_that_error():
    assert dict(ProcessExecutor(2).run(Halved(), iter([2, 4, 6, 8, 10]))) == {2: 1, 4: 2, 6: 3, 8: 4, 10: 5}
    assert list(ProcessExecutor(2).run(Halved(), [])) == []
    with pytest.raises(ValueError, match="3 is odd"):
        list(ProcessExecutor(2).run(Halved(), [2, 3, 4]))


class Fatal:
    """Item 0 kills its worker, a path does so once, 99 takes for ever."""

    def prepare(self): ...

    def __call__(self, item):
        if item == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(item, str) and not os.path.exists(item):
            open(item, "w").close()
            os._exit(3)
        if item == 99:
            time.sleep(600)
        return item


def test_what_kills_its_worker_is_tried_again_and_then_lost_and_the_others_go_on(tmp_path, caplog):
    once = str(tmp_path / "died")
    items = [5, 0, 6, once, 7, 8]
    results = list(ProcessExecutor(2).run(Fatal(), items))
    assert sorted(map(str, dict(results))) == sorted(map(str, items))
    assert len(results) == len(items)
    assert dict(results)[0] == WorkerFailure("was killed by SIGKILL, as Linux does where memory runs out")
    assert all(result == item for item, result in results if item != 0)
    assert len(caplog.messages) == 2
    assert any("ended with exit code 3; what it was at is tried again" in message for message in caplog.messages)


def test_what_hangs_is_lost_in_time():
    results = dict(ProcessExecutor(2, timeout=1.0).run(Fatal(), [1, 99, 2, 3]))
    assert results == {1: 1, 2: 2, 3: 3, 99: WorkerFailure("gave no answer in 1 s")}


class Stopped:
    """Stops its process while it gets ready, once, or where it is idle."""

    def __init__(self, mark=None):
        self.mark = mark

    def prepare(self):
        if self.mark is not None and not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getpid(), signal.SIGSTOP)

    def __call__(self, item):
        if self.mark is None:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGSTOP)).start()
        return item


def test_what_hangs_before_it_is_ready_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_START_S", 5.0)
    assert dict(ProcessExecutor(1, timeout=1.0).run(Stopped(str(tmp_path / "mark")), [1, 2])) == {1: 1, 2: 2}


def test_what_hangs_when_all_is_done_is_ended(monkeypatch):
    monkeypatch.setattr(local, "_PATIENCE_S", 0.5)
    ran = ProcessExecutor(1).run(Stopped(), [1])
    assert next(ran) == (1, 1)
    time.sleep(0.3)
    assert list(ran) == []


class NeverReady:
    def prepare(self):
        os._exit(7)

    def __call__(self, item): ...


def test_workers_that_cannot_get_ready_are_one_line():
    with pytest.raises(UserError, match="one of 2 workers ended with exit code 7 before it was ready, 3 times"):
        list(ProcessExecutor(2).run(NeverReady(), [1, 2, 3]))


class Where:
    def prepare(self): ...

    def __call__(self, item):
        time.sleep(0.2)
        return os.environ["PLACE"]


def test_each_process_has_its_environment_in_turns():
    environments = [{"PLACE": "a"}, {"PLACE": "b"}]
    assert set(dict(ProcessExecutor(2, environments).run(Where(), range(6))).values()) == {"a", "b"}
    assert "PLACE" not in os.environ


class Answers(Halved):
    """A task whose workers have answered all before anybody looks."""


def test_a_worker_that_has_answered_all_it_was_given_is_given_more():
    results = []
    for pair in ProcessExecutor(2).run(Answers(), range(0, 40, 2)):
        time.sleep(0.02)
        results.append(pair)
    assert dict(results) == {item: item // 2 for item in range(0, 40, 2)}
    assert len(results) == 20


class Heavy(Halved):
    """A task of more bytes than a pipe holds."""

    def __init__(self):
        self.ballast = bytes(1_000_000)


def test_a_worker_that_dies_before_it_has_its_task_is_replaced(monkeypatch):
    started, start = [], BaseProcess.start

    def start_and_kill_the_first(process):
        start(process)
        started.append(process)
        if len(started) == 1:
            process.kill()

    monkeypatch.setattr(BaseProcess, "start", start_and_kill_the_first)
    assert dict(ProcessExecutor(2).run(Heavy(), [2, 4, 6])) == {2: 1, 4: 2, 6: 3}
    assert len(started) == 3
