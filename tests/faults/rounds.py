"""A fault, a round of it, and what the round found: what a run folder holds, beside what it should hold."""

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.faults.commands import Ended, MissedError, Running, command_line, end_all, left_after

SEARCH = ("--samples", 120, "--batch_size", 32, "--max_params", 200_000)
TRAIN = ("--top", 2, "--epochs", 2, "--batch_size", 64, "--early_points", 2, "--trainer.limit_train_batches", 4)
QUIET = ("--wandb.mode", "disabled")
ASIDE = ("--workers", 2, "--threads", 1)
_KEPT = ("config.yaml", "ranking.json", "scores.jsonl", ".run_id")
_LEFT_S = 20.0  # that processes may take to end after their command


@dataclass
class Verdict:
    """What a round found."""

    lost: int = 0  # candidates or picks that were finished before the fault, and no longer are
    twice: int = 0  # architectures that have several rows
    identical: bool | None = None  # to an undisturbed run, in its ranking or its weights; None: not looked at
    left: int = 0  # processes that are still there
    one_line: bool | None = None  # whether it was told as it should be; None: nobody is left who could
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def expect(self, holds: object, what: str) -> bool:
        if not holds and what not in self.wrong:
            self.wrong.append(what)
        return bool(holds)


@dataclass(frozen=True)
class References:
    """Runs that nothing disturbed, one process and one thread each: made once, when they are first asked for."""

    folder: Path

    def search(self) -> Path:
        """Return the run folder of a search."""
        return self._made("search", lambda run: self._run(run, "search.py", *SEARCH, "--workers", 1))

    def training(self) -> Path:
        """Return the run folder of a training of its picks."""
        return self._made("training", self._train)

    def _train(self, run: Path) -> None:
        copy_search(self.search(), run)
        self._run(run, "train.py", *TRAIN, "--workers", 1, "--threads", 1)

    def _run(self, run: Path, script: str, *words) -> None:
        command = [*words, *QUIET, "--run_dir", run]
        ended = Running(script, command, f"{self.folder}: reference;", self.folder / f"{run.name}.log").wait()
        if ended.code:
            raise RuntimeError(f"an undisturbed {script} ended with {ended.code}: {ended.errors}")

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        run = self.folder / name
        if not run.exists():
            make(run)
        return run


def copy_search(searched: Path, run: Path) -> None:
    """Let a run folder hold a search that is finished."""
    run.mkdir(parents=True, exist_ok=True)
    for name in _KEPT:
        shutil.copy(searched / name, run / name)


class Round:
    """One round of a fault, in an empty folder; a fault of several kinds takes them in turns, by its number."""

    def __init__(self, number: int, seed: str, folder: Path, references: References) -> None:
        self.number, self.rng = number, random.Random(seed)
        self.folder, self.references = folder, references
        self.run_dir = folder / "run"
        self.mark = f"{references.folder}: {seed};"
        self.verdict = Verdict()
        self._started = 0

    def start(self, script: str, *words, **more) -> Running:
        """Start a command; ``more`` as :class:`Running` takes it."""
        self._started += 1
        return Running(script, words, self.mark, self.folder / f"{self._started}.log", **more)

    def search(self, *words, **more) -> Running:
        """Start the search of the reference."""
        return self.start("search.py", *SEARCH, *QUIET, "--run_dir", self.run_dir, *words, **more)

    def train(self, *words, **more) -> Running:
        """Start the training of the reference."""
        if not self.run_dir.exists():
            copy_search(self.references.search(), self.run_dir)
        return self.start("train.py", *TRAIN, *QUIET, "--run_dir", self.run_dir, *words, **more)

    def wait_for_rows(self, running: Running, after_start: float = 8.0, end: int = 0) -> int:
        """Wait for a random moment of a search; return the rows it waited for.

        One in five comes before the first row, at most ``after_start`` seconds after the start; the others at least
        ``end`` rows before the last.
        """
        whole = len(whole_rows(self.references.search()))
        rows = 0 if after_start and self.rng.random() < 0.2 else self.rng.randrange(1, whole - end)
        running.wait_for(lambda: len(whole_rows(self.run_dir)) >= rows)
        time.sleep(self.rng.uniform(0, 0.05 if rows else after_start))
        if running.has_ended():
            raise MissedError
        return rows

    def wait_for_points(self, running: Running, after_start: float = 15.0) -> None:
        """Wait for a random moment of a training, one in five before its first point."""
        points = 0 if after_start and self.rng.random() < 0.2 else self.rng.randrange(1, 12)
        running.wait_for(lambda: points_of(self.run_dir) >= points)
        time.sleep(self.rng.uniform(0, 0.5 if points else after_start))
        if running.has_ended():
            raise MissedError

    def look_for_processes(self, patience: float = _LEFT_S) -> None:
        """Count what is still there after 20 s, or so many, and end it."""
        pids = left_after(self.mark, patience)
        self.verdict.left += len(pids)
        self.verdict.expect(not pids, f"left behind: {[f'{pid} {command_line(pid)[:100]}' for pid in pids]}")
        end_all(self.mark)

    def expect_told(self, ended: Ended, code: int, *words: str) -> None:
        """Expect an exit code, and one line with the words on the standard error."""
        told = ended.told
        one = len(told) == 1 and all(word in told[0] for word in words)
        self.expect_code(ended, code)
        if not self.verdict.expect(one, f"expected one line with {words}, got {told[:2] + told[-2:]}"):
            self.verdict.one_line = False
        elif self.verdict.one_line is None:
            self.verdict.one_line = True

    def expect_code(self, ended: Ended, code: int) -> None:
        self.verdict.expect(ended.code == code, f"expected exit code {code}, got {ended.code}: {ended.told[-2:]}")

    def rows_before(self) -> list[bytes]:
        """Return the finished candidates, to be given to :meth:`judge_search`."""
        return whole_rows(self.run_dir)

    def judge_search(self, before: list[bytes], ended: Ended) -> None:
        """Compare a search that has come to its end with the reference; ``before``: the rows before the fault."""
        self.expect_code(ended, 0)
        search_is(self.verdict, self.run_dir, self.references.search(), before)

    def judge_training(self, ended: Ended) -> None:
        """Compare a training that has come to its end with the reference."""
        self.expect_code(ended, 0)
        training_is(self.verdict, self.run_dir, self.references.training())


