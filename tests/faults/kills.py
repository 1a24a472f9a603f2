"""Processes of this machine that are killed, told to end, or stopped."""

import os
import signal
from functools import partial

from tests.faults.commands import PATIENCE_S, MissedError, kill
from tests.faults.rounds import ASIDE, Fault, Round, points_of, whole_rows

_WORKER, _PICK = "multiprocessing.spawn", "naswot_lightning.training.pick"


def _again_at_once(round: Round) -> None:
    """Look for processes that outlive their command, except where the next begins at once, as it may."""
    if round.rng.random() < 0.5:
        round.look_for_processes()


def kill_search(round: Round) -> None:
    running = round.search("--workers", 2)
    round.wait_for_rows(running)
    running.kill()
    before = round.rows_before()
    _again_at_once(round)
    round.judge_search(before, round.search("--workers", 2).wait())


def kill_scoring_worker(round: Round) -> None:
    running = round.search("--workers", 2)
    rows = round.wait_for_rows(running, end=6)
    workers = running.wait_for(lambda: running.children(_WORKER))
    before = round.rows_before()
    kill(round.rng.choice(workers), signal.SIGKILL)
    ended = running.wait()
    if not ended.told and rows >= 8:
        raise MissedError  # it was between two candidates
    if ended.told:  # one that is not ready yet is replaced without a word
        round.expect_told(ended, 0, "warning: a worker was killed by SIGKILL", "is tried again")
    round.judge_search(before, ended)


def stop_scoring_worker(round: Round) -> None:
    running = round.search("--workers", 2, "--timeout", 5)
    round.wait_for_rows(running, after_start=0.0, end=6)
    before = round.rows_before()
    workers = running.wait_for(lambda: running.children(_WORKER))
    kill(round.rng.choice(workers), signal.SIGSTOP)
    ended = running.wait()
    if not ended.told:
        raise MissedError  # it was between two candidates, and the other did the rest
    round.expect_told(ended, 0, "warning: a worker gave no answer in 5 s", "is tried again")
    round.judge_search(before, ended)


def stop_worker_at(round: Round, when: str) -> None:
    """Stop a worker that has no candidate: before it is ready, or when there are none left."""
    running = round.search("--workers", 2, "--timeout", 5)
    workers = running.wait_for(lambda: running.children(_WORKER))
    if when == "end":
        whole = len(whole_rows(round.references.search()))
        running.wait_for(lambda: len(round.rows_before()) >= whole - 1)
    kill(round.rng.choice(workers), signal.SIGSTOP)
    before = round.rows_before()
    round.judge_search(before, running.wait(PATIENCE_S))


def kill_training(round: Round) -> None:
    running = round.train(*ASIDE)
    round.wait_for_points(running)
    running.kill()
    _again_at_once(round)
    round.judge_training(round.train(*ASIDE).wait())


def kill_pick(round: Round) -> None:
    running = round.train(*ASIDE)
    round.wait_for_points(running)
    picks = running.wait_for(lambda: running.children(_PICK))
    kill(round.rng.choice(picks), signal.SIGKILL)
    ended = running.wait()
    if ended.code == 0 and not ended.told:
        raise MissedError  # it had finished
    failed = [line for line in ended.told if line.startswith("FAILED: ")]
    round.expect_code(ended, 1)
    round.verdict.one_line = round.verdict.expect(
        len(failed) == 1 and "killed by SIGKILL" in ended.errors and len(ended.told) == 2,
        f"expected one FAILED and its reason, got {ended.told}",
    )
    round.judge_training(round.train(*ASIDE).wait())


def end_search(round: Round, signum: int) -> None:
    running = round.search("--workers", 2)
    round.wait_for_rows(running)
    before = round.rows_before()
    _send(round, running.pid, signum)
    ended = running.wait()
    if ended.code == -signum and "Ranking: " in ended.output:
        raise MissedError  # all was done, and Python had let go of its signals
    round.expect_told(ended, 130, "interrupted; run the same command again")
    _again_at_once(round)
    round.judge_search(before, round.search("--workers", 2).wait())


def end_training(round: Round, signum: int) -> None:
    running = round.train(*ASIDE)
    round.wait_for_points(running)
    before = points_of(round.run_dir)
    _send(round, running.pid, signum)
    round.expect_told(running.wait(), 130, "interrupted; run the same command again")
    lost = max(0, before - points_of(round.run_dir))
    round.verdict.lost += lost
    round.verdict.expect(not lost, f"{lost} points of {before} were not saved")
    _again_at_once(round)
    round.judge_training(round.train(*ASIDE).wait())


def _send(round: Round, pid: int, signum: int) -> None:
    """Send a signal to a command, or, as a terminal and a scheduler do, to all of its processes."""
    if round.rng.random() < 0.5:
        kill(pid, signum)
    else:
        os.killpg(pid, signum)


FAULTS = [
    Fault("search: SIGKILL of the command", kill_search),
    Fault("search: SIGKILL of a worker", kill_scoring_worker),
    Fault("search: a worker hangs (SIGSTOP)", stop_scoring_worker),
    Fault("search: a worker hangs at its start", partial(stop_worker_at, when="start"), most=2),
    Fault("search: a worker hangs at the end", partial(stop_worker_at, when="end"), most=2),
    Fault("search: SIGTERM", partial(end_search, signum=signal.SIGTERM)),
    Fault("search: SIGINT", partial(end_search, signum=signal.SIGINT)),
    Fault("train: SIGKILL of the command", kill_training),
    Fault("train: SIGKILL of a pick", kill_pick),
    Fault("train: SIGTERM", partial(end_training, signum=signal.SIGTERM)),
    Fault("train: SIGINT", partial(end_training, signum=signal.SIGINT)),
]
