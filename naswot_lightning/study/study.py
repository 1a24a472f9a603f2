"""All that a study says: the content of ``study.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from naswot_lightning.analysis.statistics import describe_method
from naswot_lightning.study.judged import Panel
from naswot_lightning.study.stability import Stability


@dataclass(frozen=True)
class Study:
    """What accuracies say of the scores of a run.

    Attributes:
        run: its folder.
        sampling: how its candidates were found.
        note: a warning of what they cannot say.
        repeats: initializations of each network.
        further_runs: of the same candidates, and in what they differ from the first.
        panels: one for each accuracy.
        stability: one for each score.
    """

    run: str
    sampling: str
    note: str | None
    repeats: int
    further_runs: tuple[str, ...]
    panels: tuple[Panel, ...]
    stability: tuple[Stability, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``study.json``."""
        return {"method": describe_method(max(panel.n for panel in self.panels)), **asdict(self)}
