"""Workers of Ray that are killed, the command that has started Ray here, and one of two machines, both of them here."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tests.faults.rounds import INTERRUPTED, MARK, Fault, MissedError, Round, end_all, kill, processes_of

_WORKER = "ray::RayWorker"  # as Ray calls one of ours
_MACHINE = "NASWOT_FAULT_MACHINE"  # in the environment of one machine's processes
_RAY_S = 90.0  # for a machine to be there, and for Ray's agents, which look for a lost one for a minute
_WORDS = ("--engine", "ray", "--workers", 2)
_TOLD = ("warning: a worker", "is tried again")


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


def kill_worker(round: Round) -> None:
    with _files_of_ray() as environment:
        running = round.begin("search.py", *_WORDS, environment=environment)
        round.wait_for_moment(running, after_start=0.0, end=6)
        workers = running.wait_for(lambda: running.children(_WORKER))
        before = round.rows()
        kill(round.rng.choice(workers))
        ended = running.wait()
        if ended.told:  # one that has no candidate is replaced without a word
            round.expect_told(ended, 0, *_TOLD)
        round.judge("search.py", ended, before)
        round.look_for_processes(_RAY_S)


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
        if signum == signal.SIGINT:
            round.expect_told(ended, 130, INTERRUPTED)
        round.look_sometimes(_RAY_S)
        round.judge("search.py", round.begin("search.py", *_WORDS, environment=environment).wait(), before)
        round.look_for_processes(_RAY_S)


def kill_machine(round: Round) -> None:
    with _files_of_ray() as environment, _machines(round, environment) as address:
        running = round.begin("search.py", *_WORDS, environment={**environment, "RAY_ADDRESS": address})
        round.wait_for_moment(running, after_start=0.0, end=20)
        if not set(running.children(_WORKER)) & set(processes_of(f"{round.mark}2", _MACHINE)):
            raise MissedError  # it has nothing to do
        before = round.rows()
        _end_machine(f"{round.mark}2")
        ended = running.wait()
        if ended.told:  # a machine whose worker is not ready yet has nothing to lose, which cannot be seen from here
            round.expect_told(ended, 0, *_TOLD)
        round.judge("search.py", ended, before)
    round.look_for_processes(_RAY_S)


def _end_machine(machine: str) -> None:
    end = time.monotonic() + _RAY_S
    while processes_of(machine, _MACHINE) and time.monotonic() < end:
        end_all(machine, _MACHINE)
        time.sleep(0.5)


@contextmanager
def _machines(round: Round, environment: dict[str, str]) -> Iterator[str]:
    """Give the address of a cluster of two machines, one core each."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    port = address.rpartition(":")[2]
    _start_ray(round, environment, "1", "--head", "--port", port, "--include-dashboard", "false")
    _start_ray(round, environment, "2", "--address", address)
    try:
        yield address
    finally:
        _end_machine(round.mark)  # the round's, not the command's


def _start_ray(round: Round, environment: dict[str, str], machine: str, *words: str) -> None:
    ray = Path(sys.executable).with_name("ray")
    given = {**os.environ, **environment, _MACHINE: f"{round.mark}{machine}", MARK: round.mark}
    with open(round.folder / f"machine-{machine}.log", "wb") as log:
        subprocess.run(
            [ray, "start", *words, "--num-cpus", "1", "--node-ip-address", "127.0.0.1", "--disable-usage-stats"],
            env=given, stdout=log, stderr=subprocess.STDOUT, timeout=_RAY_S, check=True,
        )  # fmt: skip


FAULTS = [
    Fault("ray: SIGKILL of a worker", kill_worker, needs=needs_ray),
    Fault("ray: SIGKILL of the head", kill_head, most=6, needs=needs_ray),
    Fault("ray: SIGKILL of a machine", kill_machine, needs=needs_ray),
    Fault("ray: SIGKILL of the command", partial(end_command, signum=signal.SIGKILL), most=10, needs=needs_ray),
    Fault("ray: SIGINT", partial(end_command, signum=signal.SIGINT), most=10, needs=needs_ray),
]
