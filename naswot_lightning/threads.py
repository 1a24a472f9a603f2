"""Threads of compiled code beside torch's."""

from __future__ import annotations

import numba
import torch


def _start_threads() -> int:
    """Start numba's threads now, and undo what that does to torch's; return how many numba has.

    Both use OpenMP, and numba's start sets the number of threads for all: a process limited to one thread would train
    with every core after its first score, with sums in another order.
    """
    before = torch.get_num_threads()
    count = int(numba.get_num_threads())
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)
    return count


_MOST_THREADS = _start_threads()


def match_threads() -> None:
    """Let compiled loops of this thread use as many threads as torch does."""
    numba.set_num_threads(min(torch.get_num_threads(), _MOST_THREADS))
