"""Candidates chosen without scores: at random (Algorithm 1), listed in a file, or a whole space; and shards of them."""

from __future__ import annotations

import csv
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from naswot_lightning.benchmarks.csv_table import ARCHITECTURE
from naswot_lightning.config import CONFIGS
from naswot_lightning.errors import UserError
from naswot_lightning.searching.algorithms.base import Algorithm, Limits, SpaceAlgorithm, architecture_of
from naswot_lightning.spaces import EnumerableSpace, Space, SpaceError
from naswot_lightning.spaces.errors import TooLargeError, quoted
from naswot_lightning.storage.files import from_cell
from naswot_lightning.storage.score_rows import ScoreRow

log = logging.getLogger(__name__)
# A space of unknown size is called exhausted after this many draws in a row that were all seen before.
_FRUITLESS_DRAWS = 10_000
# Limits are called too strict after this many refusals for each candidate asked for.
_MOST_REJECTED = 1_000


class RandomSampling(SpaceAlgorithm):
    """Proposes all candidates at once: distinct, drawn by the seed, within the limits."""

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the sample, and after it nothing more."""
        return () if rows else sample_space(self.space, self.samples, self.seed, self.limits)


def sample_space(space: Space, samples: int, seed: int, limits: Limits | None = None) -> list[str]:
    """Draw distinct architectures (Algorithm 1 with the generator of ``space``), those that ``limits`` accepts.

    A longer sample of the same seed begins with the shorter one. Where the space has fewer, a UserError says so.
    """
    if isinstance(space, EnumerableSpace) and samples > len(space):
        raise UserError(f"--samples {samples}: {space.name} has {len(space)} architectures; use --samples all")
    rng = random.Random(seed)
    found: dict[str, bool] = {}
    admitted = fruitless = 0
    while admitted < samples:
        architecture = space.sample(rng)
        fruitless = fruitless + 1 if architecture in found else 0
        if architecture not in found:
            found[architecture] = limits is None or limits.accepts(architecture)
            admitted += found[architecture]
        # Where the size of the space is not known, many draws without anything new are its end.
        exhausted = len(found) == len(space) if isinstance(space, EnumerableSpace) else fruitless == _FRUITLESS_DRAWS
        too_strict = limits is not None and limits.n_rejected >= _MOST_REJECTED * samples
        if admitted < samples and (exhausted or too_strict):
            if limits is not None and not admitted:
                raise limits.nothing_fits()
            within = f" within the limits ({limits})" if limits is not None and limits.n_rejected else ""
            found_only = f"found only {admitted} different architectures{within} in {space.name}; ask for fewer"
            raise UserError(f"--samples {samples}: {found_only}")
    return [architecture for architecture, within in found.items() if within]


@dataclass(frozen=True)
class Listed:
    """Proposes the architectures of a list, in its order, all at once: those within the limits."""

    architectures: Sequence[str]
    limits: Limits

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the list, and after it nothing more."""
        return () if rows else [each for each in self.architectures if self.limits.accepts(each)]


def read_architectures(space: Space, file: str | Path) -> list[str]:
    """Read architectures, one a line or from the column ``arch`` of a CSV file; duplicates count once.

    What another library writes (NASLib's tuples, genotypes of DARTS) is read where the space knows it, and said. One
    that is too large to be built is taken: its row says so.
    """
    if not Path(file).exists() and (shipped := CONFIGS / "search" / file).is_file():
        file = shipped
    found: dict[str, None] = {}
    read: list[str] = []
    for number, text in _entries(file):
        architecture = text
        try:
            architecture = space.read(text)
            space.validate(architecture)
        except TooLargeError:
            pass
        except SpaceError as error:
            raise UserError(f"{file}, line {number}: {error}") from None
        found[architecture] = None
        if architecture != text:
            read.append(f"{file}, line {number}: {quoted(text)} is read as {architecture}")
    if read:
        log.warning("%s%s", read[0], f"; {len(read) - 1:,} more like it" if len(read) > 1 else "")
    if not found:
        raise UserError(f"--architectures {file}: has no architectures; expected one per line")
    return list(found)


def _entries(file: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a list, each with its line."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
        header = next(csv.reader(lines[:1]), [])
        column = next((header.index(name) for name in ARCHITECTURE if name in header), None)
        if column is not None:
            rows = enumerate(csv.reader(lines[1:]), start=2)
            yield from ((number, from_cell(row[column].strip())) for number, row in rows if len(row) > column)
            return
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"--architectures {file}: no such file") from None
    except ValueError:
        # It is no UTF-8, or there is a NUL in the name.
        raise UserError(f"--architectures {file}: not a text file; expected one architecture per line") from None
    except csv.Error as error:
        raise UserError(
            f"--architectures {file}: not a readable CSV file ({error}); expected one architecture per line"
        ) from None
    for number, line in enumerate(map(str.strip, lines), start=1):
        if line and not line.startswith("#"):
            yield number, line


@dataclass
class Shard:
    """Proposes one part of the candidates that an algorithm proposes first, all at once."""

    algorithm: Algorithm
    """one without feedback, whose first batch is all that it proposes."""
    canonical: Callable[[str], str]
    """returns the architecture of the network that is evaluated for a candidate."""
    number: int
    """which part; 1 is the first."""
    parts: int

    def __post_init__(self) -> None:
        self._name, self._own, self._all = f"{self.number}/{self.parts}", 0, 0

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the candidates of this part, and after them nothing more; fewer networks than parts are an error."""
        if rows or not (batch := self.algorithm.propose([])):
            return ()
        shards = deal(list(map(architecture_of, batch)), self.canonical, self.parts)
        if not shards[-1]:
            networks = sum(map(bool, shards))
            cure = f"choose at most {networks} shards"
            raise UserError(f"--shard {self._name}: there are only {networks} different networks; {cure}")
        own = shards[self.number - 1]
        self._own, self._all = len(own), len(batch)
        return own

    def __str__(self) -> str:
        return (
            f"This is only shard {self._name}: {self._own:,} of {self._all:,} candidates. "
            "When all shards are finished, run naswot merge --run_dir NEW SHARD SHARD ..."
        )


def deal(candidates: Sequence[str], canonical: Callable[[str], str], parts: int) -> list[list[str]]:
    """Return every candidate in one of ``parts``, in its order.

    Those of one network are in one part, which scores it once, as one machine would. To know the network of a candidate
    takes microseconds, to score it takes milliseconds at the least. Networks are dealt out in turn, as neighbours in a
    list cost about the same; where there are fewer than parts, the last ones are empty.

    >>> deal(["a", "b", "A", "c", "d"], str.lower, 2)
    [['a', 'A', 'c'], ['b', 'd']]
    """
    numbers: dict[str, int] = {}
    shards: list[list[str]] = [[] for _ in range(parts)]
    for candidate in candidates:
        try:
            network = canonical(candidate)
        except Exception:  # noqa: BLE001 - any fault of one network is reported with it, when it is evaluated
            network = candidate
        shards[numbers.setdefault(network, len(numbers)) % parts].append(candidate)
    return shards
