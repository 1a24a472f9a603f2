"""How the process of a pick ended: a file that it writes and the command reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from naswot_lightning.storage.files import write_json
from naswot_lightning.storage.records import STRICT, from_json

End = Literal["ok", "diverged", "interrupted", "out of time", "out of memory", "user error", "failed", "killed"]
_FILE = "outcome.json"
# The exit code of a process whose outcome could not be written, and the number of the error above it.
EXIT_OS_ERROR = 140


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        status: "ok" and "diverged" have a result; "out of time" continues when the command is run again; "user error"
            is one that the user can mend; "killed" left no word.
        message: for the user, in one line; None where there is nothing to say.
    """

    status: End
    message: str | None = None

    __pydantic_config__ = STRICT

    @property
    def has_result(self) -> bool:
        """Whether the pick need not be trained again."""
        return self.status in ("ok", "diverged")

    def write(self, folder: Path) -> None:
        """Write ``outcome.json``."""
        write_json(folder / _FILE, asdict(self))


def read_outcome(folder: Path) -> Outcome:
    """Return how the process of a pick ended; "killed" where it left no word."""
    try:
        return from_json(Outcome, (folder / _FILE).read_bytes())
    except (OSError, ValueError):
        return Outcome("killed")


def forget_outcome(folder: Path) -> None:
    """Remove the word of an earlier process."""
    (folder / _FILE).unlink(missing_ok=True)
