"""What the accuracies of a table say of a ranking, as its search has written it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from naswot_lightning.analysis.evidence import PREDICTORS, Correlation, Verdict
from naswot_lightning.errors import UserError
from naswot_lightning.storage.records import STRICT, Count, Share, from_plain, parse_json


@dataclass(frozen=True)
class TableEvidence:
    """What ``benchmark_evidence.json`` says.

    Attributes:
        networks: candidates with a score and an accuracy.
        candidates: of the ranking.
        pick: accuracy of the first of the ranking, a share; None where the table does not know it.
        best_candidate: the best accuracy of all candidates.
        best: of the table.
        correlations: of the score and of plain size with the accuracy.
        verdict: whether the score beats plain size.
    """

    networks: Count
    candidates: Count
    pick: Share | None
    best_candidate: Share | None
    best: Share | None
    correlations: Mapping[str, Correlation]
    verdict: Verdict

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        for column in PREDICTORS:
            if column.name not in self.correlations:
                raise ValueError(f"correlations: nothing of {column.name}")
            own = self.correlations[column.name]
            if any((each.low is None) != (each.high is None) for each in (own.kendall_tau, own.spearman_rho)):
                raise ValueError(f"correlations.{column.name}: an interval with one end")


def read_table_evidence(path: Path) -> TableEvidence | None:
    """Return the evidence of a ``benchmark_evidence.json``; None where there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    try:
        content = parse_json(path.read_bytes())
        return from_plain(TableEvidence, {each.name: content[each.name] for each in fields(TableEvidence)})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): run search.py again, which writes it anew") from None
