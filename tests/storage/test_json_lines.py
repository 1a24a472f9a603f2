import errno
import resource

import pytest

from naswot_lightning.errors import UserError
from naswot_lightning.storage.json_lines import JsonLines


def test_a_full_disk_loses_nothing_that_was_finished(tmp_path):
    path = tmp_path / "scores.jsonl"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with JsonLines(path) as rows:
        rows.append({"n": 1})
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20, limit[1]))
            with pytest.raises(OSError, match=r"scores\.jsonl") as caught:
                rows.append({"text": "x" * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert caught.value.errno == errno.EFBIG
        assert path.read_text() == '{"n": 1}\n'
        rows.append({"n": 2})
    with JsonLines(path) as again:
        assert list(again) == [b'{"n": 1}', b'{"n": 2}']


def test_text_that_no_reader_would_take_is_refused_before_it_is_written(tmp_path):
    with JsonLines(tmp_path / "scores.jsonl") as rows:
        rows.append({"text": "\N{OWL}"})
        with pytest.raises(UserError, match=r"scores\.jsonl: .*n3\\udc80 is no Unicode text"):
            rows.append({"text": "n3\udc80"})
    assert (tmp_path / "scores.jsonl").read_text() == '{"text": "\\ud83e\\udd89"}\n'
