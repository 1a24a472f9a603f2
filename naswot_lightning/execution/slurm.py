"""The engine of SLURM: tasks as arrays of jobs, through submitit."""

from __future__ import annotations

import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import MachineError, UserError, expect_name
from naswot_lightning.execution.base import ResourceRequest, Stoppable, Task, WorkerFailure, run_item
from naswot_lightning.execution.engine import MOST_TRIES, STOPPING, Attempts, Chunk, Engine, Work, log
from naswot_lightning.execution.local import ProcessExecutor
from naswot_lightning.execution.worker import (
    PrintedFile,
    TaskSpec,
    changed_environment,
    interrupts_blocked,
    module_path,
    pack_task,
    sendable,
)
from naswot_lightning.storage.files import atomic_write

if TYPE_CHECKING:
    from submitit import AutoExecutor
    from submitit import Job as SubmittedJob
    from submitit.core.utils import DelayedSubmission

# What a lost job loses: half a minute of scoring. To load torch takes ten seconds.
_ITEMS_OF_A_JOB = 100
# Jobs of candidates at a time.
_MOST_JOBS = 16
# Jobs in a row that may end without a result.
_MOST_LOSSES = 5
# The time limit of a job, and how often a longer one is requeued.
_MINUTES, _MOST_TIMEOUTS = 240, 100
# Seconds that trainings have to save, and other jobs to end.
_PATIENCE_S, _SHORT_PATIENCE_S = 75.0, 5.0
# Seconds between polls for results.
_POLL_S, _LOCAL_POLL_S = 2.0, 0.2
# Seconds between queries to SLURM for jobs that ended without a result; submitit's own are ten minutes apart.
_QUERY_S = 60.0
# States of jobs that say nothing of a fault.
_NO_FAULT = ("FINISHED", "COMPLETED", "UNKNOWN")
# A job is one process.
_OTHERS = {"additional_parameters", "nodes", "ntasks_per_node", "num_gpus"}
_LISTS = ("setup", "teardown", "srun_args")
_PLAIN = re.compile(r"[\w.,:@%/+=?\[\] -]*")
_CONSTRAINT = re.compile(r"[\w.,:@%/+=?\[\]&|()!* -]*")
_TIME = re.compile(r"(?:(?P<d>\d+)-)?(?P<a>\d+)(?::(?P<b>\d+))?(?::(?P<c>\d+))?")


def slurm_parameters(request: ResourceRequest) -> dict[str, Any]:
    """Return the parameters for submitit; an option that is more than a word in a job's script is a UserError."""
    given = {name: value for name, value in request.options.items() if name not in ("cluster", "max_num_timeout")}
    if not str(request.folder.absolute()).isprintable():
        raise UserError(
            f"--run_dir {str(request.folder.absolute())!r}: SLURM does not accept control characters in the name"
        )
    for name, value in given.items():
        # A second line would be a command in the script of a job.
        pattern = _CONSTRAINT if name == "constraint" else _PLAIN
        if name not in _LISTS and (isinstance(value, list) or not pattern.fullmatch(str(value))):
            raise UserError(f"--slurm.{name} {value!r}: expected a word or a number for sbatch, without shell syntax")
    minutes = to_minutes(given.get("time", _MINUTES))
    cpus = given.get("cpus_per_task", request.threads * request.devices * workers_of_a_job(request))
    # Since SLURM 22.05 srun does not take the number of CPUs over from sbatch.
    slurm: dict[str, Any] = {"job_name": "naswot-lightning", "cpus_per_task": cpus, "srun_args": [f"-c{cpus}"]}
    if at_a_time := request.workers or (0 if request.runs_subprocess else _MOST_JOBS):
        slurm["array_parallelism"] = at_a_time
    lists = {name: [given[name]] for name in _LISTS if isinstance(given.get(name), str)}
    slurm |= {**given, **lists, "time": minutes}
    parameters = {"timeout_min": minutes, **{f"slurm_{name}": value for name, value in slurm.items()}}
    if is_cuda(request.device) and not {"gres", "gpus_per_node", "gpus_per_task"} & set(given):
        parameters["gpus_per_node"] = request.devices
    return parameters


