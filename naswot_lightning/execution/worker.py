"""A task in another process: tuning of the process, sending and running the task, and showing what it prints.

Workers import this module before torch, so that they can tune their process first.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

from naswot_lightning.errors import UserError, describe_error
from naswot_lightning.execution.base import Task, WorkerFailure, is_device_failure, run_item

# The numbers of parameters in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4


def tune_process(trains: bool = False) -> None:
    """Set how threads wait and how memory is kept, unless the environment says; call it before torch is imported.

    The commands do; in your own program it is your choice. A score of NAS-Bench-201, 128 images of 3x32x32 on two
    cores: 0.11 s, and 0.09 s with it. A process that ``trains`` gives large tensors back.
    """
    # Threads that wait for each other spin for milliseconds, and a machine with one other busy process crawls. A score
    # of 64 images of 16x16 on two cores, idle and beside a busy process: 36 ms and 1.5 s after 100,000 rounds of
    # spinning, 38 ms and 0.37 s after 10,000, 61 ms and 0.18 s after 1,000.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Tensors of 2 MiB and more lie in pages of that size: 141 ms per score and 136 ms with this for 32x32 images in
    # float32, 86 ms and 82 ms in bf16.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Feature maps are megabytes each, freed and asked for again a hundred times in a forward pass, and cleared by the
    # system each time that glibc gives them back: 212 ms per score of 128 images, 144 ms where glibc keeps them. What
    # the process holds stays at its peak. Another C library has no mallopt.
    if sys.platform.startswith("linux") and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            # A training holds the feature maps of all layers at once, and what glibc keeps of them has gaps: for 256
            # images of 32x32 4.1 GiB after 7 steps, 2.6 GiB where tensors from 16 MiB on are given back, 1.8 GiB in
            # use; the time is the same. Of 96x96 there is 9 times as much.
            mallopt(*((_M_MMAP_THRESHOLD, 2**24) if trains else (_M_MMAP_MAX, 0)))
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


@dataclass(frozen=True)
class TaskSpec:
    """A pickled task, and what a process needs to run it as this one would."""

    pickled: bytes
    folder: str
    """The working directory, which paths of the task and its items start from."""
    threads: int

    def load(self) -> Task[Any, Any]:
        """Return the task, ready in this process."""
        # A machine without the folder can still do what needs none of its files.
        with suppress(OSError):
            os.chdir(self.folder)
        # For torch where it is loaded later.
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        tune_process()
        task: Task[Any, Any] = pickle.loads(self.pickled)  # noqa: S301 - of the process that started this one
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(self.threads)
        # torch's own objects need not be searched for garbage: that is a quarter of the time to build a network.
        gc.freeze()
        task.prepare()
        return task


def pack_task(task: Task[Any, Any], threads: int, option: str, cure: str) -> TaskSpec:
    """Return the task to send to another process; if it cannot be pickled, name ``option`` and ``cure``."""
    try:
        return TaskSpec(pickle.dumps(task), os.getcwd(), threads)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(f"{option}: {error}; use {cure}") from None


def sendable(error: Exception) -> Exception:
    """Return an error that can be sent: itself, or its text where it cannot."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever its classes do
        return RuntimeError(describe_error(error))
    return error


class LoadedTask:
    """The task of this process; an error while it was prepared is the error of each of its items."""

    def __init__(self, spec: TaskSpec) -> None:
        self._error: Exception | None = None
        try:
            self.task = spec.load()
        except Exception as error:  # noqa: BLE001 - raised again where a result is wanted
            self._error = error

    def run(self, items: Iterable[Any]) -> tuple[list[Any], Exception | None]:
        """Return the results of items, up to one that breaks the device, and the error of the task that ended it."""
        results: list[Any] = []
        try:
            for item in items:
                results.append(run_item(self._call, item))
                if is_device_failure(results[-1]):
                    break
        except KeyboardInterrupt:  # a training was stopped
            results.append(WorkerFailure("was interrupted"))
        except Exception as error:  # noqa: BLE001 - raised again where the result is wanted
            return results, sendable(error)
        return results, None

    def _call(self, item: Any) -> Any:
        if self._error is not None:
            raise self._error
        return self.task(item)


def serve(connection: Connection, spec_file: str, environment: Mapping[str, str]) -> None:
    """Run a local worker: report readiness, then answer chunks of items until the connection is closed."""
    # Ctrl-C is the parent's to answer, whose end is also that of the worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    os.environ.update(environment)
    loaded = LoadedTask(pickle.loads(Path(spec_file).read_bytes()))  # noqa: S301 - of our own parent
    answer: tuple[list[Any], Exception | None] = [], None
    with suppress(EOFError, OSError):
        while True:
            try:
                connection.send(answer)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                connection.send(([], sendable(error)))
            answer = loaded.run(connection.recv())


@contextmanager
def changed_environment(**changed: str) -> Iterator[None]:
    """Change the environment of processes that are started meanwhile."""
    # The user's own files, say a signal.py, are no libraries of a worker.
    changed["PYTHONSAFEPATH"] = "1"
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def main_hidden(spec: TaskSpec) -> Iterator[None]:
    """Start processes that do not run the user's script anew, unless the task is of it."""
    main = sys.modules["__main__"]
    if b"__main__" not in spec.pickled:
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Start processes and threads that Ctrl-C does not reach: it is for this process to answer."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def module_path() -> str:
    """Return where this process finds modules, as ``PYTHONPATH``, without the folder that the user stands in."""
    return os.pathsep.join(path for path in sys.path if path)


class PrintedFile:
    """A file through which one process prints and another, perhaps on another machine, shows the lines."""

    def __init__(self, file: Path) -> None:
        # Errors go into a file of their own; beside each, how much of it was shown.
        self._shown = {str(file): 0, f"{file}.err": 0}

    @contextmanager
    def printing(self) -> Iterator[None]:
        """Print into the file, line by line."""
        out, err = self._shown
        with (
            open(out, "a", buffering=1) as out_file,
            open(err, "a", buffering=1) as err_file,
            redirect_stdout(out_file),
            redirect_stderr(err_file),
        ):
            yield

    def show(self) -> None:
        """Print the lines that have come since the last call."""
        for (path, at), stream in zip(list(self._shown.items()), (sys.stdout, sys.stderr), strict=True):
            with suppress(FileNotFoundError), open(path, "rb") as file:
                file.seek(at)
                lines = file.read().rpartition(b"\n")[0]
                if lines:
                    self._shown[path] += len(lines) + 1
                    print(lines.decode(errors="replace"), file=stream, flush=True)
