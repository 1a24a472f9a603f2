"""scores.jsonl: one finished candidate per line."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from naswot_lightning.storage.files import JsonLines, damaged_line, whole_lines
from naswot_lightning.storage.records import STRICT, Count, from_json

Status = Literal["ok", "degenerate", "failed"]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A finished candidate."""

    space: str
    architecture: str
    canonical: str
    """the architecture of the network that was scored for it."""
    score: float | None
    """of the first column; None unless it is a number."""
    scores: Mapping[str, float | None]
    n_units: Count | None
    """units per image that have a code; None where there are none, or they were not counted."""
    params: Count | None
    macs: Count | None
    """multiply-accumulates of one image."""
    seed: Count
    probe: str
    """fingerprint of the mini-batch."""
    seconds: Annotated[float, Ge(0)]
    """0 where an equal network was scored already."""
    status: Status
    reason: str | None
    """of another status than "ok", or what to doubt about a score, or why another is missing."""
    stds: Mapping[str, float | None] | None = None
    """standard deviations of the scores over repeats; None without repeats."""
    fidelity: Annotated[float, Ge(0), Le(1)] | None = None
    """share of the epochs it was trained for, 0 for none; None if the algorithm does not choose."""

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.status == "ok" and self.score is None:
            raise ValueError("status is ok, and score is null")
        # One text in memory, not two: 250 MB of a million cells.
        if self.canonical == self.architecture:
            object.__setattr__(self, "canonical", self.architecture)

    def to_json(self) -> dict[str, Any]:
        """Return the object of its line."""
        values: dict[str, Any] = {}
        for name in self.__slots__:
            if name == "scores":
                values["scores"] = dict(self.scores)
                # Deviations stand beside their means.
                values |= {} if self.stds is None else {"stds": self.stds}
            elif name not in ("stds", "fidelity"):
                values[name] = getattr(self, name)
        return values if self.fidelity is None else {**values, "fidelity": self.fidelity}


class ScoreRows:
    """The finished candidates of a run, in the order in which they were finished; a damaged line is a UserError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = read_score_rows(path) if path.exists() else []
        self._file = JsonLines(path)

    def __enter__(self) -> ScoreRows:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.__exit__(*exception)

    def append(self, row: ScoreRow) -> None:
        """Add a finished candidate."""
        self._file.append(row.to_json())
        self.rows.append(row)


def read_score_rows(path: Path) -> list[ScoreRow]:
    """Return the finished candidates so far; a search may be adding to them, and the file is only read."""
    rows = []
    # The garbage collector would look at every row again and again: a million take 10 s without it, 16 s with it.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for number, line in enumerate(whole_lines(path), start=1):
            try:
                rows.append(from_json(ScoreRow, line))
            except ValueError as error:
                raise damaged_line(path, number, f"not a finished candidate ({error})") from None
    finally:
        if was_enabled:
            gc.enable()
    return rows
