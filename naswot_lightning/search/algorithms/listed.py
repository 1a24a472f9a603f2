"""Candidates that are given: a list, or all of a space."""

from __future__ import annotations

import csv
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from naswot_lightning.benchmarks.csv_table import ARCHITECTURE
from naswot_lightning.errors import UserError
from naswot_lightning.search.limits import Limits
from naswot_lightning.storage.files import from_cell
from naswot_lightning.storage.score_rows import ScoreRow
from spaces import EnumerableSpace, Space, SpaceError
from spaces.errors import TooLargeError, quoted

log = logging.getLogger(__name__)


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

    What another library writes (NASLib's tuples, genotypes of DARTS) is read where the space knows it, and said.

    Raises:
        UserError: no such file, no architecture in it, or one that is not of the space, with its line. One that is of
            the space, and too large to be built, is taken: its row says so.
    """
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
        log.warning("%s%s", read[0], f"; {len(read) - 1:,} more in the same way" if len(read) > 1 else "")
    if not found:
        raise UserError(f"--architectures {file}: no architecture in it; expected one a line")
    return list(found)


def _entries(file: str | Path) -> list[tuple[int, str]]:
    """Return the texts of a list, each with its line."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode) and not os.path.isdir(file):  # it may have no end
            raise UserError(f"--architectures {file}: not a regular file; write the list to one")
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
        header = next(csv.reader(lines[:1]), [])
        column = next((header.index(name) for name in ARCHITECTURE if name in header), None)
        if column is not None:
            rows = enumerate(csv.reader(lines[1:]), start=2)
            return [(number, from_cell(row[column].strip())) for number, row in rows if len(row) > column]
    except UserError:
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"--architectures {file}: no such file") from None
    except ValueError:  # no UTF-8, or a NUL in the name
        raise UserError(f"--architectures {file}: not a text file; expected one architecture a line") from None
    except csv.Error as error:
        raise UserError(f"--architectures {file}: no CSV file ({error}); expected one architecture a line") from None
    entries = ((number, line.strip()) for number, line in enumerate(lines, start=1))
    return [(number, line) for number, line in entries if line and not line.startswith("#")]
