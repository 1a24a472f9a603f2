"""Hostile inputs to every reader: ``python -m tests.fuzz --inputs 10000 [--reader NAME...] [--seed S]``.

Each ends within its time in a result, or in an error of one line; anything else is a fault, and exit code 1. A reader
has processes of its own with bounded memory, so that one that dies is found, too.
"""

import argparse
import faulthandler
import multiprocessing
import os
import resource
import sys
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from tests.fuzz.inputs import run_input
from tests.fuzz.readers import READERS, Reader, inputs_of

_MEMORY = 4 * 2**30  # beyond what the libraries take
_SHOWN = 3  # faults of one kind
_FORK = multiprocessing.get_context("fork")  # the libraries are loaded once


@dataclass
class Tally:
    """What became of the inputs of one reader."""

    reader: str
    results: int = 0
    errors: int = 0
    slowest: float = 0.0
    slowest_number: int = 0
    faults: Counter = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return self.results + self.errors + sum(self.faults.values())

    def add(self, number: int, seed: int, ending) -> None:
        if ending.seconds > self.slowest:
            self.slowest, self.slowest_number = ending.seconds, number
        if ending.fault is None:
            self.results += ending.message is None
            self.errors += ending.message is not None
            return
        self.fault(number, seed, ending.fault, ending.details)

    def fault(self, number: int, seed: int, kind: str, details: str) -> None:
        self.faults[kind] += 1
        if self.faults[kind] <= _SHOWN:
            again = f"python -m tests.fuzz --reader {self.reader!r} --number {number} --seed {seed}"
            self.found.append(f"{kind}: {again}\n{details}")


def _limit_memory() -> None:
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + _MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _work(reader: Reader, numbers: range, seed: int, pipe: Connection) -> None:
    _limit_memory()
    faulthandler.enable()
    for number in numbers:
        pipe.send(number)
        pipe.send(run_input(reader, number, seed))


class Worker:
    """A process that reads the inputs of one reader; another takes its place where it dies."""

    def __init__(self, reader: Reader, numbers: range, seed: int) -> None:
        self._reader, self._numbers, self._seed = reader, numbers, seed
        self.tally, self._at = Tally(reader.name), None
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = _FORK.Pipe(duplex=False)
        self._process = _FORK.Process(target=_work, args=(self._reader, self._numbers, self._seed, theirs))
        self._process.start()
        theirs.close()

    def take(self) -> bool:
        """Take what the process says next; whether there is more."""
        try:
            said = self.pipe.recv()
        except EOFError:
            return self._ended()
        if isinstance(said, int):
            self._at = said
        else:
            self.tally.add(self._at, self._seed, said)
            self._numbers, self._at = range(self._at + 1, self._numbers.stop), None
        return True

    def _ended(self) -> bool:
        self._process.join()
        if self._at is None and self._process.exitcode == 0:
            return False
        at = self._numbers.start if self._at is None else self._at
        self.tally.fault(at, self._seed, f"died, exit code {self._process.exitcode}", "")
        self._numbers, self._at = range(at + 1, self._numbers.stop), None
        if not self._numbers:
            return False
        self._start()
        return True


def run_all(work: list[tuple[Reader, range]], seed: int, processes: int) -> list[Tally]:
    """Run the inputs of all readers, so many readers at a time."""
    waiting, running, tallies = list(work), [], []
    while waiting or running:
        while waiting and len(running) < processes:
            running.append(Worker(*waiting.pop(0), seed))
            tallies.append(running[-1].tally)
        ready = set(wait([worker.pipe for worker in running]))
        running = [worker for worker in running if worker.pipe not in ready or worker.take()]
    return tallies


def _print_table(tallies: list[Tally]) -> None:
    print(f"{'reader':34} {'inputs':>7} {'results':>8} {'errors':>7} {'faults':>7} {'slowest':>9}")
    for each in tallies:
        kinds = ", ".join(f"{count} {kind}" for kind, count in each.faults.most_common())
        print(
            f"{each.reader:34} {each.inputs:7,} {each.results:8,} {each.errors:7,} {sum(each.faults.values()):7,} "
            f"{1000 * each.slowest:6.0f} ms  {kinds}"
        )
    whole = [sum(getattr(each, name) for each in tallies) for name in ("inputs", "results", "errors")]
    faults = sum(sum(each.faults.values()) for each in tallies)
    print(f"{'all':34} {whole[0]:7,} {whole[1]:8,} {whole[2]:7,} {faults:7,}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="at least so many over all readers")
    parser.add_argument("--reader", choices=READERS, nargs="+", help="these alone, each with all inputs")
    parser.add_argument("--number", type=int, help="one input instead of many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    readers = [READERS[name] for name in options.reader or READERS]
    count = options.inputs if options.reader else None
    work = [(reader, range(count or inputs_of(reader, options.inputs))) for reader in readers]
    if options.number is not None:
        work = [(reader, range(options.number, options.number + 1)) for reader in readers]
    tallies = run_all(work, options.seed, options.processes)
    for each in tallies:
        print("".join(f"\n{each.reader}: {text}\n" for text in each.found), end="")
    _print_table(tallies)
    return int(any(each.faults for each in tallies))


if __name__ == "__main__":
    sys.exit(main())
