import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.scores import AGGREGATES
from naswot_lightning.scores.registry import parse_scores


def test_parse_scores():
    for text, columns in (
        ("naswot", [["naswot"]]),
        (" naswot , synflow + naswot ", [["naswot"], ["synflow", "naswot"]]),
        ("robust,naswot", [list(AGGREGATES["robust"]), ["naswot"]]),
        ("synflow+naswot, synflow + naswot : mean_rank", [["synflow", "naswot"], ["synflow", "naswot"]]),
    ):
        assert [[part.name for part in criterion.parts] for criterion in parse_scores(text)] == columns


def test_parse_scores_says_what_is_wrong():
    for text, message in (
        ("naswott", "unknown score 'naswott', expected one of naswot, .* did you mean 'naswot'"),
        ("naswot,snip+sinflow", "unknown score 'sinflow'.*did you mean 'synflow'"),
        ("", "score '': a name is missing"),
        ("naswot,,snip", "a name is missing; write e.g."),
        ("snip+snip", "snip\\+snip repeats"),
        ("snip,naswot,snip", "snip repeats a name or a column"),
        ("snip+naswot,naswot+snip", "naswot\\+snip repeats"),
        ("naswot+robust", "robust puts the ranks by several scores together; write it alone"),
        ("robusst", "unknown score 'robusst'.*did you mean 'robust'"),
        ("snip:mean_rank", "'mean_rank' is for the ranks by several scores"),
        ("snip+naswot:median", "'median': expected one of mean_log_rank, mean_rank"),
    ):
        with pytest.raises(UserError, match=message):
            parse_scores(text)
