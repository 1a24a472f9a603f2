"""Run folders that take nothing: on a full disk, on one that is read-only, held by another command."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from tests.faults.commands import MissedError
from tests.faults.rounds import ASIDE, Fault, Round, copy_search, points_of

_CLONE_NEWNS = 0x20000  # linux/sched.h
_PAGE = 4096
_HELD = "in use by another process"


@cache
def needs_mounts() -> str | None:
    """Take a mount namespace of our own, so that nothing that is mounted outlives this process."""
    if os.geteuid() != 0:
        return "root must mount"
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        return os.strerror(ctypes.get_errno())
    done = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, text=True, check=False)
    return done.stderr.strip() or None


@contextmanager
def _disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a small disk in memory; the run folder lies on it."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _fill(disk: Path, free: int) -> Path:
    """Leave so many bytes; return the file to remove for more."""
    ballast = disk / "ballast"
    room = os.statvfs(disk)
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(_PAGE, room.f_bavail * room.f_frsize - free))
    return ballast


def _size(run: Path, *left_out: str) -> int:
    """Return the bytes of a run folder in whole pages, without the files or folders that are left out."""
    files = [path for path in run.rglob("*") if path.is_file() and path.relative_to(run).parts[0] not in left_out]
    return sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in files)


def fill_disk_of_search(round: Round, workers: int) -> None:
    """In odd rounds the ranking fits and is whole, and what cannot be written is the page: one line of warning."""
    reference = round.references.search()
    whole, ranked = _size(reference) // _PAGE, _size(reference, "figures", "report.html") // _PAGE
    with _disk(round.folder / "disk", 64 * 2**20) as disk:
        round.run_dir = disk / "run"
        # A few pages more for folders, and for the file that becomes ranking.json.
        pages = round.rng.randrange(ranked + 8, whole - 2) if round.number % 2 else round.rng.randrange(ranked - 2)
        ballast = _fill(disk, _PAGE * pages)
        code, words = (0, ("warning", "report.html")) if round.number % 2 else (2, ())
        told = round.search("--workers", workers).wait()
        round.expect_told(told, code, *words, "No space left on device", "free some space")
        before = round.rows_before()
        if round.number % 2:
            round.judge_search(before, told)
        ballast.unlink()
        round.judge_search(before, round.search("--workers", workers).wait())


def fill_disk_of_training(round: Round) -> None:
    """A pick whose disk is full ends the command, or fails and leaves the other."""
    reference = round.references.training()
    with _disk(round.folder / "disk", 256 * 2**20) as disk:
        round.run_dir = disk / "run"
        copy_search(round.references.search(), round.run_dir)
        images = 6 * 2**20  # of digits, stored for all picks
        ballast = _fill(disk, _PAGE * round.rng.randrange(1, (images + _size(reference)) // _PAGE))
        ended = round.train(*ASIDE).wait()
        if ended.code == 0:
            raise MissedError  # there was room enough
        told = [line for line in ended.told if "No space left on device" in line]
        round.verdict.expect(ended.code in (1, 2), f"expected exit code 1 or 2, got {ended.code}")
        one = len(told) == 1 and len(ended.told) == (1 if ended.code == 2 else 2)
        round.verdict.one_line = round.verdict.expect(one, f"expected one line of the disk, got {ended.told}")
        ballast.unlink()
        round.judge_training(round.train(*ASIDE).wait())


def read_only_search(round: Round) -> None:
    """A new run folder, or one that holds a part of the search, where nothing may be written."""
    with _disk(round.folder / "disk", 64 * 2**20) as disk:
        round.run_dir = disk / "run"
        if round.number % 2:
            running = round.search("--workers", 1)
            round.wait_for_rows(running, after_start=0.0, end=1)
            running.kill()
        before = round.rows_before()
        _remount(disk, "ro")
        round.expect_told(round.search("--workers", 2).wait(), 2, "Read-only file system", "can be written")
        _remount(disk, "rw")
        round.judge_search(before, round.search("--workers", 2).wait())


def read_only_training(round: Round) -> None:
    with _disk(round.folder / "disk", 256 * 2**20) as disk:
        round.run_dir = disk / "run"
        copy_search(round.references.search(), round.run_dir)
        _remount(disk, "ro")
        round.expect_told(round.train(*ASIDE).wait(), 2, "Read-only file system", "can be written")
        _remount(disk, "rw")
        round.judge_training(round.train(*ASIDE).wait())


def _remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


def two_searches(round: Round) -> None:
    """The first is held where it is while the second tries; in odd rounds both begin at once."""
    if round.number % 2:
        first, second = round.search("--workers", 1), round.search("--workers", 1)
        both = sorted((first.wait(), second.wait()), key=lambda ended: ended.code)
        if both[1].code:
            round.expect_told(both[1], 2, _HELD)
        round.judge_search([], both[0])
        return
    first = round.search("--workers", 1)
    round.wait_for_rows(first, after_start=0.0, end=6)
    os.kill(first.pid, signal.SIGSTOP)
    if (round.run_dir / "ranking.json").exists():
        raise MissedError
    before = round.rows_before()
    round.expect_told(round.search("--workers", 2).wait(), 2, _HELD)
    os.kill(first.pid, signal.SIGCONT)
    round.judge_search(before, first.wait())


def two_trainings(round: Round) -> None:
    first = round.train(*ASIDE)
    first.wait_for(lambda: points_of(round.run_dir) >= 1)
    os.kill(first.pid, signal.SIGSTOP)
    round.expect_told(round.train(*ASIDE).wait(), 2, _HELD)
    os.kill(first.pid, signal.SIGCONT)
    round.judge_training(first.wait())


def search_beside_training(round: Round) -> None:
    """A search with other settings, which would begin anew, while the picks of the folder train."""
    first = round.train(*ASIDE)
    first.wait_for(lambda: points_of(round.run_dir) >= 1)
    os.kill(first.pid, signal.SIGSTOP)
    other = round.search("--workers", 1, "--seed", 1, "--overwrite")
    round.expect_told(other.wait(), 2, _HELD)
    os.kill(first.pid, signal.SIGCONT)
    round.judge_training(first.wait())


FAULTS = [
    Fault("search: the disk is full, --workers 1", partial(fill_disk_of_search, workers=1), 4, needs_mounts),
    Fault("search: the disk is full, --workers 2", partial(fill_disk_of_search, workers=2), 4, needs_mounts),
    Fault("train: the disk is full", fill_disk_of_training, 5, needs_mounts),
    Fault("search: a read-only disk", read_only_search, 2, needs_mounts),
    Fault("train: a read-only disk", read_only_training, 1, needs_mounts),
    Fault("search: two on one run folder", two_searches, 4),
    Fault("train: two on one run folder", two_trainings, 2),
    Fault("train: a search in its run folder", search_beside_training, 1),
]
