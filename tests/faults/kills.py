"""Processes of this machine that are killed, told to end, or stopped."""

import itertools
import os
import signal
from functools import partial

from tests.faults.rounds import INTERRUPTED, Fault, MissedError, Round, kill, points_of

_WORKER, _PICK = "multiprocessing.spawn", "naswot_lightning.training.pick"


def kill_command(round: Round, script: str) -> None:
    running = round.begin(script)
    round.wait_for_moment(running)
    kill(running.process.pid)
    running.process.wait()
    before = round.rows()
    round.look_sometimes()
    round.judge(script, round.begin(script).wait(), before)


def kill_scoring_worker(round: Round) -> None:
    running = round.begin("search.py")
    rows = round.wait_for_moment(running, end=6)
    workers = running.wait_for(lambda: running.children(_WORKER))
    before = round.rows()
    kill(round.rng.choice(workers))
    ended = running.wait()
    if not ended.told and rows >= 8:
        raise MissedError  # it was between two candidates
    if ended.told:  # one that is not ready yet is replaced without a word
        round.expect_told(ended, 0, "warning: a worker was killed by SIGKILL", "is tried again")
    round.judge("search.py", ended, before)


def stop_scoring_worker(round: Round) -> None:
    running = round.begin("search.py", "--timeout", 5)
    round.wait_for_moment(running, after_start=0.0, end=6)
    workers = running.wait_for(lambda: running.children(_WORKER))
    before = round.rows()
    kill(round.rng.choice(workers), signal.SIGSTOP)
    ended = running.wait()
    if not ended.told:
        raise MissedError  # it was between two candidates, and the other did the rest
    round.expect_told(ended, 0, "warning: a worker gave no answer in 5 s", "is tried again")
    round.judge("search.py", ended, before)


def kill_pick(round: Round) -> None:
    running = round.begin("train.py")
    round.wait_for_moment(running)
    picks = running.wait_for(lambda: running.children(_PICK))
    kill(round.rng.choice(picks))
    ended = running.wait()
    if ended.code == 0 and not ended.told:
        raise MissedError  # it had finished
    failed = [line for line in ended.told if line.startswith("FAILED: ")]
    round.expect_code(ended, 1)
    told = len(failed) == 1 and "killed by SIGKILL" in ended.errors and len(ended.told) == 2
    round.expect(told, f"expected one FAILED and its reason, got {ended.told}")
    round.judge("train.py", round.begin("train.py").wait())


def end_command(round: Round, script: str, signum: int) -> None:
    running = round.begin(script)
    round.wait_for_moment(running)
    before, points = round.rows(), points_of(round.run_dir)
    # To the command, or, as a terminal and a scheduler do, to all of its processes.
    kill(running.process.pid, signum, round.rng.choice((os.kill, os.killpg)))
    ended = running.wait()
    if ended.code == -signum and "Ranking: " in ended.output:
        raise MissedError  # all was done, and Python had let go of its signals
    round.expect_told(ended, 130, INTERRUPTED)
    round.expect(points_of(round.run_dir) >= points, f"of {points} points some were not saved")
    round.look_sometimes()
    round.judge(script, round.begin(script).wait(), before)


_SCRIPTS = {"search": "search.py", "train": "train.py"}
FAULTS = [
    Fault("search: SIGKILL of a worker", kill_scoring_worker),
    Fault("search: a worker hangs (SIGSTOP)", stop_scoring_worker),
    Fault("train: SIGKILL of a pick", kill_pick),
    *(
        Fault(f"{name}: SIGKILL of the command", partial(kill_command, script=script))
        for name, script in _SCRIPTS.items()
    ),
    *(
        Fault(f"{name}: {signum.name}", partial(end_command, script=script, signum=signum))
        for (name, script), signum in itertools.product(_SCRIPTS.items(), (signal.SIGTERM, signal.SIGINT))
    ),
]
