"""The training of one pick as a task: a process of its own, whose end is an :class:`Outcome`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from naswot_lightning.errors import UserError, describe_os_error
from naswot_lightning.storage.files import open_own
from naswot_lightning.training.outcome import EXIT_OS_ERROR, Outcome, forget_outcome, read_outcome
from naswot_lightning.training.settings import read_pick, write_retry


@dataclass(frozen=True)
class TrainPick:
    """Trains the pick of a folder.

    Args:
        images: the stored data set, which all picks map.
        space: the space of the picks, which the user trusts.

    Raises:
        KeyboardInterrupt: the training was interrupted; it is saved.
        UserError: a setting or a file is at fault.
    """

    images: Path
    space: str

    def prepare(self) -> None:
        """Nothing: each pick has a process of its own."""

    def __call__(self, item: Path) -> Outcome:
        """Train; where memory runs out once more, with each step in two halves."""
        outcome = self._run(item)
        if outcome.status == "out of memory" and (half := read_pick(item).half()):
            print(
                f"{item.name}: out of memory; trained again with half the mini-batch: each step takes 2 x {half} "
                "images a device, their gradients added (BatchNorm then sees the halves)",
                flush=True,
            )
            write_retry(item, 2)
            outcome = self._run(item)
        if outcome.status == "interrupted":
            raise KeyboardInterrupt
        if outcome.status == "user error":
            raise UserError(outcome.message or f"see {item / 'train.log'}")
        if not outcome.has_result and outcome.message:
            print(f"{item.name}: {outcome.message}", file=sys.stderr)
        return outcome

    def _run(self, folder: Path) -> Outcome:
        command = [sys.executable, "-m", "naswot_lightning.training.pick", str(folder), str(self.images), self.space]
        # A wandb service of its own: one that outlives a killed pick would refuse the run to the next.
        environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
        environment["PYTHONFAULTHANDLER"] = "1"  # a crash of a library leaves a traceback in train.log
        # Libraries from where this process has them: with -m alone the folder that the user stands in comes first.
        environment |= {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        forget_outcome(folder)
        with open(open_own(folder / "train.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as log:
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, env=environment)
            _show(process)
        outcome = read_outcome(folder)
        return _without_word(process.returncode, folder) if outcome.status == "killed" else outcome


def _without_word(code: int, folder: Path) -> Outcome:
    """Return what the exit code of a process says that left no outcome."""
    if code == -signal.SIGKILL:
        return Outcome("killed", "killed by SIGKILL, as Linux does where memory runs out")
    if code < 0:
        return Outcome("killed", f"killed by {signal.Signals(-code).name}, see {folder / 'train.log'}")
    if code >= EXIT_OS_ERROR:
        number = code - EXIT_OS_ERROR
        return Outcome("user error", describe_os_error(OSError(number, os.strerror(number), str(folder))))
    return Outcome("killed")


def _show(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print(line.decode(errors="replace"), end="", flush=True)
        process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
