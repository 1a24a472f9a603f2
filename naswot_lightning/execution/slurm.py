"""Tasks as jobs of SLURM, an array of them, through submitit; what they tell is read from the run folder."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.execution.base import Executor, R, ResourceRequest, T, Task, WorkerFailure
from naswot_lightning.execution.job import JobItems
from naswot_lightning.execution.remote import module_path, pack
from naswot_lightning.execution.slurm_cluster import JobCluster, Submitted
from naswot_lightning.execution.worker import changed_environment, interrupts_blocked
from naswot_lightning.storage.files import atomic_write

if TYPE_CHECKING:
    from submitit import AutoExecutor

_ITEMS_OF_A_JOB = 250  # minutes of scoring, for the minute in which a job finds a machine and loads torch
_MOST_JOBS = 16
_MOST_STARTS = 3  # of jobs that end before they are ready, one after the other
_MINUTES = 240  # of a job; what takes longer is requeued
_MOST_TIMEOUTS = 100  # of one job: a long training may need many
_MOST_TRIES = 2
_PATIENCE_S = 75.0  # for trainings that are told to save
_SHORT_PATIENCE_S = 5.0  # for others
_OTHERS = {"additional_parameters", "nodes", "ntasks_per_node", "num_gpus"}  # a job is one process
_LISTS = ("setup", "teardown", "srun_args")
# Of other options: a second line would be a command in the script of a job.
_PLAIN = re.compile(r"[\w.,:@%/+=?\[\] -]*")
_CONSTRAINT = re.compile(r"[\w.,:@%/+=?\[\]&|()!* -]*")
_TIME = re.compile(r"(?:(?P<d>\d+)-)?(?P<a>\d+)(?::(?P<b>\d+))?(?::(?P<c>\d+))?")

log = logging.getLogger(__name__)


def slurm_executor(request: ResourceRequest) -> Executor:
    """Return what runs tasks as jobs of SLURM, or as processes of this machine with ``--slurm.cluster local``.

    Raises:
        UserError: submitit is not installed, there is no SLURM here, or an option is at fault.
    """
    try:
        import submitit
    except ImportError as error:
        raise UserError(f"--engine slurm: {error}; pip install 'naswot-lightning[slurm]'") from None
    logging.getLogger("submitit").setLevel(logging.ERROR)  # what it says of jobs is said in our words
    names = {"cluster", "max_num_timeout", *submitit.SlurmExecutor._valid_parameters()} - _OTHERS
    for name in request.options:
        expect_name("option of --slurm", name, sorted(names))
    cluster = expect_name("--slurm.cluster", str(request.options.get("cluster", "slurm")), ("slurm", "local"))
    make = partial(_submitter, submitit, cluster, request, _parameters(request))
    if cluster == "slurm":
        make(request.folder)  # what is at fault is said now; that of the local cluster makes its folder at once
    return Jobs(make, JobCluster(cluster), request)


def _submitter(
    submitit: Any, cluster: str, request: ResourceRequest, parameters: Mapping[str, Any], folder: Path
) -> AutoExecutor:
    timeouts = {f"{cluster}_max_num_timeout": request.options.get("max_num_timeout", _MOST_TIMEOUTS)}
    try:
        made: AutoExecutor = submitit.AutoExecutor(folder, cluster, **timeouts)
        made.update_parameters(**parameters)
    except (RuntimeError, TypeError, ValueError) as error:
        cure = "; there are machines with SLURM, and --slurm.cluster local" if "srun" in str(error) else ""
        raise UserError(f"--engine slurm: {error}{cure}") from None
    return made


def _parameters(request: ResourceRequest) -> dict[str, Any]:
    """Return what submitit is asked for: ours, where the user has not said otherwise."""
    given = {name: value for name, value in request.options.items() if name not in ("cluster", "max_num_timeout")}
    _expect_plain(request.folder, given)
    minutes = to_minutes(given.get("time", _MINUTES))
    cpus = request.threads * request.devices
    # Since SLURM 22.05 srun does not take the number of CPUs over from sbatch.
    ours: dict[str, Any] = {"job_name": "naswot-lightning", "cpus_per_task": cpus, "srun_args": [f"-c{cpus}"]}
    if request.runs_subprocess and request.workers is not None:
        ours["array_parallelism"] = request.workers
    gpus = request.devices if request.device.type == "cuda" else 0
    if {"gres", "gpus_per_node", "gpus_per_task"} & set(given):
        gpus = 0  # said otherwise
    if "cpus_per_task" in given:
        ours["srun_args"] = [f"-c{given['cpus_per_task']}"]
    lists = {name: [given[name]] for name in _LISTS if isinstance(given.get(name), str)}
    slurm = {**ours, **given, **lists, "time": minutes}
    common = {"timeout_min": minutes, **({"gpus_per_node": gpus} if gpus else {})}
    return {**common, **{f"slurm_{name}": value for name, value in slurm.items()}}


def _expect_plain(folder: Path, given: Mapping[str, Any]) -> None:
    """Raise :class:`UserError` where a name or a plain option would be more than that in the script of a job."""
    if not str(folder.absolute()).isprintable():
        raise UserError(f"--run_dir {str(folder.absolute())!r}: SLURM takes no control characters in its name")
    for name, value in given.items():
        pattern = _CONSTRAINT if name == "constraint" else _PLAIN
        if name not in _LISTS and (isinstance(value, list) or not pattern.fullmatch(str(value))):
            raise UserError(f"--slurm.{name} {value!r}: expected a word or number of sbatch, without shell syntax")


def to_minutes(time_limit: Any) -> int:
    """Return a limit of SLURM's ``--time`` in minutes: minutes, or its ``HH:MM:SS``, ``D-HH:MM:SS`` and shorter.

    >>> to_minutes(90), to_minutes("04:00:00"), to_minutes("1-12"), to_minutes("90:30")
    (90, 240, 2160, 91)
    """
    found = _TIME.fullmatch(str(time_limit))
    days, first, second, third = (int((found and found[name]) or 0) for name in ("d", "a", "b", "c"))
    if found and (found["d"] or found["c"]):  # D-HH[:MM[:SS]], HH:MM:SS
        seconds = days * 86_400 + first * 3_600 + second * 60 + third
    else:  # MM[:SS]
        seconds = first * 60 + second
    if not seconds:
        raise UserError(f"--slurm.time {time_limit}: expected minutes, or a time such as 04:00:00 or 1-12:00:00")
    return -(-seconds // 60)


class Jobs:
    """Runs items in jobs: each in one of its own where it starts a process, else in about as many as are asked for.

    Where a job is lost or hangs, its other items are submitted again, and the item that it was at once more, alone.

    Args:
        make_submitter: returns submitit's executor with its files in a folder.
        cluster: where.
        request: what the command asks for.
    """

    def __init__(
        self, make_submitter: Callable[[Path], AutoExecutor], cluster: JobCluster, request: ResourceRequest
    ) -> None:
        self._make_submitter, self._cluster, self._request = make_submitter, cluster, request

    @cached_property
    def _folder(self) -> Path:
        """A new folder for the files of jobs, which are unpickled: those of a foreign run folder are not."""
        jobs = self._request.folder.absolute() / "jobs"
        jobs.mkdir(parents=True, exist_ok=True)
        return Path(mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=jobs))

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as they are finished.

        Raises:
            UserError: jobs are refused or cannot get ready, or the task cannot be sent to one.
        """
        parcel, sent = pack(task, self._request, "--engine slurm")
        chunks = self.chunks(list(items))
        if not chunks:
            return
        path = self._folder / f"{uuid.uuid4().hex}.task"
        atomic_write(path, sent)
        call = JobItems(parcel, path, path, (), self._request.timeout)
        try:
            yield from _Run(self._make_submitter(self._folder), self._cluster, call, self._side_by_side()).results(
                chunks
            )
        finally:
            for file in self._folder.glob(f"{path.stem}.*"):
                file.unlink(missing_ok=True)

    def chunks(self, items: list[Any]) -> list[list[Any]]:
        """Return the items of each job, in turns, so that all jobs take about as long."""
        if self._request.runs_subprocess:
            return [[item] for item in items]
        jobs = self._request.workers or min(_MOST_JOBS, -(-len(items) // _ITEMS_OF_A_JOB))
        return [chunk for number in range(jobs) if (chunk := items[number::jobs])]

    def _side_by_side(self) -> int | None:
        """Return how many jobs there may be at a time; SLURM has a queue of its own."""
        if self._cluster.is_slurm:
            return None
        return self._request.workers or (self._request.slots if self._request.runs_subprocess else os.cpu_count() or 1)


class _Run:
    """Items in jobs that are under way.

    Args:
        submitter: submitit's executor.
        cluster: where.
        call: what a job does, without its items.
        most: jobs at a time; None for all.
    """

    def __init__(self, submitter: AutoExecutor, cluster: JobCluster, call: JobItems, most: int | None) -> None:
        self._submitter, self._cluster, self._call, self._most = submitter, cluster, call, most
        self._waiting: deque[tuple[list[Any], int]] = deque()
        self._jobs: list[Submitted] = []
        self._numbers = count()
        self._unready = 0

    def results(self, chunks: Iterable[list[Any]]) -> Iterator[tuple[Any, Any]]:
        """Yield each item with its result or :class:`WorkerFailure`, as they are finished."""
        self._waiting.extend((chunk, 1) for chunk in chunks)
        try:
            while self._waiting or self._jobs:
                self._submit()
                self._cluster.look(self._jobs)
                for job in list(self._jobs):
                    yield from self._listen(job)
                if self._jobs:
                    time.sleep(self._cluster.poll_s)
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        if self._call.parcel.runs_subprocess and self._jobs:
            log.warning("%d trainings are told to save and end; Ctrl-C ends them at once", len(self._jobs))
        self._cluster.stop(self._jobs, _PATIENCE_S if self._call.parcel.runs_subprocess else _SHORT_PATIENCE_S)

    def _submit(self) -> None:
        room = len(self._waiting) if self._most is None else self._most - len(self._jobs)
        chunks = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        if not chunks:
            return
        calls = [self._with(items) for items, _ in chunks]
        tries = [number for _, number in chunks]
        try:
            with (
                interrupts_blocked(),
                changed_environment(PYTHONPATH=os.pathsep.join(module_path())),
            ):  # Ctrl-C waits until we know the jobs
                jobs = self._submitter.submit_array(calls)
                self._jobs += [Submitted(*submitted) for submitted in zip(jobs, calls, tries, strict=True)]
        except (RuntimeError, TypeError, ValueError, OSError) as error:
            raise UserError(f"--engine slurm: {_last_line(error)}; see --slurm.NAME in docs/clusters.md") from None
        if self._cluster.is_slurm:
            first, folder = jobs[0].job_id, self._submitter.folder
            print(f"{len(jobs)} jobs of SLURM, from {first}; logs in {folder}", file=sys.stderr)

    def _with(self, items: list[Any]) -> JobItems:
        task = self._call.task
        return replace(self._call, items=items, told=task.with_suffix(f".{next(self._numbers)}"))

    def _listen(self, job: Submitted) -> Iterator[tuple[Any, Any]]:
        """Yield what a job has told; where it ended before its items did, submit them again."""
        has_ended = job.has_ended(self._cluster.lag_s)  # asked first: what it told before is read below
        was_ready = job.given.pid is not None
        for message in job.news():
            for item, result in job.given.take(message):
                yield from (
                    self._lose(job, item, result.reason) if isinstance(result, WorkerFailure) else [(item, result)]
                )
        if job.given.pid is not None and not was_ready:
            self._unready = 0
        if not job.given.left:
            self._jobs.remove(job)
        elif has_ended:
            self._jobs.remove(job)
            yield from self._replace(job)

    def _replace(self, job: Submitted) -> Iterator[tuple[Any, Any]]:
        """Submit again what a job that has ended was given."""
        items = list(job.given.left.values())
        if job.given.pid is None:
            self._unready += 1
            if self._unready == _MOST_STARTS:
                raise UserError(f"--engine slurm: {_MOST_STARTS} jobs were not ready for work: the last {job.reason()}")
            self._waiting.append((items, job.tries))
            return
        at = [] if job.has_given_up else items[:1]
        if others := items[len(at) :]:
            self._waiting.append((others, 1))
        for item in at:
            yield from self._lose(job, item, job.reason())

    def _lose(self, job: Submitted, item: Any, reason: str) -> Iterator[tuple[Any, Any]]:
        """Submit an item again that a job was at, or yield it as lost."""
        job.has_given_up = True
        if job.tries < _MOST_TRIES:
            log.warning("warning: a job %s; what it was at is submitted again", reason)
            self._waiting.append(([item], job.tries + 1))
        else:
            yield item, WorkerFailure(reason)


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
