"""What the process of a pick tells the command: its epochs as lines, its end as a file; and how they are shown."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column
from tqdm import tqdm

from naswot_lightning.console import has_bars
from naswot_lightning.storage.files import write_json
from naswot_lightning.storage.records import STRICT, Count, Positive, from_json

Ending = Literal[
    "ok", "diverged", "interrupted", "out of time", "out of memory", "device fault", "user error", "failed", "killed"
]
# The exit code of a process that could not write its outcome is this plus the number of the system's error.
EXIT_OS_ERROR = 140

_OUTCOME_FILE = "outcome.json"
_SECONDS_BETWEEN_LINES = 60.0
# Columns of a terminal.
_WIDE, _NARROW = 110, 75


@dataclass(frozen=True)
class Outcome:
    """How the process of a pick ended."""

    status: Ending
    """"ok" and "diverged" have a result; "out of time" continues when the command is run again; a "user error" the user
    can mend; "killed" died without a word."""
    message: str | None = None
    """One line for the user, or None."""

    __pydantic_config__ = STRICT

    @property
    def has_result(self) -> bool:
        """Whether the pick need not be trained again."""
        return self.status in ("ok", "diverged")

    @property
    def is_of_machine(self) -> bool:
        """Whether another attempt may succeed: memory ran out, or the device is broken."""
        return self.status in ("out of memory", "device fault") or "SIGKILL" in (self.message or "")

    def write(self, folder: Path) -> None:
        """Write ``outcome.json``."""
        write_json(folder / _OUTCOME_FILE, asdict(self))


def read_outcome(folder: Path) -> Outcome:
    """Return how the process of a pick ended; "killed" where it wrote no outcome."""
    try:
        return from_json(Outcome, (folder / _OUTCOME_FILE).read_bytes())
    except (OSError, ValueError):
        return Outcome("killed")


def clear_outcome(folder: Path) -> None:
    """Remove the outcome of an earlier process."""
    (folder / _OUTCOME_FILE).unlink(missing_ok=True)


@dataclass(frozen=True)
class Epoch:
    """A finished epoch of a pick, as its process tells it."""

    name: str
    """The pick."""
    epoch: Count
    """Counted from 1."""
    epochs: Positive
    """Those of the whole training."""
    train_loss: float | None
    """Mean over the epoch."""
    val_acc: float | None
    """From 0 to 1; None without validation images."""
    score: float | None
    """After the epoch; None where it is not a number."""
    seconds: float

    __pydantic_config__ = STRICT

    def describe(self, brief: bool = False) -> str:
        """Return loss, accuracy and score in words, in fewer for a narrow terminal."""
        loss = "-" if self.train_loss is None else f"{self.train_loss:.{2 if brief else 4}f}"
        score = "-" if self.score is None else f"{self.score:.{1 if brief else 2}f}"
        accuracy = "" if self.val_acc is None else f"{100 * self.val_acc:.{1 if brief else 2}f} %  "
        if brief:
            return f"loss {loss}  {accuracy and f'val {accuracy}'}score {score}"
        return f"train loss {loss}  {accuracy and f'val acc {accuracy}'}score {score}"

    def __str__(self) -> str:
        return f"{self.name}: epoch {self.epoch}/{self.epochs}  {self.describe()}  {self.seconds:.1f} s"

    def to_line(self) -> str:
        """Return it as one line for :func:`read_epoch`."""
        return json.dumps(asdict(self))


def read_epoch(line: str) -> Epoch | None:
    """Return the epoch that a line describes; None for any other line."""
    try:
        return from_json(Epoch, line.encode())
    except ValueError:
        return None


class Lines:
    """Shows trainings side by side in a file or pipe; called from several threads.

    Each pick has a line for its first epoch and its last, and at most one per minute between.
    """

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def show(self, epoch: Epoch) -> None:
        """Print a line, unless the pick's last one is not a minute old."""
        now = time.monotonic()
        if epoch.epoch == epoch.epochs or now - self._told.get(epoch.name, -math.inf) >= _SECONDS_BETWEEN_LINES:
            self._told[epoch.name] = now
            self.say(str(epoch))

    def say(self, text: str) -> None:
        """Print a line in one piece: other threads print, too."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def end(self, name: str) -> None:
        """Let go of a pick that has ended: what was printed stays."""


class Bars(Lines):
    """Shows them on a terminal: a line per pick that trains, with a bar where there is room, below what was printed."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        # The task of each pick with its last epoch.
        self._bars: dict[str, tuple[Any, Epoch]] = {}

    def show(self, epoch: Epoch) -> None:
        """Move the pick's bar."""
        if epoch.name in self._bars:
            task, _ = self._bars[epoch.name]
        else:
            task = self._progress.add_task(epoch.name, total=epoch.epochs, state="")
        self._bars[epoch.name] = task, epoch
        state = epoch.describe(brief=self._progress.console.width < _WIDE)
        self._progress.update(task, completed=epoch.epoch, state=state)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self, name: str) -> None:
        """Leave the last epoch as a line in place of the bar."""
        if name in self._bars:
            task, last = self._bars.pop(name)
            self._progress.remove_task(task)
            self.say(str(last))


class OneBar(Lines):
    """Shows all trainings as one bar of epochs on stderr beside their lines: in a notebook, or with lines in a file.

    Args:
        bar: to move.
        trainings: how many there are.
    """

    def __init__(self, bar: tqdm[Any], trainings: int) -> None:
        super().__init__()
        self._bar, self._trainings = bar, trainings
        self._epochs: dict[str, int] = {}

    def show(self, epoch: Epoch) -> None:
        """Move the bar; a training that is continued has its earlier epochs behind it."""
        super().show(epoch)
        self._epochs[epoch.name] = epoch.epoch
        self._bar.total, self._bar.n = self._trainings * epoch.epochs, sum(self._epochs.values())
        self._bar.refresh()


@contextmanager
def display(trainings: int) -> Iterator[Lines]:
    """Give what suits the output of so many trainings."""
    if sys.stdout.isatty():
        console = Console(file=sys.stdout)
        with Progress(*columns_of(console.width), console=console, transient=True) as progress:
            yield Bars(progress)
    elif has_bars():
        with tqdm(desc="training", unit=" epochs", dynamic_ncols=True) as bar:
            yield OneBar(bar, trainings)
    else:
        yield Lines()


def columns_of(width: int) -> list[ProgressColumn]:
    """Return what the line of a pick shows on a terminal of so many columns; it is never more than one line."""

    def text(field: str) -> TextColumn:
        return TextColumn(field, table_column=Column(no_wrap=True, overflow="ellipsis"))

    bar = [BarColumn(20 if width >= _WIDE else 8)] if width >= _NARROW else []
    left = [TimeRemainingColumn()] if width >= _NARROW else []
    return [text("{task.description}"), *bar, MofNCompleteColumn(), text("{task.fields[state]}"), *left]
