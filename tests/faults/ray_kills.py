"""A part of Ray itself that is killed, and the command that has started it here."""

import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec

from tests.faults.rounds import INTERRUPTED, Fault, MissedError, Round, kill

_RAY_S = 90.0  # for Ray's agents, which look for a lost head for a minute
_WORDS = ("--engine", "ray", "--workers", 2)


def needs_ray() -> str | None:
    return None if find_spec("ray") else "Ray is not installed"


@contextmanager
def _files_of_ray() -> Iterator[dict[str, str]]:
    """Give the environment of a round: Ray's files lie where its sockets have short names, and go with the round."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    try:
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # nobody else's, nowhere stored
        yield {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0", **token}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kill_head(round: Round) -> None:
    """A part of Ray itself: the command ends after a minute, at once, or is done before."""
    with _files_of_ray() as environment:
        running = round.begin("search.py", *_WORDS, environment=environment)
        round.wait_for_moment(running, after_start=0.0, end=20)
        before = round.rows()
        kill(round.rng.choice([*running.children("gcs_server"), *running.children("raylet/raylet")]))
        ended = running.wait()
        round.expect_code(ended, 0, 1, 2)
        round.judge("search.py", round.begin("search.py", *_WORDS, environment=environment).wait(), before)
        round.look_for_processes(_RAY_S)


def end_command(round: Round, signum: int) -> None:
    with _files_of_ray() as environment:
        running = round.begin("search.py", *_WORDS, environment=environment)
        round.wait_for_moment(running, after_start=15.0)
        before = round.rows()
        kill(running.process.pid, signum)
        ended = running.wait()
        if ended.code in (0, -signum) and "Report: " in ended.output:
            raise MissedError  # all was done, and Python had let go of its signals
        if signum == signal.SIGINT:
            round.expect_told(ended, 130, INTERRUPTED)
        round.look_sometimes(_RAY_S)
        round.judge("search.py", round.begin("search.py", *_WORDS, environment=environment).wait(), before)
        round.look_for_processes(_RAY_S)


FAULTS = [
    Fault("ray: SIGKILL of the head", kill_head, needs=needs_ray),
    Fault("ray: SIGKILL of the command", partial(end_command, signum=signal.SIGKILL), needs=needs_ray),
    Fault("ray: SIGINT", partial(end_command, signum=signal.SIGINT), needs=needs_ray),
]
