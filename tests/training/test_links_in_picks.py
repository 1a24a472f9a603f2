"""Damaged notes of a pick that can be written again are read as nothing."""

import pytest

from naswot_lightning.report.wandb.logger import SentOnceLogger
from naswot_lightning.training.outcome import Outcome, read_outcome


@pytest.mark.parametrize("content", ["", '{"train/loss": 3', "[1]", "null", '{"a": "b"}', "\x00"])
def test_what_was_sent_is_nothing_where_its_file_is_damaged(tmp_path, content):
    file = tmp_path / ".sent.json"
    file.write_text(content)
    SentOnceLogger(lambda: None, file)
    (tmp_path / "outcome.json").write_text(content)
    assert read_outcome(tmp_path) == Outcome("killed")
