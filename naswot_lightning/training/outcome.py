"""How the process of a pick ended: a file that it writes and the command reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from naswot_lightning.storage.files import write_json

End = Literal["ok", "diverged", "interrupted", "out of memory", "user error", "failed", "killed"]
_FILE = "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        status: "ok" and "diverged" have a result; "user error" is one that the user can mend; "killed" left no word.
        message: for the user, in one line; None where there is nothing to say.
    """

    status: End
    message: str | None = None

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
        entry = json.loads((folder / _FILE).read_text())
        status, message = entry["status"], entry["message"]
    except (OSError, ValueError, KeyError, TypeError):
        return Outcome("killed")
    return Outcome(status, message) if status in get_args(End) else Outcome("killed")


def forget_outcome(folder: Path) -> None:
    """Remove the word of an earlier process."""
    (folder / _FILE).unlink(missing_ok=True)
