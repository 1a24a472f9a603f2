"""What an algorithm proposes: an architecture, or a cheaper trial of it."""

from __future__ import annotations

from dataclasses import dataclass

from naswot_lightning.storage.score_rows import ScoreRow


@dataclass(frozen=True)
class Trial:
    """An architecture, to be evaluated with a part of the effort.

    Attributes:
        architecture: the candidate.
        fidelity: the share of the evaluator's epochs, from 0 to 1; 0 is the score at initialization, without training.

    >>> Trial("a", 1.5)
    Traceback (most recent call last):
    ValueError: fidelity 1.5: expected a share from 0 to 1
    """

    architecture: str
    fidelity: float

    def __post_init__(self) -> None:
        if not 0 <= self.fidelity <= 1:
            raise ValueError(f"fidelity {self.fidelity}: expected a share from 0 to 1")


Proposal = str | Trial  # an architecture alone is evaluated as the evaluator does by default, a network once


def architecture_of(proposal: Proposal) -> str:
    """Return the architecture that is proposed.

    >>> architecture_of("a"), architecture_of(Trial("a", 0.5))
    ('a', 'a')
    """
    return proposal.architecture if isinstance(proposal, Trial) else proposal


def with_architecture(proposal: Proposal, architecture: str) -> Proposal:
    """Return the same proposal of another architecture.

    >>> with_architecture(Trial("a", 0.5), "b")
    Trial(architecture='b', fidelity=0.5)
    """
    return Trial(architecture, proposal.fidelity) if isinstance(proposal, Trial) else architecture


def proposal_of(row: ScoreRow) -> Proposal:
    """Return what was proposed of a finished row."""
    return row.architecture if row.fidelity is None else Trial(row.architecture, row.fidelity)
