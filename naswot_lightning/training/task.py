"""The training of one pick as a task: a process of its own, whose end is an :class:`Outcome`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from naswot_lightning.errors import UserError, describe_os_error
from naswot_lightning.execution.resources import ResourceSlot
from naswot_lightning.training.outcome import EXIT_OS_ERROR, Outcome, forget_outcome, read_outcome
from naswot_lightning.training.progress import Display, Lines, read_epoch
from naswot_lightning.training.settings import read_pick, write_retry

_OF_THE_COMMAND = (
    "WANDB_SERVICE",  # one that outlives a killed pick would refuse the run to the next
    "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH",  # of a sweep, whose one run is the comparison
)  # fmt: skip
# What Lightning and torch read to find the other processes of a job; a pick is a job of its own.
_OF_A_LAUNCHER = re.compile(
    r"(GLOBAL_|LOCAL_|NODE_|GROUP_|ROLE_)?RANK|((LOCAL|GROUP|ROLE)_)?WORLD_SIZE|(MASTER|TORCHELASTIC|PL_TRAINER)_.*"
    r"|STANDALONE_PORT|SLURM_(NTASKS(_PER_NODE)?|STEP_NUM_TASKS|PROCID|LOCALID|NODEID|NNODES)|LSB_(JOBID|DJOB_RANKFILE)"
    r"|(JSM_NAMESPACE|OMPI|PMI|PMIX|MV2_COMM)_.*"
)


class TrainPick:
    """Trains the pick of a folder, in one of several slots.

    Args:
        images: the stored data set, which all picks map.
        space: the space of the picks, which the user trusts.
        slots: where picks train, one at a time each.
        display: where they show how far they are.

    Raises:
        KeyboardInterrupt: the training was interrupted; it is saved.
        UserError: a setting or a file is at fault.
    """

    def __init__(self, images: Path, space: str, slots: Sequence[ResourceSlot], display: Display) -> None:
        self.images, self._space, self._display = images, space, display
        self._slots: SimpleQueue[ResourceSlot] = SimpleQueue()
        for slot in slots:
            self._slots.put(slot)
        self._threads = slots[0].threads
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ports: set[int] = set()
        self._lock, self._stopped = threading.Lock(), False

    def __reduce__(self) -> tuple[type[TrainPick], tuple[object, ...]]:
        """Sent elsewhere, a pick has what is given to the process that it is sent to."""
        return TrainPick, (self.images, self._space, (ResourceSlot(self._threads, _threads(self._threads)),), Lines())

    def prepare(self) -> None:
        """Nothing: each pick has a process of its own."""

    def stop(self) -> None:
        """Let all trainings save and end."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def __call__(self, item: Path) -> Outcome:
        """Train; where memory runs out once more, with each step in two halves."""
        slot = self._slots.get()
        try:
            outcome = self._try(item, slot)
        finally:
            self._slots.put(slot)
            self._display.end(item.name)
        if outcome.status == "interrupted":
            raise KeyboardInterrupt
        if outcome.status == "user error":
            raise UserError(outcome.message or f"see {item / 'train.log'}")
        if not outcome.has_result and outcome.message:
            print(f"{item.name}: {outcome.message}", file=sys.stderr)
        return outcome

    def _try(self, item: Path, slot: ResourceSlot) -> Outcome:
        outcome = self._run(item, slot)
        if outcome.status != "out of memory" or not (half := read_pick(item).half()):
            return outcome
        self._display.say(
            f"{item.name}: out of memory; trained again with half the mini-batch: each step takes 2 x {half} "
            "images a device, their gradients added (BatchNorm then sees the halves)"
        )
        write_retry(item, 2)
        return self._run(item, slot)

    def _run(self, folder: Path, slot: ResourceSlot) -> Outcome:
        command = [sys.executable, "-m", "naswot_lightning.training.pick", str(folder), str(self.images), self._space]
        environment = {**_environment(), **slot.environment, "MASTER_PORT": str(self._port())}
        forget_outcome(folder)
        with open(folder / "train.log", "ab") as log:
            process = self._start(command, environment, log)
        try:
            self._follow(process)
        finally:
            with self._lock:
                self._running.discard(process)
        outcome = read_outcome(folder)
        return _without_word(process.returncode, folder) if outcome.status == "killed" else outcome

    def _start(self, command: list[str], environment: dict[str, str], log: BinaryIO) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, env=environment)
            self._running.add(process)
            return process

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        """Show what the process tells until it ends; where this is interrupted, let it save and end."""
        assert process.stdout is not None
        try:
            for line in process.stdout:
                text = line.decode(errors="replace").rstrip("\n")
                epoch = read_epoch(text)
                self._display.say(text) if epoch is None else self._display.show(epoch)
            process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise

    def _port(self) -> int:
        """Return a port for the processes of one pick that no other pick of this command was given."""
        with self._lock:
            while (port := _free_port()) in self._ports:
                pass
            self._ports.add(port)
            return port


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _threads(count: int) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(count)}


def _environment() -> dict[str, str]:
    ours = {
        name: value
        for name, value in os.environ.items()
        if name not in _OF_THE_COMMAND and not _OF_A_LAUNCHER.fullmatch(name)
    }
    # Libraries from where this process has them: with -m alone the folder that the user stands in comes first.
    path = os.pathsep.join(path for path in sys.path if path)
    # A crash of a library leaves a traceback in train.log.
    return {**ours, "PYTHONFAULTHANDLER": "1", "PYTHONSAFEPATH": "1", "PYTHONPATH": path}


def _without_word(code: int, folder: Path) -> Outcome:
    """Return what the exit code of a process says that left no outcome."""
    if code in (-signal.SIGTERM, -signal.SIGINT):  # while it was loading: there was nothing to save yet
        return Outcome("interrupted")
    if code == -signal.SIGKILL:
        return Outcome("killed", "killed by SIGKILL, as Linux does where memory runs out")
    if code < 0:
        return Outcome("killed", f"killed by {signal.Signals(-code).name}, see {folder / 'train.log'}")
    if code >= EXIT_OS_ERROR:
        number = code - EXIT_OS_ERROR
        return Outcome("user error", describe_os_error(OSError(number, os.strerror(number), str(folder))))
    return Outcome("killed")
