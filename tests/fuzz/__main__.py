"""Damaged files for every reader: ``python -m tests.fuzz --inputs 10000 [--reader FILE...] [--seed S]``.

Each ends in a result, or in an error of one line; anything else is a fault, and exit code 1.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from concurrent.futures import TimeoutError as TimedOut
from pathlib import Path
from typing import NamedTuple

from pebble import ProcessExpired, ProcessPool

from naswot_lightning.errors import UserError
from naswot_lightning.spaces import SpaceError
from tests.fuzz.mutations import mutated
from tests.fuzz.readers import READERS

MOST_CHARACTERS = 2_000  # of a message
_MOST_SECONDS = 10.0  # of work on one input
_TIMEOUT_S = 60  # that may pass: other processes work, too
_MEMORY = 4 * 2**30  # beyond what the libraries take


class Ending(NamedTuple):
    """How an input ended: in a result, in an error of one line, or in a fault and what is known of it."""

    kind: str
    text: str = ""
    seconds: float = 0.0


def run_input(name: str, number: int, seed: int) -> Ending:
    """Let a reader read an input: its file is damaged, those that it needs are valid."""
    rng, reader = random.Random(f"{seed} {name} {number}"), READERS[name]
    files = {name: mutated(rng, reader.make(rng)), **{other: READERS[other].make(rng) for other in reader.needs}}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        return read(name, files, Path(folder))


def read(name: str, files: dict[str, bytes], folder: Path) -> Ending:
    """Let a reader read files, and judge how it ends."""
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    start, printed = time.process_time(), io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            READERS[name].read(folder)
    except (UserError, SpaceError) as error:
        ending = Ending("error" if is_short_line(str(error)) else "fault", str(error)[:500])
    except Exception:  # noqa: BLE001 - what is looked for
        ending = Ending("fault", traceback.format_exc()[-2_500:])
    else:
        odd = [line for line in printed.getvalue().split("\n") if not line.isprintable()]
        ending = Ending("fault", f"printed {odd[0][:100]!r}") if odd else Ending("result")
    seconds = time.process_time() - start
    return Ending("fault", f"{seconds:.1f} s") if seconds > _MOST_SECONDS else ending._replace(seconds=seconds)


def is_short_line(message: str) -> bool:
    """Return whether a message is one line that can be printed."""
    return bool(message.strip()) and len(message) < MOST_CHARACTERS and message.isprintable()


def _limit_memory() -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + _MEMORY, resource.RLIM_INFINITY))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="over all readers")
    parser.add_argument("--reader", choices=READERS, nargs="+", default=list(READERS), help="these alone")
    parser.add_argument("--number", type=int, help="one input in place of many")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    numbers = range(-(-options.inputs // len(options.reader))) if options.number is None else [options.number]
    fork = multiprocessing.get_context("fork")  # the libraries are loaded once
    endings: dict[str, list[Ending]] = defaultdict(list)
    with ProcessPool(os.cpu_count(), context=fork, initializer=_limit_memory) as pool:
        work = [(name, number, options.seed) for name in options.reader for number in numbers]
        futures = [pool.schedule(run_input, each, timeout=_TIMEOUT_S) for each in work]
        for (name, number, seed), future in zip(work, futures, strict=True):
            try:
                ending = future.result()
            except (TimedOut, ProcessExpired) as error:
                ending = Ending("fault", f"{type(error).__name__}: {error}")
            endings[name].append(ending)
            if ending.kind == "fault":
                print(f"python -m tests.fuzz --reader '{name}' --number {number} --seed {seed}\n{ending.text}\n")
    for name, found in endings.items():
        kinds, slowest = Counter(each.kind for each in found), max(each.seconds for each in found)
        print(f"{name}: {dict(kinds)}, the slowest {slowest:.3f} s")
    return int(any(each.kind == "fault" for found in endings.values() for each in found))


if __name__ == "__main__":
    sys.exit(main())
