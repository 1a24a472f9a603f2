"""scores.jsonl: one finished candidate a line."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from naswot_lightning.errors import UserError
from naswot_lightning.storage.json_lines import JsonLines, damaged_line, whole_lines
from naswot_lightning.storage.records import STRICT, Count, from_json

Status = Literal["ok", "degenerate", "failed"]


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A finished candidate.

    Attributes:
        space: the search space.
        architecture: the candidate.
        canonical: the architecture of the network that was scored for it.
        score: of the first column; None unless it is a number.
        scores: of all columns.
        n_units: rectified units per image; None where there are none, or they were not counted.
        params: trainable parameters.
        macs: multiply-accumulates of one image.
        seed: of the run.
        probe: the fingerprint of the mini-batch.
        seconds: that it took; 0 where an equal network was scored already.
        status: "ok", "degenerate" or "failed".
        reason: of another status than "ok", or what to doubt of a score, or why another is missing.
        stds: standard deviations of the scores over repeats; None without repeats.
        fidelity: the share of the epochs that it was trained for, 0 for a score at initialization; None where the
            algorithm does not choose.
    """

    space: str
    architecture: str
    canonical: str
    score: float | None
    scores: Mapping[str, float | None]
    n_units: Count | None
    params: Count | None
    macs: Count | None
    seed: Count
    probe: str
    seconds: Annotated[float, Ge(0)]
    status: Status
    reason: str | None
    stds: Mapping[str, float | None] | None = None
    fidelity: Annotated[float, Ge(0), Le(1)] | None = None

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.status == "ok" and self.score is None:
            raise ValueError("status is ok, and score is null")
        if self.canonical == self.architecture:  # one text in memory, not two: 250 MB of a million cells
            object.__setattr__(self, "canonical", self.architecture)

    def to_json(self) -> dict[str, Any]:
        """Return the object of its line."""
        values = {name: getattr(self, name) for name in _FIELDS}
        values["scores"] = dict(self.scores)
        if self.fidelity is not None:
            values["fidelity"] = self.fidelity
        if self.stds is None:
            return values
        ordered = {}  # deviations stand beside their means
        for name, value in values.items():
            ordered[name] = value
            if name == "scores":
                ordered["stds"] = dict(self.stds)
        return ordered


_FIELDS = tuple(each.name for each in fields(ScoreRow) if each.name not in ("stds", "fidelity"))


class ScoreRows:
    """The finished candidates of a run, in the order in which they were finished.

    Args:
        path: ``scores.jsonl``.

    Attributes:
        rows: all of them.

    Raises:
        UserError: a line is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._file = JsonLines(path)
        try:
            self.rows = _parse(path, self._file)
        except BaseException:
            self._file.__exit__()
            raise

    def __enter__(self) -> ScoreRows:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.__exit__(*exception)

    def append(self, row: ScoreRow) -> None:
        """Add a finished candidate."""
        self._file.append(row.to_json())
        self.rows.append(row)

    def damaged(self, number: int, reason: str) -> UserError:
        """Return the error of a row that cannot be used; the first has number 1."""
        return self._file.damaged(number, reason)


def read_score_rows(path: Path) -> list[ScoreRow]:
    """Return the finished candidates so far; a search may be adding to them, and the file is only read.

    Raises:
        UserError: a line is damaged.
        FileNotFoundError: there is no such file.
    """
    return _parse(path, whole_lines(path))


def _parse(path: Path, lines: Iterable[bytes]) -> list[ScoreRow]:
    rows = []
    # The garbage collector would look at every row again and again: a million take 10 s without it, 16 s with it.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(from_json(ScoreRow, line))
            except ValueError as error:
                raise damaged_line(path, number, f"not a finished candidate ({error})") from None
    finally:
        if was_enabled:
            gc.enable()
    return rows