def workers_of_a_job(request: ResourceRequest) -> int:
    """Return how many processes of a job score side by side: they share its GPU."""
    shares = request.workers_per_gpu and not request.runs_subprocess and is_cuda(request.device)
    return request.workers_per_gpu or 1 if shares else 1


def is_cuda(device: str) -> bool:
    """Return whether a job needs GPUs for a device of that name; ``auto`` does where this machine has some."""
    kind, _, number = device.partition(":")
    if number and kind == "cuda":
        raise UserError(f"--device {device}: SLURM chooses among the GPUs; use --device {kind}")
    if kind != "auto":
        return kind == "cuda"
    import torch

    return torch.cuda.device_count() > 0


def to_minutes(time_limit: Any) -> int:
    """Return a limit of SLURM's ``--time`` in minutes: minutes, or its ``HH:MM:SS``, ``D-HH:MM:SS`` and shorter.

    >>> to_minutes(90), to_minutes("04:00:00"), to_minutes("1-12"), to_minutes("90:30")
    (90, 240, 2160, 91)
    """
    found = _TIME.fullmatch(str(time_limit))
    days, *parts = (int((found and found[name]) or 0) for name in ("d", "a", "b", "c"))
    # D-HH[:MM[:SS]] and HH:MM:SS begin with hours, MM[:SS] with minutes.
    units = (3_600, 60, 1) if found and (found["d"] or found["c"]) else (60, 1, 0)
    seconds = days * 86_400 + sum(unit * part for unit, part in zip(units, parts, strict=True))
    if not seconds:
        raise UserError(f"--slurm.time {time_limit}: expected minutes, or a time such as 04:00:00 or 1-12:00:00")
    return -(-seconds // 60)


@dataclass
class JobCall:
    """The function that submitit runs in a job, with a checkpoint for preemption and timeouts."""

    task: Path
    """The file of the pickled :class:`~naswot_lightning.execution.worker.TaskSpec`."""
    items: Sequence[Any]
    output: PrintedFile
    """What a training prints."""
    runs_subprocess: bool
    timeout: float | None
    workers: int = 1
    """Processes that score side by side."""
    results: list[tuple[Any, Any]] = field(default_factory=list)
    """Of the items that are finished; a job that is requeued goes on with the others."""
    _task: Task[Any, Any] | None = field(default=None, init=False)
    _training: Future[Any] | None = field(default=None, init=False)

    def __call__(self) -> tuple[list[tuple[Any, Any]], Exception | None]:
        """Return the items with their results, and the error of the task that ended it early."""
        # A local job is interrupted through its parent, which forwards SIGTERM alone.
        is_local = os.environ.get("SUBMITIT_EXECUTOR") == "local"
        signal.signal(signal.SIGTERM if is_local else signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        finished = {item for item, _ in self.results}
        left = [item for item in self.items if item not in finished]
        try:
            spec = pickle.loads(self.task.read_bytes())  # noqa: S301 - of the command that submitted this
            if self.runs_subprocess:
                with self.output.printing():
                    self._task = spec.load()
                    self.results += [(item, self._train(item)) for item in left]
            else:
                # In a process beside this one: a candidate that kills it, or hangs, does not end the job.
                for pair in ProcessExecutor(self.workers, timeout=self.timeout).run_packed(spec, left):
                    self.results.append(pair)
        except Exception as error:  # noqa: BLE001 - raised again by the command
            return self.results, sendable(error)
        return self.results, None

    def _train(self, item: Any) -> Any:
        """Wait for a training in another thread, so that this one can answer signals."""
        assert self._task is not None
        with ThreadPoolExecutor(1) as pool:
            try:
                self._training = pool.submit(run_item, self._task, item)
                return self._training.result()
            except KeyboardInterrupt:
                self._stop_training()
                return WorkerFailure("was interrupted")

    def _stop_training(self) -> None:
        """Let a training save and end."""
        if isinstance(self._task, Stoppable):
            self._task.stop()
        wait([self._training] if self._training else [], _PATIENCE_S)

    def checkpoint(self) -> DelayedSubmission:
        """Let a training save, and return the job that continues it."""
        from submitit.core.utils import DelayedSubmission

        self._stop_training()
        return DelayedSubmission(replace(self))


class SlurmExecutor(Engine):
    """Runs items in jobs of SLURM, or in processes of this machine with ``--slurm.cluster local``.

    A training has a job of its own, up to 100 candidates share one, which tries them again itself.
    """

    name, has_own_memory = "a job", True

    def __init__(self, request: ResourceRequest) -> None:
        super().__init__()
        self.trains = request.runs_subprocess
        try:
            import submitit
        except ImportError as error:
            raise UserError(f"--engine slurm: {error}; pip install 'naswot-lightning[slurm]'") from None
        # What it says of jobs is said in our words.
        logging.getLogger("submitit").setLevel(logging.ERROR)
        names = {"cluster", "max_num_timeout", *submitit.SlurmExecutor._valid_parameters()} - _OTHERS
        for name in request.options:
            expect_name("option of --slurm", name, sorted(names))
        cluster = expect_name("--slurm.cluster", str(request.options.get("cluster", "slurm")), ("slurm", "local"))
        self._request, self._cluster, self._parameters = request, cluster, slurm_parameters(request)
        self._poll_s = _LOCAL_POLL_S
        # Jobs at a time; SLURM has a queue of its own.
        self._most: int | None = request.workers or (request.slots if request.runs_subprocess else os.cpu_count() or 1)
        self._is_slurm = cluster == "slurm"
        if self._is_slurm:
            self._poll_s, self._most = _POLL_S, None
            # Raises what is wrong before the work begins.
            self._submitter_of(request.folder)
        self._running: list[tuple[SubmittedJob[Any], JobCall, Chunk]] = []
        self._file: Path | None = None
        self._losses, self._queried = 0, time.monotonic()

    def _submitter_of(self, folder: Path) -> AutoExecutor:
        """Return submitit's executor, with the files of its jobs in a folder."""
        import submitit

        timeouts = {f"{self._cluster}_max_num_timeout": self._request.options.get("max_num_timeout", _MOST_TIMEOUTS)}
        try:
            made: AutoExecutor = submitit.AutoExecutor(folder, self._cluster, **timeouts)
            made.update_parameters(**self._parameters)
        except (RuntimeError, TypeError, ValueError) as error:
            cure = "; run it on a machine with SLURM, or use --slurm.cluster local" if "srun" in str(error) else ""
            raise UserError(f"--engine slurm: {error}{cure}") from None
        return made

    @cached_property
    def _submitter(self) -> AutoExecutor:
        """With a new folder for the files of jobs, which are unpickled: those of a foreign run folder are not."""
        jobs = self._request.folder.absolute() / "jobs"
        jobs.mkdir(parents=True, exist_ok=True)
        return self._submitter_of(Path(mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=jobs)))

    def pack(self, task: Task[Any, Any]) -> TaskSpec:
        """Return the task and what its jobs need."""
        return pack_task(task, self._request.threads, "--engine slurm", "--engine local --workers 1")

    def plan(self, items: Iterable[Any]) -> Work:
        """Return the jobs."""
        return Work(chunks=map(Chunk, split_into_jobs(list(items), self._request)))

    def attempt(self, spec: Any, work: Work, alone: bool = False) -> Attempts:
        """Yield what the jobs have returned, as they are finished; jobs that are refused are a UserError."""
        if not work:
            return
        file = self._file = Path(self._submitter.folder, f"{uuid.uuid4().hex}.task")
        atomic_write(file, pickle.dumps(spec))
        while work or self._running:
            self._submit(work, file)
            if self._is_slurm and time.monotonic() - self._queried > _QUERY_S:
                self._queried = time.monotonic()
                self._running[0][0].get_info(mode="force")  # of all jobs
            for each in list(self._running):
                job, call, chunk = each
                is_done = job.done()
                call.output.show()
                if is_done:
                    self._running.remove(each)
                    yield from self._collect(job, chunk)
            if self._running:
                time.sleep(self._poll_s)

    def _submit(self, work: Work, file: Path) -> None:
        """Submit as many chunks as there is room for as one array; each job prints into its own file."""
        room = len(work.chunks) if self._most is None else self._most - len(self._running)
        chunks = [work.take() for _ in range(min(room, len(work.chunks)))]
        if not chunks:
            return
        request = self._request
        each = request.runs_subprocess, request.timeout, workers_of_a_job(request)
        outputs = [PrintedFile(file.with_suffix(f".{time.monotonic_ns()}")) for _ in chunks]
        calls = [JobCall(file, chunk.items, out, *each) for chunk, out in zip(chunks, outputs, strict=True)]
        try:
            # Ctrl-C waits until we know the jobs.
            with interrupts_blocked(), changed_environment(PYTHONPATH=module_path()):
                jobs = self._submitter.submit_array(calls)
                self._running += zip(jobs, calls, chunks, strict=True)
        except (RuntimeError, TypeError, ValueError, OSError) as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise UserError(f"--engine slurm: {said}; see --slurm.NAME in docs/clusters.md") from None
        if self._is_slurm:
            print(f"{len(jobs)} SLURM jobs, starting with {jobs[0].job_id}; logs in {file.parent}", file=sys.stderr)

    def _collect(self, job: SubmittedJob[Any], chunk: Chunk) -> Attempts:
        """Yield the results of a job that has ended, and its other items as lost."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        found: list[tuple[Any, Any]] = []
        error: Exception | None = None
        try:
            found, error = job.result()
            reason = f"ended early: {error}"
        except UncompletedJobError as lost:
            ended = f"ended as {job.state}" if job.state not in _NO_FAULT else "ended without an answer"
            ended = "ended with an error" if isinstance(lost, FailedJobError) else ended
            reason = f"{ended}, see {job.paths.stderr}"
        if found:
            self._losses = 0
            # A job has tried its candidates again itself.
            tries = chunk.tries if self.trains else MOST_TRIES
            yield Chunk([item for item, _ in found], tries), [result for _, result in found], None
        if error is not None and not isinstance(error, MachineError):  # another job may get another device
            raise error
        finished = {item for item, _ in found}
        if left := [item for item in chunk.items if item not in finished]:
            self._losses += 1
            if self._losses == _MOST_LOSSES:
                raise UserError(
                    f"--engine slurm: {_MOST_LOSSES} jobs in a row gave no result; the last one {reason}; finished "
                    "work is kept: run the same command again with other options"
                )
            yield Chunk(left, chunk.tries), [WorkerFailure(reason, "resource")] * len(left), None

    def stop(self) -> None:
        """End all jobs; those that train may save first."""
        left = [job for job, *_ in self._running if not job.done()]
        if self.trains and left:
            log.warning(STOPPING, len(left))
        if self._is_slurm:
            self._signal(left, "--state=PENDING")
        self._signal(left, "--signal=INT")
        end = time.monotonic() + (_PATIENCE_S if self.trains else _SHORT_PATIENCE_S)
        try:
            while left and time.monotonic() < end:
                time.sleep(self._poll_s)
                if self._is_slurm:
                    left[0].get_info(mode="force")  # of all jobs
                left = [job for job in left if not job.done()]
        finally:
            self._signal(left, "--quiet")
            self.release()

    def release(self) -> None:
        """Show the last lines that jobs have printed, and remove the files of the task."""
        for _, call, _ in self._running:
            call.output.show()
        self._running.clear()
        for path in self._file.parent.glob(f"{self._file.stem}.*") if self._file else ():
            path.unlink(missing_ok=True)

    def _signal(self, jobs: Sequence[SubmittedJob[Any]], option: str) -> None:
        """Call scancel; a local job is interrupted: the first time it saves, the second time it ends at once."""
        if self._is_slurm and jobs:
            subprocess.run(["scancel", option, *(job.job_id for job in jobs)], capture_output=True, check=False)
        elif not self._is_slurm:
            for job in jobs:
                with suppress(ProcessLookupError):
                    os.kill(int(job.job_id), signal.SIGTERM)


def split_into_jobs(items: list[Any], request: ResourceRequest) -> list[list[Any]]:
    """Return the items of each job, in turns, so that all jobs take about as long."""
    if request.runs_subprocess:
        return [[item] for item in items]
    workers = request.workers or 1
    jobs = workers * -(-len(items) // (_ITEMS_OF_A_JOB * workers))
    return [chunk for number in range(jobs) if (chunk := items[number::jobs])]
