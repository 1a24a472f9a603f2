"""Reports of a pick's process to the command, epochs as lines and the outcome as a file; and their display."""

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
    """A finished epoch of a pick, as its process reports it."""

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

    def describe(self) -> str:
        """Return loss, accuracy and score in words."""
        loss = "-" if self.train_loss is None else f"{self.train_loss:.4f}"
        score = "-" if self.score is None else f"{self.score:.2f}"
        accuracy = "" if self.val_acc is None else f"val acc {100 * self.val_acc:.2f} %  "
        return f"train loss {loss}  {accuracy}score {score}"

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
    """Shows trainings side by side; called from several threads.

    Each pick has a line for its first epoch and its last, and at most one per minute between. On a terminal and in a
    notebook a ``bar`` counts the epochs of so many ``trainings``, and shows the latest.
    """

    def __init__(self, bar: tqdm[Any] | None = None, trainings: int = 0) -> None:
        self._bar, self._trainings = bar, trainings
        # When a line of each pick was printed, and its last epoch; one that is continued has earlier epochs behind it.
        self._printed, self._epochs = dict[str, float](), dict[str, int]()

    def show(self, epoch: Epoch) -> None:
        """Print a line, unless the pick's last one is not a minute old; move the bar."""
        now = time.monotonic()
        if epoch.epoch == epoch.epochs or now - self._printed.get(epoch.name, -math.inf) >= _SECONDS_BETWEEN_LINES:
            self._printed[epoch.name] = now
            self.say(str(epoch))
        if self._bar is not None:
            self._epochs[epoch.name] = epoch.epoch
            self._bar.total, self._bar.n = self._trainings * epoch.epochs, sum(self._epochs.values())
            self._bar.set_postfix_str(f"{epoch.name}: {epoch.describe()}")

    def say(self, text: str) -> None:
        """Print a line in one piece, above a bar: other threads print, too."""
        tqdm.write(text)
        sys.stdout.flush()


@contextmanager
def display(trainings: int) -> Iterator[Lines]:
    """Give a display for so many trainings: with a bar on a terminal, lines elsewhere."""
    if not has_bars():
        yield Lines()
        return
    with tqdm(desc="training", unit=" epochs", dynamic_ncols=True) as bar:
        yield Lines(bar, trainings)
