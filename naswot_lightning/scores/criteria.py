"""What candidates are ranked by: scores, and the ranks by several scores put together."""

from __future__ import annotations

from typing import get_args

from naswot_lightning.columns import Combination, Criterion
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.scores import AGGREGATES
from naswot_lightning.scores.base import PROXIES


def parse_scores(text: str) -> list[Criterion]:
    """Read what to rank by: columns separated by ",", each one score or several joined by "+".

    Raises:
        UserError: a name is unknown, missing, or twice in a column; or two columns are the same.

    >>> [criterion.name for criterion in parse_scores("naswot, jacob_cov+params, jacob_cov+params:mean_rank")]
    ['naswot', 'jacob_cov+params', 'jacob_cov+params:mean_rank']
    """
    criteria = [_parse(column.strip(), text) for column in text.split(",")]
    seen: set[object] = set()
    for criterion in criteria:
        key = frozenset(part.name for part in criterion.parts), criterion.combine
        if len(key[0]) < len(criterion.parts) or key in seen:
            raise UserError(f"score {text!r}: {criterion.name} repeats a name or a column; write each once")
        seen.add(key)
    return criteria


def _parse(column: str, text: str) -> Criterion:
    if column in AGGREGATES:
        return Criterion(tuple(PROXIES[name].column for name in AGGREGATES[column]), title=column)
    joined, colon, combine = (part.strip() for part in column.partition(":"))
    names = [name.strip() for name in joined.split("+")]
    for name in names:
        if not name:
            raise UserError(f"score {text!r}: a name is missing; write e.g. naswot or naswot,jacob_cov+params")
        expect_name("score", name, [*PROXIES, *AGGREGATES])
        if name in AGGREGATES:
            raise UserError(f"score {text!r}: {name} puts the ranks by several scores together; write it alone")
    parts = tuple(PROXIES[name].column for name in names)
    if not colon:
        return Criterion(parts)
    if len(names) == 1:
        raise UserError(f"score {text!r}: {combine!r} is for the ranks by several scores, such as jacob_cov+params")
    for known in get_args(Combination):
        if combine == known:
            return Criterion(parts, known)
    raise UserError(f"score {text!r}: {combine!r}: expected one of {', '.join(get_args(Combination))}")
