"""Where candidates come from without learning: at random (Algorithm 1), all of a space, or a given list."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

from naswot_lightning.errors import UserError
from spaces import Complexity, EnumerableSpace, Space, SpaceError

_CSV_COLUMNS = ("architecture", "arch")
# A space is called exhausted after this many draws in a row that were all seen before.
_FRUITLESS_DRAWS = 10_000
# Limits are called too strict after this many refusals for each candidate asked for.
_MOST_REFUSED = 1_000


class Limits:
    """Keeps architectures within a budget, and counts those that it refused.

    Args:
        max_params: most parameters, or None.
        max_macs: most multiply-accumulates, or None.
        complexity: parameters and multiply-accumulates of an architecture.
    """

    def __init__(self, max_params: int | None, max_macs: int | None, complexity: Callable[[str], Complexity]) -> None:
        self._bounds = (max_params, max_macs)
        self._complexity = complexity
        self.seen = 0
        self.refused = 0

    def admit(self, architecture: str) -> bool:
        """Return whether the architecture is within the budget."""
        if self._bounds == (None, None):
            return True
        size = self._complexity(architecture)
        within = all(b is None or v <= b for v, b in zip((size.params, size.macs), self._bounds, strict=True))
        self.seen += 1
        self.refused += not within
        return within

    def __str__(self) -> str:
        share = 100 * self.refused / self.seen if self.seen else 0.0
        return f"--max_params, --max_macs: {self.refused} of {self.seen} candidates refused ({share:.1f} %)"


def sampled(space: Space, samples: int, seed: int, limits: Limits | None = None) -> list[str]:
    """Draw distinct architectures (Algorithm 1 with the generator of ``space``), those that ``limits`` admits.

    A longer sample of the same seed begins with the shorter one.

    Raises:
        UserError: the space has fewer.
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
            found[architecture] = limits is None or limits.admit(architecture)
            admitted += found[architecture]
        exhausted = isinstance(space, EnumerableSpace) and len(found) == len(space)
        too_strict = limits is not None and limits.refused >= _MOST_REFUSED * samples
        if admitted < samples and (exhausted or too_strict or fruitless == _patience(space)):
            raise UserError(
                f"--samples {samples}: found only {admitted} different architectures"
                f"{'' if limits is None or not limits.refused else ' within the limits'} in {space.name}"
            )
    return [architecture for architecture, within in found.items() if within]


def _patience(space: Space) -> int | None:
    """Return how many draws without anything new mean that there is nothing more; None where the size is known."""
    return None if isinstance(space, EnumerableSpace) else _FRUITLESS_DRAWS


def enumerated(space: Space) -> list[str]:
    """Return every architecture of the space, in its official order.

    Raises:
        UserError: the space cannot be enumerated.
    """
    if not isinstance(space, EnumerableSpace):
        raise UserError(f"--samples all: {space.name} cannot be enumerated; give a number")
    return list(space)


def given(space: Space, file: str | Path) -> list[str]:
    """Read architectures, one a line or from the column ``arch`` of a CSV file; duplicates count once.

    Raises:
        UserError: no such file, no architecture in it, or one that is not of the space, with its line.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"--architectures {file}: no such file") from None
    except UnicodeDecodeError:
        raise UserError(f"--architectures {file}: not a text file; expected one architecture a line") from None
    found: dict[str, None] = {}
    for number, architecture in _entries(lines):
        try:
            space.validate(architecture)
        except SpaceError as error:
            raise UserError(f"{file}, line {number}: {error}") from None
        found[architecture] = None
    if not found:
        raise UserError(f"--architectures {file}: no architecture in it; expected one a line")
    return list(found)


def _entries(lines: list[str]) -> list[tuple[int, str]]:
    header = next(csv.reader(lines[:1]), [])
    column = next((header.index(name) for name in _CSV_COLUMNS if name in header), None)
    if column is not None:
        rows = enumerate(csv.reader(lines[1:]), start=2)
        return [(number, row[column].strip()) for number, row in rows if len(row) > column]
    entries = ((number, line.strip()) for number, line in enumerate(lines, start=1))
    return [(number, line) for number, line in entries if line and not line.startswith("#")]
