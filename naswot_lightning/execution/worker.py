"""A task in another process: how it is sent there, made ready and run, and how what it prints comes back.

Workers import this module before torch, so that they can tune their process first.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naswot_lightning.errors import UserError, describe_error
from naswot_lightning.execution.base import Task, run_item


@dataclass(frozen=True)
class TaskSpec:
    """A pickled task, and what a process needs to run it as this one would."""

    pickled: bytes
    folder: str
    """The working directory, which paths of the task and its items start from."""
    threads: int
    """Of the task on the CPU."""

    def load(self) -> Task[Any, Any]:
        """Return the task, ready in this process."""
        import gc

        from naswot_lightning.execution.tuning import tune_process

        with suppress(OSError):  # a machine without the folder can still do what needs none of its files
            os.chdir(self.folder)
        os.environ["OMP_NUM_THREADS"] = str(self.threads)  # where torch is loaded later
        tune_process()
        task: Task[Any, Any] = pickle.loads(self.pickled)  # noqa: S301 - of the process that started this one
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(self.threads)
        # torch's own objects need not be searched for garbage: that is a quarter of the time to build a network.
        gc.freeze()
        task.prepare()
        return task


def pack_task(task: Task[Any, Any], threads: int, option: str, cure: str) -> TaskSpec:
    """Return what is sent to another process.

    Raises:
        UserError: the task cannot be sent; ``option`` asked for it, ``cure`` does without.
    """
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


_loaded: Task[Any, Any] | Exception = RuntimeError("no task")  # of a local worker


def start_worker(spec_file: str, environment: Mapping[str, str]) -> None:
    """Get a local worker ready; an error of the task is raised with its first item."""
    global _loaded
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    try:
        _loaded = pickle.loads(Path(spec_file).read_bytes()).load()  # noqa: S301 - of our own parent
    except Exception as error:  # noqa: BLE001 - raised again where a result is wanted
        _loaded = error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def answer_item(item: Any) -> tuple[Any, Exception | None]:
    """Return the result of an item in a local worker, or the error of the task."""
    try:
        if isinstance(_loaded, Exception):
            raise _loaded
        return run_item(_loaded, item), None
    except Exception as error:  # noqa: BLE001 - raised again where the result is wanted
        return None, sendable(error)


@contextmanager
def changed_environment(**changed: str) -> Iterator[None]:
    """Change the environment of processes that are started meanwhile.

    ``PYTHONSAFEPATH`` is always set: the user's own files, say a ``signal.py``, are no libraries of a worker.
    """
    changed["PYTHONSAFEPATH"] = "1"
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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


def module_path() -> list[str]:
    """Return where this process finds modules; the folder that the user stands in is there only by its name."""
    return [path for path in sys.path if path]


@contextmanager
def output_to(file: Path) -> Iterator[None]:
    """Print into a file, line by line, and errors into another beside it: for the process that shows them."""
    with (
        open(file, "a", buffering=1) as out,
        open(f"{file}.err", "a", buffering=1) as err,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        yield


class OutputReader:
    """Shows what another process prints with :func:`output_to`."""

    def __init__(self, file: Path) -> None:
        self._files = {str(file): 0, f"{file}.err": 0}

    def show(self) -> None:
        """Print the lines that have come since the last call."""
        for (path, at), stream in zip(list(self._files.items()), (sys.stdout, sys.stderr), strict=True):
            with suppress(FileNotFoundError), open(path, "rb") as file:
                file.seek(at)
                lines = file.read().rpartition(b"\n")[0]
                if lines:
                    self._files[path] += len(lines) + 1
                    print(lines.decode(errors="replace"), file=stream, flush=True)
