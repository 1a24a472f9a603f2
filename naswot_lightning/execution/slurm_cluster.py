"""Jobs that are under way, and where they run: SLURM, or processes of this machine."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from naswot_lightning.execution.job import JobItems, read_messages
from naswot_lightning.execution.remote import Message, PendingItems, Ready

if TYPE_CHECKING:
    from submitit import Job

_POLL_S, _LAG_S = 2.0, 15.0  # between looks; until a file that another machine wrote is seen on this one
_LOCAL_POLL_S = 0.2
_LOOK_S = 60.0  # between questions to SLURM for jobs that ended without a word
_NO_FAULT = ("FINISHED", "COMPLETED", "UNKNOWN")


class Submitted:
    """A job, and what of its items is left.

    Attributes:
        tries: how often its first item was given to a job.
        given: what is left of its items.
        has_given_up: the item that it was at is lost by its own word; it has not begun with the next.
    """

    def __init__(self, job: Job[None], call: JobItems, tries: int) -> None:
        self.job, self.tries, self.given = job, tries, PendingItems(call.items)
        self.has_given_up = False
        self._told, self._at = call.told, 0
        self._ended_since: float | None = None
        self._is_interrupted = False

    def news(self) -> list[Message]:
        """Return what it has told since."""
        messages, self._at = read_messages(self._told, self._at)
        return messages

    def interrupt(self) -> None:
        """Tell the process of a local job once that it should end, as soon as it can be told."""
        for message in self.news():
            self.given.pid = message.pid if isinstance(message, Ready) else self.given.pid
        if self.given.pid is not None and not self._is_interrupted:
            self._is_interrupted = True
            _signal(self, signal.SIGINT)

    def has_ended(self, lag: float) -> bool:
        """Return whether it ended so many seconds ago."""
        if self._ended_since is None and self.job.done():
            self._ended_since = time.monotonic()
        return self._ended_since is not None and time.monotonic() - self._ended_since >= lag

    def reason(self) -> str:
        """Return in words how it ended."""
        state = self.job.state
        ended = f"ended as {state}" if state not in _NO_FAULT else "ended without an answer"
        with suppress(OSError, EOFError, pickle.UnpicklingError):
            kind, result = pickle.loads(self.job.paths.result_pickle.read_bytes())  # noqa: S301 - of our own job
            if kind == "error":
                ended = f"ended ({str(result).strip().splitlines()[-1]})"
        return f"{ended}, see {self.job.paths.stderr}"


class JobCluster:
    """Where jobs run.

    Args:
        name: slurm, or local.
    """

    def __init__(self, name: str) -> None:
        self.is_slurm = name == "slurm"
        self.poll_s, self.lag_s = (_POLL_S, _LAG_S) if self.is_slurm else (_LOCAL_POLL_S, 0.0)
        self._looked = time.monotonic()

    def look(self, jobs: Sequence[Submitted]) -> None:
        """Ask SLURM now and then how all jobs are: submitit alone asks every ten minutes."""
        if self.is_slurm and jobs and time.monotonic() - self._looked > _LOOK_S:
            self._looked = time.monotonic()
            jobs[0].job.get_info(mode="force")

    def stop(self, jobs: Sequence[Submitted], patience: float) -> None:
        """End jobs; those that train may save first.

        Args:
            jobs: all that are under way.
            patience: seconds until they are ended by force.
        """
        left = [job for job in jobs if not job.job.done()]
        end = time.monotonic() + patience
        if self.is_slurm:
            self._scancel("--state=PENDING", left)
            self._scancel("--signal=INT", left)
        try:
            while left and time.monotonic() < end:
                time.sleep(self.poll_s)
                left = [job for job in left if not self._has_ended(job)]
        finally:
            if self.is_slurm:
                self._scancel("--quiet", left)
            else:
                for job in left:
                    _signal(job, signal.SIGKILL)

    def _has_ended(self, job: Submitted) -> bool:
        if self.is_slurm:
            job.job.get_info(mode="force")
        else:
            job.interrupt()
        return job.job.done()

    @staticmethod
    def _scancel(option: str, jobs: Sequence[Submitted]) -> None:
        if jobs:
            subprocess.run(["scancel", option, *(job.job.job_id for job in jobs)], capture_output=True, check=False)


def _signal(job: Submitted, number: int) -> None:
    if job.given.pid is not None and not job.job.done():
        with suppress(ProcessLookupError):
            os.kill(job.given.pid, number)
