"""A round of a fault: commands as a user runs them, what they told and left, and what a run folder should hold."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.conftest import ROOT

SEARCH = ("--samples", 60, "--batch_size", 32, "--max_params", 200_000)
TRAIN = ("--top", 2, "--epochs", 2, "--batch_size", 64, "--early_points", 2, "--trainer.limit_train_batches", 4)
QUIET = ("--wandb.mode", "disabled")
SIDE_BY_SIDE = {"search.py": ("--workers", 2), "train.py": ("--workers", 2, "--threads", 1)}
MARK = "NASWOT_FAULT_ROUND"  # in the environment of a round's commands, and of all that they start
INTERRUPTED = "interrupted; run the same command again"
_PATIENCE_S = 300.0  # for a command; it takes 5 to 15 s where nothing else runs, and over 120 s on a busy machine
_ACCOUNTS = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_SERVICE", "RAY_ADDRESS")
# What is no word to the user: the bar, and wandb's own notice where there is a key.
_PROGRESS = re.compile(r"^scoring:.*?(networks/s|s/ networks)\]|^wandb: \[wandb.login\(\)\].*")


class StuckError(Exception):
    """A command did not end within its time; its processes were killed."""


class MissedError(Exception):
    """The moment of the fault never came: the round does not count."""


@dataclass(frozen=True)
class Fault:
    """A fault that is caused on purpose."""

    name: str
    run_round: Callable[["Round"], None]
    # Rounds that make sense; None for as many as are asked for.
    most: int | None = None
    # Why it cannot be caused here.
    needs: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it printed."""

    code: int
    output: str
    errors: str

    @property
    def told(self) -> list[str]:
        """The lines of the standard error that are no bar of progress."""
        lines = (_PROGRESS.sub("", line.strip()).strip() for line in re.split(r"[\r\n]", self.errors))
        return [line for line in lines if line]


class Running:
    """A command under way."""

    def __init__(self, script, words, mark, log: Path, environment=()) -> None:
        self._files, self._mark = (log.with_suffix(".out"), log.with_suffix(".err")), mark
        nobody = {"NETRC": str(log.parent / "netrc"), "WANDB_CONFIG_DIR": str(log.parent / "wandb-settings")}
        ours = {name: value for name, value in os.environ.items() if name not in _ACCOUNTS}
        with open(self._files[0], "wb") as out, open(self._files[1], "wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / script), *map(str, words)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, env={**ours, **nobody, **dict(environment), MARK: mark}, start_new_session=True,
            )  # fmt: skip

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, seconds: float = _PATIENCE_S) -> Ended:
        """Wait for its end."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._give_up(f"did not end within {seconds:.0f} s")
        return Ended(code, *self._said())

    def wait_for(self, condition, seconds: float = _PATIENCE_S):
        """Return what the condition gives, as soon as it is true; raise MissedError where the command ended first."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            if self.has_ended():
                raise MissedError
            if time.monotonic() > end:
                self._give_up(f"waited {seconds:.0f} s for a moment that did not come")
            time.sleep(0.002)
        return found

    def _give_up(self, what: str) -> None:
        end_all(self._mark)
        self.process.wait()
        raise StuckError(f"{what}; it had said {self._said()}")

    def _said(self) -> list[str]:
        return [path.read_text(errors="replace") for path in self._files]

    def children(self, words: str) -> list[int]:
        """Return its running processes whose command line holds the words."""
        pids = processes_of(self._mark)
        return [pid for pid in pids if words in _file_of(pid, "cmdline").replace("\0", " ") and pid != self.process.pid]


def kill(pid: int, signum: int = signal.SIGKILL, send=os.kill) -> None:
    """Send a signal to a process; raise MissedError where it has ended."""
    try:
        send(pid, signum)
    except ProcessLookupError:
        raise MissedError from None


