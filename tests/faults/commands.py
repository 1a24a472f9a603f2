"""Commands as a user runs them, in a fault's round: what they told, and all processes that descend from them."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

MARK = "NASWOT_FAULT_ROUND"  # in the environment of a round's commands, and of all that they start
PATIENCE_S = 120.0  # for a command; it takes 5 to 15 s where nothing else runs
_GLANCE_S = 0.002
_ACCOUNTS = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_SERVICE", "RAY_ADDRESS")
_NOTICE = "wandb: [wandb.login()]"  # wandb's own, wherever there is a key
_PROGRESS = re.compile(r"^scoring:.*?(networks/s|s/ networks)\]")


class StuckError(Exception):
    """A command did not end within its time; its processes were killed."""


class MissedError(Exception):
    """The moment of the fault never came, since the command had ended before: the round does not count."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it printed."""

    code: int
    output: str
    errors: str

    @property
    def told(self) -> list[str]:
        """The lines of the standard error that are no bar of progress."""
        lines = (line.strip() for line in re.split(r"[\r\n]", self.errors))
        told = [line for line in (_PROGRESS.sub("", line).strip() for line in lines) if line]
        return [line for line in told if not line.startswith(_NOTICE)]


class Running:
    """A command under way; ``before`` is called in its process, before the command begins."""

    def __init__(self, script, words, mark, log: Path, cwd=ROOT, environment=(), before=None) -> None:
        self._files = log.with_suffix(".out"), log.with_suffix(".err")
        self._mark = mark
        command = [sys.executable, str(ROOT / script), *map(str, words)]
        # Nobody's accounts.
        nobody = {
            "NETRC": str(log.parent / "netrc"),
            "WANDB_CONFIG_DIR": str(log.parent / "wandb-settings"),
            MARK: mark,
        }
        ours = {name: value for name, value in os.environ.items() if name not in _ACCOUNTS}
        with open(self._files[0], "wb") as out, open(self._files[1], "wb") as err:
            self.process = subprocess.Popen(
                command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err, preexec_fn=before,
                env={**ours, **nobody, **dict(environment), MARK: mark}, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, seconds: float = PATIENCE_S) -> Ended:
        """Wait for its end."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            end_all(self._mark)
            self.process.wait()
            raise StuckError(f"did not end within {seconds:.0f} s; it had said {self._said()}") from None
        return Ended(code, *self._said())

    def _said(self) -> tuple[str, str]:
        out, err = (path.read_text(errors="replace") for path in self._files)
        return out, err

    def wait_for(self, condition, seconds: float = PATIENCE_S):
        """Wait until the condition gives something, and return it.

        Raises:
            MissedError: the command ended first.
        """
        end = time.monotonic() + seconds
        while not (found := condition()):
            if self.has_ended():
                raise MissedError
            if time.monotonic() > end:
                end_all(self._mark)
                raise StuckError(f"waited {seconds:.0f} s for a moment that did not come; it had said {self._said()}")
            time.sleep(_GLANCE_S)
        return found

    def kill(self) -> None:
        """Kill its main process."""
        if self.has_ended():
            raise MissedError
        self.process.kill()
        self.process.wait()

    def children(self, words: str) -> list[int]:
        """Return its running processes whose command line holds the words."""
        return [pid for pid in processes_of(self._mark) if words in command_line(pid) and pid != self.pid]


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    """Send a signal to a process.

    Raises:
        MissedError: it has ended.
    """
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        raise MissedError from None


def processes_of(mark: str) -> list[int]:
    """Return all processes of a round, or of all whose marks begin so, whoever is their parent now."""
    wanted = f"{MARK}={mark}".encode()
    running = map(int, filter(str.isdigit, os.listdir("/proc")))
    return [pid for pid in running if any(each.startswith(wanted) for each in environment_of(pid))]


def environment_of(pid: int) -> list[bytes]:
    """Return the environment of a process; empty where it is gone, or ended and only waited for."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def command_line(pid: int) -> str:
    """Return the command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def end_all(mark: str) -> None:
    """Kill what is left of a round, or of all whose marks begin so."""
    for pid in processes_of(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def left_after(mark: str, seconds: float) -> list[int]:
    """Return the processes of a round that are still there after so many seconds."""
    end = time.monotonic() + seconds
    while (pids := processes_of(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    return pids
