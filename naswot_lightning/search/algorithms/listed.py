"""Candidates that are given: a list, or all of a space."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from naswot_lightning.errors import UserError
from naswot_lightning.search.limits import Limits
from naswot_lightning.storage.score_rows import ScoreRow
from spaces import EnumerableSpace, Space, SpaceError
from spaces.errors import TooLargeError

_CSV_COLUMNS = ("architecture", "arch")


class Listed:
    """Proposes the architectures of a list, in its order, all at once: those within the limits."""

    def __init__(self, architectures: Sequence[str], limits: Limits) -> None:
        self._architectures, self._limits = architectures, limits

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the list, and after it nothing more."""
        return () if rows else [each for each in self._architectures if self._limits.admit(each)]


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
        UserError: no such file, no architecture in it, or one that is not of the space, with its line. One that is of
            the space, and too large to be built, is taken: its row says so.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"--architectures {file}: no such file") from None
    except ValueError:  # no UTF-8, or a NUL in the name
        raise UserError(f"--architectures {file}: not a text file; expected one architecture a line") from None
    try:
        entries = _entries(lines)
    except csv.Error as error:
        raise UserError(f"--architectures {file}: no CSV file ({error}); expected one architecture a line") from None
    found: dict[str, None] = {}
    for number, architecture in entries:
        try:
            space.validate(architecture)
        except TooLargeError:
            pass
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
