"""Run folders that take nothing: on a full disk, and on one that is read-only."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from tests.faults.rounds import Fault, MissedError, Round, copy_search, kill

_CLONE_NEWNS = 0x20000  # linux/sched.h
_PAGE = 4096


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
def _disk(round: Round, script: str) -> Iterator[Path]:
    """Mount a small disk in memory; the run folder lies on it, with the search that a training needs."""
    disk = round.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", disk], check=True)
    round.run_dir = disk / "run"
    try:
        if script == "train.py":
            copy_search(round.references.search(), round.run_dir)
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def _fill(disk: Path, pages: int) -> Path:
    """Leave so many pages; return the file to remove for more."""
    room = os.statvfs(disk)
    with open(disk / "ballast", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(_PAGE, room.f_bavail * room.f_frsize - _PAGE * pages))
    return disk / "ballast"


def _pages(run: Path, *left_out: str) -> int:
    """Return the pages of a run folder, without the files or folders that are left out."""
    files = [path for path in run.rglob("*") if path.is_file() and path.relative_to(run).parts[0] not in left_out]
    return sum(-(-path.stat().st_size // _PAGE) for path in files)


def fill_disk_of_search(round: Round, workers: int) -> None:
    """In odd rounds the ranking fits and is whole, and what cannot be written is the page: one line of warning."""
    reference = round.references.search()
    whole, ranked = _pages(reference), _pages(reference, "figures", "report.html")
    with _disk(round, "search.py") as disk:
        # A few pages more for folders, and for the file that becomes ranking.json.
        pages = round.rng.randrange(ranked + 8, whole - 2) if round.number % 2 else round.rng.randrange(ranked - 2)
        ballast = _fill(disk, pages)
        code, words = (0, ("warning", "report.html")) if round.number % 2 else (2, ())
        told = round.begin("search.py", "--workers", workers).wait()
        round.expect_told(told, code, *words, "No space left on device", "free some space")
        before = round.rows()
        if round.number % 2:
            round.judge("search.py", told, before)
        ballast.unlink()
        round.judge("search.py", round.begin("search.py", "--workers", workers).wait(), before)


def fill_disk_of_training(round: Round) -> None:
    """A pick whose disk is full ends the command, or fails and leaves the other."""
    whole = _pages(round.references.training())
    with _disk(round, "train.py") as disk:
        images = 6 * 2**20 // _PAGE  # of digits, stored for all picks
        ballast = _fill(disk, round.rng.randrange(1, images + whole))
        ended = round.begin("train.py").wait()
        if ended.code == 0:
            raise MissedError  # there was room enough
        told = [line for line in ended.told if "No space left on device" in line]
        round.expect_code(ended, 1, 2)
        one = len(told) == 1 and len(ended.told) == (1 if ended.code == 2 else 2)
        round.expect(one, f"expected one line of the disk, got {ended.told}")
        ballast.unlink()
        round.judge("train.py", round.begin("train.py").wait())


def read_only(round: Round, script: str) -> None:
    """A new run folder, or one that holds a part of the search, where nothing may be written."""
    with _disk(round, script) as disk:
        if script == "search.py" and round.number % 2:
            running = round.begin(script, "--workers", 1)
            round.wait_for_moment(running, after_start=0.0, end=1)
            kill(running.process.pid)
            running.process.wait()
        before = round.rows()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        round.expect_told(round.begin(script).wait(), 2, "Read-only file system", "can be written")
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        round.judge(script, round.begin(script).wait(), before)


FAULTS = [
    Fault("search: the disk is full, --workers 1", partial(fill_disk_of_search, workers=1), needs=needs_mounts),
    Fault("search: the disk is full, --workers 2", partial(fill_disk_of_search, workers=2), needs=needs_mounts),
    Fault("train: the disk is full", fill_disk_of_training, needs=needs_mounts),
    Fault("search: a read-only disk", partial(read_only, script="search.py"), 2, needs_mounts),
    Fault("train: a read-only disk", partial(read_only, script="train.py"), 1, needs_mounts),
]
