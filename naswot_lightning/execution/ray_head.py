"""The cluster of this machine alone that a command has for itself: held by a process beside it, and ended with it.

To start Ray takes seconds in which the command has other things to do, and so does to end it. The process beside it
waits at a pipe: however the command ends, the pipe is closed, and the cluster is killed with all its processes.
"""

from __future__ import annotations

import atexit
import inspect
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.remote import module_path

_STORE_BYTES = 100 * 2**20  # of Ray's object store beside the task; Ray refuses less than 75 MiB
_TASK_BYTES = 16 * 2**20  # of a task that is not known yet: ten mini-batches of 128 CIFAR images
_LOOK_S = 1.0  # between looks for parts of the cluster that have ended
_END_S = 20.0  # for the cluster to end
_PROGRAM = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from naswot_lightning.execution.ray_head import serve
serve(int(sys.argv[2]))
"""


class Head:
    """A cluster of this machine that is being started.

    Args:
        task_bytes: of the task that it has room for.
    """

    def __init__(self, task_bytes: int = _TASK_BYTES) -> None:
        self._task_bytes = task_bytes
        settle_environment()
        command = [sys.executable, "-c", _PROGRAM, json.dumps(module_path()), str(store_bytes(task_bytes))]
        # Of a session of its own: Ctrl-C is for the command, which lets its trainings save before the cluster ends.
        # In a folder without files of the user's, which could have the names of libraries.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=os.path.abspath(os.sep),
            start_new_session=True,
        )
        self._address: str | None = None
        atexit.register(self.wait)

    def has_room(self, task_bytes: int) -> bool:
        """Return whether it runs, and its store is large enough for a task."""
        return task_bytes <= self._task_bytes and not self.has_ended()

    def has_ended(self) -> bool:
        """Return whether its process has ended: it does where a part of the cluster has."""
        return self._process.poll() is not None

    def address(self) -> str:
        """Return where it can be joined, as soon as it can be.

        Raises:
            UserError: it could not be started.
        """
        if self._address is None:
            assert self._process.stdout is not None
            said = json.loads(self._process.stdout.readline() or '{"error": "it ended while it was started"}')
            if "error" in said:
                raise UserError(f"--engine ray: Ray cannot be started on this machine: {said['error']}")
            self._address = said["address"]
        return str(self._address)

    def close(self) -> None:
        """Let it end, which goes on beside this process."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended by itself
            self._process.stdin.close()

    def wait(self) -> None:
        """Let it end, and wait until it has."""
        self.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # what it has started ends with it
            self._process.wait()


_begun: list[Head] = []  # by :func:`begin`, and not yet in use


def begin() -> None:
    """Begin to start the cluster of a command that will need one, while its libraries are loaded."""
    if not _begun and find_spec("ray") is not None and not other_cluster():
        _begun.append(Head())


def head_for(task_bytes: int) -> Head:
    """Return the cluster that was begun, or another where it has no room for the task."""
    head = _begun.pop() if _begun else Head(task_bytes)
    if head.has_room(task_bytes):
        return head
    head.close()
    return Head(task_bytes)


def other_cluster() -> str | None:
    """Return the address of the cluster that the user has started; None where the command is to start one."""
    address = os.environ.get("RAY_ADDRESS") or "local"
    return None if address == "local" else address


def store_bytes(task_bytes: int) -> int:
    """Return the size of the object store for a task, which is there twice while it is sent."""
    return _STORE_BYTES + 2 * task_bytes


def settle_environment() -> None:
    """Set what Ray reads in every process, before it is imported; what the user has set stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # what it prints of lost workers is said in our words
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # as it does, without its warning
    os.environ.setdefault("RAY_worker_niceness", "0")  # of a cluster that is started here: its workers are the work
    if "RAY_AUTH_MODE" not in os.environ and not other_cluster():  # nobody else's token, and nowhere stored
        os.environ["RAY_AUTH_MODE"] = "token"
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def serve(store: int) -> None:
    """Be the process beside the command: start a cluster, tell its address, end with it when the command has ended.

    Args:
        store: bytes of its object store.
    """
    told = os.fdopen(os.dup(1), "w")
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, 1)  # what Ray prints is not for the command
    command = threading.Thread(target=_end_with_the_command, daemon=True)
    command.start()
    said = _start(store)
    parts = _children()
    with suppress(BrokenPipeError):  # the command has ended
        print(json.dumps(said), file=told, flush=True)
    while command.is_alive() and all(map(_is_running, parts)):
        command.join(_LOOK_S)
    _end_session()
    if "address" in said:  # where the system has no sessions
        import ray

        ray.shutdown()


def _start(store: int) -> dict[str, str]:
    """Return the address of a cluster that has been started, or what was in its way."""
    quietly: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    try:
        import ray

        _leave_out_watchers()
        ray.init("local", object_store_memory=store, **quietly)
        return {"address": ray.get_runtime_context().gcs_address}
    except Exception as error:  # noqa: BLE001 - the command tells of it
        return {"error": (str(error) or type(error).__name__).splitlines()[0]}


def _leave_out_watchers() -> None:
    """Start nothing that reads the logs of workers, or that asks for more machines: 1.7 s of processor time of 10.

    ``ray start`` has options for this, ``ray.init`` has not. A version of Ray without them starts as it likes.
    """
    with suppress(ImportError, AttributeError):
        from ray._private import parameter

        less: dict[str, Any] = {"include_log_monitor": False, "no_monitor": True}
        if less.keys() <= inspect.signature(parameter.RayParams).parameters.keys():
            vars(parameter)["RayParams"] = partial(parameter.RayParams, **less)


def _end_with_the_command() -> None:
    """Wait until the command has ended or left the cluster, and kill the cluster, which then has nothing to save.

    In order, its end takes 1.3 s on two cores, and one whose start is under way would be there for seconds.
    """
    sys.stdin.read()
    _end_session()


def _end_session() -> None:
    """Kill the cluster with all its processes, and this one."""
    if hasattr(os, "killpg"):
        while others := _others_of_the_session():
            for pid in others:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        os.killpg(os.getpgrp(), signal.SIGKILL)  # without /proc, its workers end when they find themselves alone


def _children() -> list[int]:
    """Return the processes that this one has started; none where there is no /proc."""
    lists = Path("/proc/self/task").glob("*/children")
    return [pid for pid in map(int, " ".join(path.read_text() for path in lists).split()) if _is_running(pid)]


def _is_running(pid: int) -> bool:
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"  # not waited for yet
    return False


def _others_of_the_session() -> list[int]:
    """Return the processes that this one has started, and those that they have; none where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            pid = int(path.name)
            if pid != os.getpid() and os.getsid(pid) == os.getsid(0) and _is_running(pid):
                found.append(pid)
    return found