def _file_of(pid: int, name: str) -> str:
    """Return a file of /proc; empty where the process is gone, or has ended and is only waited for."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    return ""


def processes_of(mark: str, name: str = MARK) -> list[int]:
    """Return all processes in whose environment the variable begins so, whoever is their parent now."""
    running = map(int, filter(str.isdigit, os.listdir("/proc")))
    return [pid for pid in running if f"\0{name}={mark}" in "\0" + _file_of(pid, "environ")]


def end_all(mark: str, name: str = MARK) -> None:
    """Kill what is left of a round, or of all whose marks begin so."""
    for pid in processes_of(mark, name):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class References:
    """Runs that nothing disturbed, one process and one thread each: made once, when they are first asked for."""

    folder: Path

    def search(self) -> Path:
        """Return the run folder of a search."""
        run = self.folder / "search"
        return run if run.exists() else self._made(run, "search.py", *SEARCH)

    def training(self) -> Path:
        """Return the run folder of a training of its picks."""
        run = self.folder / "training"
        if not run.exists():
            copy_search(self.search(), run)
            self._made(run, "train.py", *TRAIN, "--threads", 1)
        return run

    def _made(self, run: Path, script: str, *words) -> Path:
        words = (*words, *QUIET, "--workers", 1, "--run_dir", run)
        ended = Running(script, words, f"{self.folder}: reference;", self.folder / f"{run.name}.log").wait()
        if ended.code:
            raise RuntimeError(f"an undisturbed {script} ended with {ended.code}: {ended.errors}")
        return run


def copy_search(searched: Path, run: Path) -> None:
    """Let a run folder hold a search that is finished."""
    run.mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "ranking.json", "scores.jsonl", ".run_id"):
        shutil.copy(searched / name, run / name)


class Round:
    """One round of a fault, in an empty folder; a fault of several kinds takes them in turns, by its number."""

    def __init__(self, number: int, seed: str, folder: Path, references: References) -> None:
        self.number, self.rng = number, random.Random(seed)
        self.folder, self.references, self.run_dir = folder, references, folder / "run"
        self.mark = f"{references.folder}: {seed};"
        # All that is not as it should be.
        self.wrong: list[str] = []
        self._started = 0

    def expect(self, holds: object, what: str) -> None:
        if not holds and what not in self.wrong:
            self.wrong.append(what)

    def begin(self, script: str, *words, environment=()) -> Running:
        """Start the search or the training of the reference, by two workers unless the words say otherwise."""
        if script == "train.py" and not self.run_dir.exists():
            copy_search(self.references.search(), self.run_dir)
        given = SEARCH if script == "search.py" else TRAIN
        beside = () if "--workers" in words else SIDE_BY_SIDE[script]
        self._started += 1
        words = (*given, *QUIET, "--run_dir", self.run_dir, *beside, *words)
        return Running(script, words, self.mark, self.folder / f"{self._started}.log", environment)

    def wait_for_moment(self, running: Running, after_start: float | None = None, end: int = 0) -> int:
        """Wait for a random moment; return the rows, or the points of trajectories, that it waited for.

        One in five comes before the first, at most ``after_start`` seconds after the start; the others at least ``end``
        before the last.
        """
        trains = self.run_dir.joinpath("ranking.json").exists()
        count, most, pause = (points_of, 12, 0.5) if trains else (rows_in, rows_in(self.references.search()), 0.05)
        after_start = (15.0 if trains else 8.0) if after_start is None else after_start
        wanted = 0 if after_start and self.rng.random() < 0.2 else self.rng.randrange(1, most - end)
        running.wait_for(lambda: count(self.run_dir) >= wanted)
        time.sleep(self.rng.uniform(0, pause if wanted else after_start))
        if running.has_ended():
            raise MissedError
        return wanted

    def look_for_processes(self, patience: float = 20.0) -> None:
        """Expect that nothing is left after so many seconds, and end it."""
        end = time.monotonic() + patience
        while (pids := processes_of(self.mark)) and time.monotonic() < end:
            time.sleep(0.05)
        self.expect(not pids, f"left behind: {[_file_of(pid, 'cmdline')[:100] for pid in pids]}")
        end_all(self.mark)

    def look_sometimes(self, patience: float = 20.0) -> None:
        """Look for processes that outlive their command, except where the next begins at once, as it may."""
        if self.rng.random() < 0.5:
            self.look_for_processes(patience)

    def expect_told(self, ended: Ended, code: int, *words: str) -> None:
        """Expect an exit code, and one line with the words on the standard error."""
        told = ended.told
        one = len(told) == 1 and all(word in told[0] for word in words)
        self.expect_code(ended, code)
        self.expect(one, f"expected one line with {words}, got {told[:2] + told[-2:]}")

    def expect_code(self, ended: Ended, *codes: int) -> None:
        self.expect(ended.code in codes, f"expected exit code {codes}, got {ended.code}: {ended.told[-2:]}")

    def rows(self) -> list[bytes]:
        """Return the finished candidates, to be given to :meth:`judge`."""
        return whole_rows(self.run_dir)

    def judge(self, script: str, ended: Ended, before: list[bytes] = ()) -> None:
        """Compare a command that has come to its end with the reference; ``before``: the rows before the fault."""
        self.expect_code(ended, 0)
        if script == "search.py":
            self.judge_search(before)
        else:
            self.judge_training()

    def judge_search(self, before: list[bytes] = ()) -> None:
        """Expect each row of before, none twice, and the ranking of an undisturbed search."""
        after = self.rows()
        self.expect(after[: len(before)] == list(before), f"{len(before)} finished candidates are not as they were")
        names = {json.loads(row)["architecture"] for row in after}
        self.expect(len(names) == len(after), "architectures that were scored twice")
        ranking, expected = (folder / "ranking.json" for folder in (self.run_dir, self.references.search()))
        same = ranking.exists() and ranking.read_bytes() == expected.read_bytes()
        self.expect(same, "the ranking is not that of an undisturbed search")

    def judge_training(self) -> None:
        """Expect the bits of a training that nothing disturbed."""
        picks, expected = self.run_dir / "picks", self.references.training() / "picks"
        names = sorted(path.name for path in expected.iterdir())
        differing = [name for name in names if not _same_pick(picks / name, expected / name)]
        self.expect(not differing, f"not the bits of an undisturbed training: {differing}")


def whole_rows(run: Path) -> list[bytes]:
    """Return the lines of a search's finished candidates, without one that a kill has cut."""
    path = run / "scores.jsonl"
    return (path.read_bytes() if path.exists() else b"").split(b"\n")[:-1]


def rows_in(run: Path) -> int:
    return len(whole_rows(run))


def _same_pick(folder: Path, reference: Path) -> bool:
    if not (folder / "result.json").exists():
        return False
    same = (folder / "trajectory.csv").read_bytes() == (reference / "trajectory.csv").read_bytes()
    ours, theirs = (torch.load(each / "last.ckpt", weights_only=True)["state_dict"] for each in (folder, reference))
    return same and ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)


def points_of(run: Path) -> int:
    """Return how many points of the trajectories of all picks are written."""
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in run.glob("picks/*/trajectory.csv"))
