"""What proposes candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from naswot_lightning.search.trial import Proposal
from naswot_lightning.storage.score_rows import ScoreRow


class Algorithm(Protocol):
    """Proposes candidates, batch by batch.

    A pure function of the rows: to resume a search is to replay ``scores.jsonl``; no other state is saved. What it
    draws at random it draws from (seed, rows) alone.
    """

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the next batch of architectures, or of cheaper trials of them; an empty one is the end.

        Args:
            rows: all candidates proposed so far, finished, in the order of their proposal, whatever the executor.
        """
        ...
