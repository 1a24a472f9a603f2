"""Networks scored side by side on the CPU, one process a core.

The layers of one network are small: two threads that share each of them wait for one another (24 ms a network of
NAS-Bench-201 at 16x16 in bf16 on two cores, 29 ms with both cores on one network), and many threads wait most.
A score is the same in whichever process, and with however many threads, it is computed.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from itertools import islice
from typing import Any

import torch

from naswot_lightning.candidates import Scorer
from naswot_lightning.errors import UserError
from naswot_lightning.process import tune_process
from spaces import SpaceError, get_space

Row = dict[str, Any]

MOST_WORKERS = 16  # each holds torch and the feature maps of one network, half a gigabyte
_TRIED = 3
_WORTHWHILE_S = 30.0  # a worker takes 3 s to start

_scorer: Scorer | None = None  # of this worker


def score_networks(scorer: Scorer, networks: Sequence[str], workers: int | None) -> Iterator[tuple[str, Row]]:
    """Yield (network, its row) of every network, in the order in which they are finished.

    Args:
        scorer: what scores a network.
        networks: architectures.
        workers: processes; 1 is this process alone. None tries a few networks here and, where the rest would take
            longer than half a minute on the CPU, starts one a core.

    Raises:
        UserError: a worker died, the space cannot be sent to one, or they would share an accelerator.
    """
    if workers is not None and workers > 1 and scorer.device.type != "cpu":
        raise UserError(f"--workers {workers} on {scorer.device}: workers are for the CPU; leave it out")
    alone = len(networks) if workers == 1 else _TRIED if workers is None else 0
    quickest = float("inf")
    for network in networks[:alone]:
        row = scorer(network)
        quickest = min(quickest, row["seconds"])
        yield network, row
    rest = networks[alone:]
    if not rest:
        return
    count = _worthwhile(scorer, quickest * len(rest)) if workers is None else workers
    if count > 1 and _can_be_sent(scorer):
        yield from _score_aside(scorer, rest, count)
    elif workers is None:
        yield from ((network, scorer(network)) for network in rest)
    else:
        raise UserError(
            f"--workers {workers}: another process cannot make the space {scorer.space.name!r} of its name; "
            "use --workers 1"
        )


def _worthwhile(scorer: Scorer, seconds: float) -> int:
    if scorer.device.type != "cpu" or seconds < _WORTHWHILE_S:
        return 1
    return min(torch.get_num_threads(), MOST_WORKERS)


def _can_be_sent(scorer: Scorer) -> bool:
    """Return whether another process makes the same space of its name; a user's functions cannot be sent themselves."""
    try:
        return get_space(scorer.space.name) is scorer.space
    except SpaceError:
        return False


def _score_aside(scorer: Scorer, networks: Sequence[str], count: int) -> Iterator[tuple[str, Row]]:
    waiting = iter(networks)
    running: dict[Future[Row], str] = {}
    settings = {field.name: getattr(scorer, field.name) for field in fields(scorer)} | {"space": scorer.space.name}
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _start, (settings,))
    try:
        while True:
            # One network more for each worker than it works on, so that none waits for this process.
            for network in islice(waiting, 2 * count - len(running)):
                running[pool.submit(_score, network)] = network
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BrokenProcessPool:
        raise UserError(
            f"one of {count} workers died, perhaps for want of memory; what is finished is kept: run the same command "
            "again with fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(settings: dict[str, Any]) -> None:
    global _scorer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tune_process()
    torch.set_num_threads(1)
    gc.freeze()  # torch's own objects need not be searched for garbage: a quarter of the time to build a network
    _scorer = Scorer(**{**settings, "space": get_space(settings["space"])})


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # a killed parent sends no word
    os._exit(1)


def _score(network: str) -> Row:
    assert _scorer is not None
    return _scorer(network)
