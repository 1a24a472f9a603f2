"""Where candidates come from without learning: at random (Algorithm 1), all of a space, or a given list."""

from __future__ import annotations

import csv
import random
from pathlib import Path

from naswot_lightning.errors import UserError
from spaces import EnumerableSpace, Space, SpaceError

_CSV_COLUMNS = ("architecture", "arch")
# A space is called exhausted after this many draws in a row that were all seen before.
_FRUITLESS_DRAWS = 10_000


def sampled(space: Space, samples: int, seed: int) -> list[str]:
    """Draw distinct architectures (Algorithm 1 with the generator of ``space``).

    A longer sample of the same seed begins with the shorter one.

    Raises:
        UserError: the space has fewer.
    """
    if isinstance(space, EnumerableSpace) and samples > len(space):
        raise UserError(f"--samples {samples}: {space.name} has {len(space)} architectures; use --samples all")
    rng = random.Random(seed)
    found: dict[str, None] = {}
    fruitless = 0
    while len(found) < samples:
        before = len(found)
        found[space.sample(rng)] = None
        fruitless = 0 if len(found) > before else fruitless + 1
        if fruitless == _FRUITLESS_DRAWS and not isinstance(space, EnumerableSpace):
            raise UserError(f"--samples {samples}: found only {len(found)} different architectures in {space.name}")
    return list(found)


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