def whole_rows(run: Path) -> list[bytes]:
    """Return the lines of a search's finished candidates, without one that a kill has cut."""
    path = run / "scores.jsonl"
    content = path.read_bytes() if path.exists() else b""
    return content.split(b"\n")[:-1]


def rows_of(run: Path) -> dict[str, dict]:
    """Return the rows of a search by their architectures."""
    rows = [json.loads(line) for line in whole_rows(run)]
    return {row["architecture"]: row for row in rows}


def search_is(verdict, run: Path, reference: Path, before: list[bytes]) -> None:
    """Judge a search by the rows that it had before the fault, and by one that nothing disturbed."""
    after = whole_rows(run)
    kept = after[: len(before)] == before
    verdict.lost += 0 if kept else len(set(before) - set(after))
    verdict.expect(kept, f"{len(before)} finished candidates are not as they were")
    counts = Counter(json.loads(line)["architecture"] for line in after)
    verdict.twice += sum(count - 1 for count in counts.values())
    verdict.expect(len(counts) == len(after), "architectures that were scored twice")
    ranking, expected = (folder / "ranking.json" for folder in (run, reference))
    verdict.identical = ranking.exists() and ranking.read_bytes() == expected.read_bytes()
    verdict.expect(verdict.identical, "the ranking is not that of an undisturbed search")


def training_is(verdict, run: Path, reference: Path) -> None:
    """Judge a training by the bits of one that nothing disturbed."""
    names = sorted(path.name for path in (reference / "picks").iterdir())
    differing = [name for name in names if not _same_pick(run / "picks" / name, reference / "picks" / name)]
    verdict.identical = not differing
    verdict.expect(not differing, f"not the bits of an undisturbed training: {differing}")


def _same_pick(folder: Path, reference: Path) -> bool:
    if not (folder / "result.json").exists():
        return False
    same = (folder / "trajectory.csv").read_bytes() == (reference / "trajectory.csv").read_bytes()
    ours, theirs = (torch.load(each / "last.ckpt", weights_only=True)["state_dict"] for each in (folder, reference))
    return same and ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)


def points_of(run: Path) -> int:
    """Return how many points of the trajectories of all picks are written."""
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in run.glob("picks/*/trajectory.csv"))


@dataclass(frozen=True)
class Fault:
    """A fault that is caused on purpose."""

    name: str
    run_round: Callable[[Round], None]
    most: int | None = None  # rounds that make sense; None for as many as are asked for
    needs: Callable[[], str | None] = lambda: None  # why it cannot be caused here
